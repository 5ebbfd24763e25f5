"""Makes on a machine that is reached what its KPIs need there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import KpiError
from harness.measure.place import Say
from harness.measure.reach.bringing import bring
from harness.measure.reach.reached import Reached
from harness.spec.model import Machine, Spec


def named_environments(wanted: Machine, spec: Spec) -> dict[str, list[str]]:
    """The environments that recipes of a machine's KPIs name, those that they are compared with too; with the KPIs."""
    found: dict[str, dict[str, None]] = {}
    for target in (target for target in spec.targets if target.machine == wanted.name):
        for recipe in spec.recipes_of(target):
            if recipe.environment:
                found.setdefault(recipe.environment, {})[target.kpi] = None
    return {name: list(kpis) for name, kpis in found.items()}


def set_up(
    wanted: Machine, spec: Spec, store: Path, errors: Path, say: Say, python: Path | None = None
) -> Iterator[tuple[str, str | KpiError]]:
    """Makes the light environment of a machine, then those that its recipes name, where they are missing.

    Before that it is brought the Python of a Linux system, where ``python`` is the archive of one.

    Gives for each its name and its path there, or what is wrong; raises that of the light one, which is named "".
    """
    place = Reached(wanted, errors, spec.root, say, store=store, install=True)
    try:
        if python is not None:
            bring(place.way, python, errors, say)
        yield "", place.environment
        for name in named_environments(wanted, spec):
            try:
                yield name, str(place.python(name).python.parent.parent)
            except KpiError as error:
                yield name, error
    finally:
        place.close()
