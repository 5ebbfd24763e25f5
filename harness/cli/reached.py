"""Examines a machine that is reached: what it has, what is missing, what each missing thing would enable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.build.store import Store
from harness.cli.doctor import Rows, machine_rows
from harness.core.errors import KpiError
from harness.core.units import BYTES
from harness.measure.machine.detect import mismatch
from harness.measure.reach.reached import Reached
from harness.measure.reach.setting_up import named_environments
from harness.measure.runtimes import runtimes
from harness.spec.model import Machine, Spec


def examine(wanted: Machine, spec: Spec, store: Store, errors: Path) -> Iterator[tuple[str, Rows]]:
    """Sections of (name, finding); raises what is wrong where the machine can't be reached at all."""
    place = Reached(wanted, errors, spec.root, lambda _: None, store=store.root)
    try:
        try:
            here = place.machine
        except KpiError as error:
            if not place.greeting:
                raise
            yield f"{wanted.name} ({wanted.reach})", _way(place)
            yield "what would enable more", [(error.remedy or error.message, f"enables {_names(wanted, spec)}")]
            return
        yield f"{wanted.name} ({wanted.reach})", _way(place)
        yield "machine", machine_rows(here)
        found = place.runtimes()
        yield "runtimes", [(name, said or "not installed") for name, said in found.items()]
        if named := list(_environments(place, wanted, spec)):
            yield "environments", named
        yield "promised for", [(wanted.name, mismatch(wanted, here) or "this is the machine")]
        yield "what would enable more", list(_lacks(place, wanted, spec, found)) or [("nothing is missing", "")]
    finally:
        place.close()


def _way(place: Reached) -> Rows:
    said = place.greeting
    return [
        ("system", f"{said['host']}: {said['system']}, {said['arch']}, {' '.join(said['libc'])}"),
        ("Python", f"{said['python']} in {said['prefix']}"),
        ("store", f"{said['store']}, {BYTES.format(int(said['free']))} free"),
    ]


def _environments(place: Reached, wanted: Machine, spec: Spec) -> Iterator[tuple[str, str]]:
    """Each environment that recipes of the machine's KPIs name: what of their runtimes is in it, or what is wrong."""
    recipes = [recipe for workload in spec.workloads.values() for recipe in workload.recipes.values()]
    for name in named_environments(wanted, spec):
        try:
            python = place.python(name)
        except KpiError as error:
            yield name, error.message
            continue
        known = {
            one for recipe in recipes if recipe.environment == name for one in runtimes()[recipe.runtime].distributions
        }
        said = [f"{one} {version}" for one in sorted(known) if (version := python.version(one))]
        yield name, f"{', '.join(said) or 'no runtime'} in {python.python.parent.parent}"


def _lacks(place: Reached, wanted: Machine, spec: Spec, found: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What recipes of the machine's KPIs need that is not there, with the KPIs."""
    missing: dict[str, list[str]] = {}
    for kpi in (kpi for kpi in spec.kpis if kpi.machine == wanted.name):
        recipe = spec.recipe(kpi.workload, kpi.recipe)
        runtime = runtimes()[recipe.runtime]
        if recipe.environment is None and not found.get(recipe.runtime):
            missing.setdefault(f"{runtime.distributions[0]}, in the requirement file", []).append(kpi.name)
    for name, kpis in named_environments(wanted, spec).items():
        try:
            place.python(name)
        except KpiError as error:
            missing.setdefault(error.remedy or error.message, []).extend(kpis)
    for what, names in missing.items():
        yield what, f"enables {', '.join(names)}"


def _names(wanted: Machine, spec: Spec) -> str:
    return ", ".join(kpi.name for kpi in spec.kpis if kpi.machine == wanted.name) or "its KPIs"
