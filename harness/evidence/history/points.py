"""What a run answered: one target's answer, the run that it is of, which earlier answer a target is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import Cause, KpiError, suggest
from harness.evidence.model import TargetLine
from harness.judge.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Point:
    """One target's answer in one run: ``value``, ``low``, ``high`` in ``unit``, a base unit; NaN where unknown.

    ``started`` is UTC in ISO 8601, ``machine`` an id with ``machine_name`` for people; ``relation`` and ``versus`` say
    which recipe the value is held against, if any.
    """

    run: str
    started: str
    commit: str
    machine: str
    machine_name: str
    complete: bool
    kpi: str
    workload: str
    recipe: str
    device: str
    metric: str
    bound: str
    relation: str
    versus: str | None
    value: float
    low: float
    high: float
    unit: str
    n: int
    of: str
    verdict: Verdict
    reason: str
    artifact: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run: ``id`` is the beginning of its evidence's ``digest``; ``evidence`` may be gone by now."""

    id: str
    started: str
    commit: str
    machine: str
    machine_name: str
    complete: bool
    evidence: Path
    digest: str


UNASKED = (Cause.UNSELECTED, Cause.UNMEASURED)
"""The causes of a target that no test asked for."""


def answered(target: TargetLine) -> bool:
    """Whether a target of the evidence has an answer of its own: somebody looked, whatever came of it."""
    return target.cause not in UNASKED


Earlier = Mapping[tuple[str, str, str, str | None], Sequence[Point]]
"""What was last answered, by KPI, metric, relation and the recipe held against."""


def before(target: TargetLine, earlier: Earlier) -> Point | None:
    """What was last answered of a target: of the same bound where several are promised; None where nothing was.

    A target that was not selected now has no earlier answer to compare with.
    """
    if not answered(target):
        return None
    found = earlier.get((target.kpi, target.metric, target.relation, target.versus), ())
    same = [point for point in found if point.bound == target.bound]
    return next(iter(same or found), None)


def of_machine(points: Iterable[Point], wanted: str) -> list[Point]:
    """The points of one machine, by its id or a part of its name; KpiError when there is none."""
    every = list(points)
    low = wanted.casefold()
    chosen = [p for p in every if p.machine.startswith(low) or low in p.machine_name.casefold()]
    if not chosen:
        raise KpiError(suggest(wanted, {p.machine_name for p in every}, "machine"))
    return chosen
