"""In which order targets are judged: what is cheap first, what is timed last, when nothing is built any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.build.passes import passes
from harness.measure.scenarios import scenarios

if TYPE_CHECKING:
    from harness.measure.machine.detect import Detected
    from harness.spec.model import Recipe, Spec, Target

_ENVIRONMENT_S = 60.0
"""To make an environment, where it is missing."""


def is_timed(spec: Spec, target: Target) -> bool:
    """Whether the target's figure is a time, which a machine that builds something would spoil."""
    scenario = spec.scenario(target)
    return bool(scenario) and scenarios()[scenario].timed


def build_effort(recipe: Recipe) -> float:
    """About how many seconds the recipe takes on two cores to be built; only for the order of work."""
    environments = {recipe.environment, *(passes()[step.name].environment for step in recipe.passes)} - {None}
    return sum(passes()[step.name].effort for step in recipe.passes) + _ENVIRONMENT_S * len(environments)


def in_order(spec: Spec, targets: Iterable[Target]) -> list[Target]:
    """The targets as they are judged best.

    First what may run while artifacts are built: by what its artifacts take to build, the figures of files before
    those of answers. Then what is timed, pairs first: their processes serve the plain targets of both recipes too.
    Equals stay in the order in which they came.
    """

    def key(target: Target) -> tuple[bool, float, bool]:
        if is_timed(spec, target):
            return True, 0.0, target.bound.versus is None
        effort = max(map(build_effort, spec.recipes_of(target)))
        return False, effort, not target.metric.of_files

    return sorted(targets, key=key)


def needed(spec: Spec, targets: Iterable[Target], machine: Detected) -> list[Recipe]:
    """The recipes whose artifacts the targets ask for on this machine, the workloads that take longest first."""
    found: dict[str, Recipe] = {}
    for target in targets:
        metric = target.metric
        if metric.two_machines:
            continue
        wanted = spec.machines[target.machine]
        if metric.of_files or wanted.reach or machine.has(wanted.device):
            found.update({recipe.key: recipe for recipe in spec.recipes_of(target)})
    longest: dict[str, float] = {}
    for recipe in found.values():
        longest[recipe.workload] = max(longest.get(recipe.workload, 0.0), build_effort(recipe))
    return sorted(found.values(), key=lambda recipe: -longest[recipe.workload])
