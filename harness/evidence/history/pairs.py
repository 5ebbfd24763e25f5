"""Which target of one run is which of another: by name and bound, past a new bound or a new name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.evidence.model import Evidence, TargetLine


def renamed_kpis(base: Evidence, new: Evidence) -> Iterator[tuple[str, str]]:
    """KPIs that have another name with the same workload, recipe, machine and targets: (old, new)."""
    names = [{target.kpi for target in evidence.targets} for evidence in (base, new)]
    gone = _promises(base, names[0] - names[1])
    for name, what in _promises(new, names[1] - names[0]).items():
        old = next((other for other, promised in gone.items() if promised == what), None)
        if old is not None:
            del gone[old]
            yield old, name


def _promises(evidence: Evidence, kpis: Collection[str]) -> dict[str, object]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for target in (target for target in evidence.targets if target.kpi in kpis):
        what = tuple(str(getattr(target, name)) for name in ("workload", "recipe", "machine", "metric", "bound"))
        found.setdefault(target.kpi, []).append(what)
    return {name: sorted(promised) for name, promised in found.items()}


def target_pairs(
    base: Evidence, new: Evidence, renamed: Mapping[str, str]
) -> Iterator[tuple[TargetLine | None, TargetLine | None]]:
    """Each promised target of either run with its like: the same bound if it is there, else one of the same kind."""
    left: dict[tuple[Any, ...], list[TargetLine]] = {}
    for old in base.targets:
        left.setdefault(_like(old, renamed.get(old.kpi, old.kpi)), []).append(old)
    matched: dict[int, TargetLine] = {}
    for exactly in (True, False):
        for place, fresh in enumerate(new.targets):
            candidates = left.get(_like(fresh, fresh.kpi), [])
            fitting = [old for old in candidates if old.bound == fresh.bound or not exactly]
            if place not in matched and fitting:
                matched[place] = fitting[0]
                candidates.remove(fitting[0])
    for place, fresh in enumerate(new.targets):
        yield matched.get(place), fresh
    for remaining in left.values():
        yield from ((old, None) for old in remaining)


def _like(target: TargetLine, kpi: str) -> tuple[Any, ...]:
    return (kpi, target.metric, target.relation, target.versus)
