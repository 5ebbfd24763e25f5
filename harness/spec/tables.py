"""Validates single tables of ``kpis.toml``, gathering what is wrong with them as lines for a person."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import suggest
from harness.spec.messages import merged, must_be
from harness.spec.sources import Sources
from harness.spec.table import Table
from harness.spec.toml_lines import Place

TableT = TypeVar("TableT", bound=Table)
_MEANT = 0.7
"""How alike a misspelled key must be to be read as the one that was meant."""


class Tables:
    """The tables of ``kpis.toml``; ``problems`` holds a line for each mistake.

    ``sources`` are the files that the tables were read from, None for a table that is in none.
    """

    def __init__(self, path: Path, sources: Sources | None = None) -> None:
        self.path = path
        self.sources = sources
        self.problems: list[str] = []
        self._places: dict[str, Place] = {}

    def at(self, where: str, *place: str | int) -> str:
        """``where`` itself, a table as messages name it; from now on its place in the file is known."""
        self._places.setdefault(where, place)
        return where

    def say(self, where: str, what: str, *inside: str | int) -> None:
        """Tells a mistake: file and line, the table, what is wrong; ``inside`` leads from the table to the key."""
        line = f"{self._line(where, inside)}: {where}: {what}" if where else f"{self._line(where, inside)}: {what}"
        self.problems.append("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))

    def _line(self, where: str, inside: Sequence[str | int]) -> str:
        if self.sources is None:
            return self.path.name
        # What follows the table's name says where in it.
        known = max((name for name in self._places if where.startswith(name)), key=len, default="")
        source, place = self.sources.locate((*self._places.get(known, ()), *inside))
        return source.at(place)

    def table(self, model: type[TableT], data: object, where: str) -> TableT | None:
        """Validates one table and tells its mistakes; None for what is not a table.

        Where a key is wrong or missing, the rest is there all the same: the key has a stand-in, and ``wrong(key)`` of
        the table says so, so that one mistake hides no other and brings no false one along.
        """
        if not isinstance(data, dict):
            self.say(where, f"must be a table, not {reprlib.repr(data)}")
            return None
        left = self._meant(model, data, where)
        told: set[str] = set()
        while True:
            try:
                made = model.model_validate(left)
            except ValidationError as error:
                if not told:
                    self.tell(error, where, list(model.model_fields))
                left = _mended(model, left, error, told)
                told |= {str(problem["loc"][0]) for problem in error.errors()}
            else:
                made.mark_wrong(told)
                return made

    def _meant(self, model: type[TableT], data: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The table without unknown keys, each told; what a misspelled one holds is read as what it is nearest to."""
        keys = list(model.model_fields)
        left = {key: value for key, value in data.items() if key in keys}
        for key in data:
            if key not in keys:
                self.say(where, suggest(key, keys, "key"), key)
                near = difflib.get_close_matches(key, keys, n=1, cutoff=_MEANT)
                if near and near[0] not in left:
                    left[near[0]] = data[key]
        return left

    def tell(self, error: ValidationError, where: str, keys: list[str]) -> None:
        """Tells what is wrong with a table, a line for each place in it."""
        for place, problems in merged(error.errors()):
            location, problem = ".".join(place), problems[0]
            if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
                inner = ".".join(place[:-1])
                known = suggest(place[-1], keys, "key") if not inner else f'unknown key "{place[-1]}" in {inner}'
                self.say(where, known, *place)
            elif problem["type"] in ("missing", "missing_argument"):
                self.say(where, f'the key "{location}" is missing')
            else:
                # A mistake of the whole, such as two options that exclude each other, has no place of its own.
                given = f"{location} = {reprlib.repr(problem['input'])}: " if location else ""
                self.say(where, f"{given}{must_be(place, problems)}"[:400], *place)

    def options(self, table: Any, data: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Validates the options of a pass, runtime, scenario or task; returns them with the defaults filled in."""
        adapter = _adapter(table)
        try:
            plain: dict[str, Any] = adapter.dump_python(adapter.validate_json(_json(data), strict=True), mode="json")
        except ValidationError as error:
            self.tell(error, where, list(table.__dataclass_fields__))
            return None
        return plain

    def named(
        self, entry: str | Mapping[str, Any], key: str, where: str, kind: str
    ) -> tuple[str | None, dict[str, Any]]:
        """``"onnx"`` or ``{pass = "onnx", opset = 17}`` as a name and the rest; None when the lack of one was said."""
        if isinstance(entry, str):
            return entry, {}
        rest = dict(entry)
        name = rest.pop(key, None)
        if not isinstance(name, str):
            self.say(where, f'a {kind} given as a table needs the key "{key}"')
            return None, rest
        return name, rest


def _mended(model: type[Table], data: Mapping[str, Any], error: ValidationError, told: set[str]) -> dict[str, Any]:
    """The table without what is wrong in it, stand-ins for keys that must be there; a second fault takes the key."""
    left = dict(data)
    for problem in error.errors():
        key, *inside = map(str, problem["loc"])
        if key not in told and inside and isinstance(left.get(key), dict) and inside[0] in left[key]:
            left[key] = {name: value for name, value in left[key].items() if name != inside[0]}
            continue
        left.pop(key, None)
        if model.model_fields[key].is_required():
            left[key] = model.stand_ins[key]
    return left


def _json(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(data), default=repr)
    except RecursionError:
        return json.dumps({name: reprlib.repr(value) for name, value in data.items()})


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)
