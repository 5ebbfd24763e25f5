"""Recomputes the verdict of a target from the evidence and reports where the two differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.build.artifact import Artifact
from harness.core.attempts import confidence_of
from harness.core.bounds import parse_bound
from harness.core.errors import Cause
from harness.core.score_bounds import METHOD
from harness.judge.case import Case, NotReproducible
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric
from harness.judge.verdict import Verdict

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Settings, TargetLine

_DECIDED = (Verdict.PASS, Verdict.FAIL)
_EXACT = 1e-9
_FIGURES = ("value", "low", "high")


def recheck(target: TargetLine, evidence: Evidence, artifact: Artifact | None = None) -> Iterator[str]:
    """What of a target's verdict does not follow from the evidence, a line each; nothing when all of it does.

    ``artifact`` is the target's own where its files are at hand: figures of files are then taken from them.
    """
    verdict = target.verdict
    metric = metrics().get(target.metric)
    if metric is None:
        yield f'this version does not know the metric "{target.metric}"'
        return
    bound = parse_bound(target.bound, metric.dimension)
    said = (target.op, float(target.limit), target.relation, target.versus)
    if said != (bound.op, bound.limit, bound.relation.value, bound.versus):
        yield f"the bound {target.bound!r} does not read as {said}"
    if not target.known:
        if verdict in (*_DECIDED, Verdict.OFF_TARGET):
            yield from _first(target, evidence)
        return
    yield from _standing(target, evidence, metric, verdict)
    if metric.per_process:
        yield from _surety(target, evidence.settings)
    try:
        judged = metric.judged_again(Case(target, evidence, bound, artifact))
    except NotReproducible as error:
        yield str(error)
        return
    if verdict is not Verdict.OFF_TARGET and judged.verdict is not verdict:
        yield f"{verdict} is said, {judged.verdict} follows from the samples"
    # An earlier version made the intervals of scores otherwise.
    compared = ("value",) if metric.paired_samples and evidence.settings.scores != METHOD else _FIGURES
    for name in compared:
        stated, found = float(getattr(target, name)), float(getattr(judged, name))
        if not _alike(stated, found):
            yield f"{name} is said to be {stated:g}, {found:g} follows from the samples"


def _first(target: TargetLine, evidence: Evidence) -> Iterator[str]:
    """Whether a verdict may be without a value: its KPI declares a first release, and nothing was measured of one."""
    kpi, compared = evidence.by_kpi.get(target.kpi), f"{target.workload}/{target.versus}"
    declared = kpi is not None and kpi.first_release and target.cause is Cause.FIRST_RELEASE
    if not declared or Verdict.FAIL in (target.verdict, target.would_be):
        yield f"{target.verdict} without a value"
    elif target.versus and evidence.of_recipe(compared):
        yield f"{target.verdict} without a value, but {compared} was measured"


def _alike(a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= _EXACT * max(abs(a), abs(b), 1.0)


def _surety(target: TargetLine, settings: Settings) -> Iterator[str]:
    """Whether the verdict is as sure as the attempt must be; evidence of an earlier version counts no attempts."""
    wanted, said = confidence_of(target.attempt, settings.confidence, settings.attempts), target.confidence or 0.0
    if not _alike(said, wanted):
        yield f"attempt {target.attempt} must be judged at {100 * wanted:g} %, not at {100 * said:g} %"


def _standing(target: TargetLine, evidence: Evidence, metric: type[Metric], verdict: Verdict) -> Iterator[str]:
    """Whether the machine was the promised one; merged evidence does not say it of each machine."""
    kpi = evidence.by_kpi.get(target.kpi)
    if kpi is None:
        yield f'the evidence names no KPI "{target.kpi}"'
    elif evidence.machines is None and metric.machine_bound and not metric.two_machines:
        if verdict in _DECIDED and kpi.elsewhere:
            yield f"{verdict} on another machine than promised: {kpi.elsewhere}"
        elif verdict is Verdict.OFF_TARGET and not kpi.elsewhere:
            yield "OFF_TARGET on the very machine that was promised"
    elif evidence.machines is None and metric.computed:
        promised = kpi.other_processor
        if verdict is Verdict.OFF_TARGET and not promised:
            yield "OFF_TARGET on a processor that was promised"
        elif verdict in _DECIDED and promised and _integer(target, evidence):
            yield f"{verdict} of integer arithmetic on another processor than the promised {promised}"


def _integer(target: TargetLine, evidence: Evidence) -> bool:
    """Whether what a verdict rests on is proven to have computed with integers."""
    return any(process.proof.integer_ops for used in evidence.of(target) for process in used.processes)
