"""Candidates: ordinary recipes that were drawn from the space."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.spec.model import Recipe, Spec
from harness.spec.reader import read_recipe
from harness.spec.search_space import Choice, Node, Picked, expand, parse, with_picked

_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe with the table that would be in the TOML; ``own`` is the one that the KPI has already."""

    name: str
    table: Mapping[str, Any]
    recipe: Recipe
    own: bool = False


class Space:
    """All the templates of a workload: the first thing that is picked is one of them."""

    def __init__(self, spec: Spec, workload: str, templates: Mapping[str, Any]) -> None:
        self._spec = spec
        self._workload = workload
        self._templates = templates
        parsed = {name: parse(table, "", _said) for name, table in templates.items()}
        self.root = Choice(parsed)

    @property
    def identity(self) -> str:
        """Changes when the space does."""
        return json.dumps(self._templates, sort_keys=True, default=str)

    def draw(self, pick: Callable[[str, Node], Any]) -> Candidate:
        """The candidate for what ``pick`` says at each node; SpecError where the parts don't fit together."""
        met: dict[str, Any] = {}

        def noted(place: str, node: Node) -> Any:
            met[place] = pick(place, node)
            return met[place]

        table = expand(self.root, noted, "recipe")
        return self._made(str(met["recipe"]), table)

    def of(self, picked: Picked) -> Candidate:
        """The candidate for what was picked."""
        return self.draw(lambda place, _: picked[place])

    def table(self, picked: Picked) -> Any:
        """The plain table for what was picked."""
        return with_picked({"recipe": self.root}, picked)["recipe"]

    def _made(self, template: str, table: Mapping[str, Any]) -> Candidate:
        return self.candidate(name_of(template, table), table)

    def candidate(self, name: str, table: Mapping[str, Any]) -> Candidate:
        """The candidate of that name and plain table; SpecError where the parts don't fit together."""
        model = self._spec.workloads[self._workload].model_file
        return Candidate(name, table, read_recipe(self._spec.path, self._workload, name, table, model))


def name_of(template: str, table: Mapping[str, Any]) -> str:
    """A recipe's name: the template's, as far as it can be written anywhere, and what tells its recipes apart."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", template).strip("-.")[:_LONGEST] or "recipe"
    content = json.dumps(table, sort_keys=True, default=str)
    return f"{stem}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"


def _said(place: str, what: str) -> None:
    # Mistakes were told when the file was read; the harness's own spaces have none.
    raise ValueError(f"{place}: {what}")
