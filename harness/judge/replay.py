"""Recomputes the verdict of a target from the evidence and reports where the two differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.build.artifact import Artifact
from harness.core.attempts import COUNTED, confidence_of
from harness.core.bounds import parse_bound
from harness.core.text import number
from harness.judge.case import Case, NotReproducible
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric
from harness.judge.verdict import Verdict

_DECIDED = (Verdict.PASS, Verdict.FAIL)
_EXACT = 1e-9
_FIGURES = ("value", "low", "high")


def recheck(target: Mapping[str, Any], evidence: Mapping[str, Any], artifact: Artifact | None = None) -> Iterator[str]:
    """What of a target's verdict does not follow from the evidence, a line each; nothing when all of it does.

    ``artifact`` is the target's own where its files are at hand: figures of files are then taken from them.
    """
    verdict = Verdict(target["verdict"])
    metric = metrics().get(target["metric"])
    if metric is None:
        yield f'this version does not know the metric "{target["metric"]}"'
        return
    bound = parse_bound(target["bound"], metric.dimension)
    said = (target["op"], number(target["limit"]), target["relation"], target["versus"])
    if said != (bound.op, bound.limit, bound.relation.value, bound.versus):
        yield f"the bound {target['bound']!r} does not read as {said}"
    if target["value"] is None:
        if verdict in (*_DECIDED, Verdict.OFF_TARGET):
            yield f"{verdict} without a value"
        return
    yield from _standing(target, evidence, metric, verdict)
    if metric.per_process:
        yield from _surety(target, evidence["settings"])
    try:
        judged = metric.judged_again(Case(target, evidence, bound, artifact))
    except NotReproducible as error:
        yield str(error)
        return
    if verdict is not Verdict.OFF_TARGET and judged.verdict is not verdict:
        yield f"{verdict} is said, {judged.verdict} follows from the samples"
    # An earlier version made the intervals of scores otherwise.
    compared = ("value",) if metric.paired_samples and "scores" not in evidence["settings"] else _FIGURES
    for name in compared:
        stated, found = number(target[name]), float(getattr(judged, name))
        if not _alike(stated, found):
            yield f"{name} is said to be {stated:g}, {found:g} follows from the samples"


def _alike(a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= _EXACT * max(abs(a), abs(b), 1.0)


def _surety(target: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Whether the verdict is as sure as the attempt must be; evidence of an earlier version counts no attempts."""
    attempt, attempts = int(target.get("attempt", 1)), str(settings.get("attempts", COUNTED))
    wanted = confidence_of(attempt, float(settings["confidence"]), attempts)
    if not _alike(float(target["confidence"]), wanted):
        yield f"attempt {attempt} must be judged at {100 * wanted:g} %, not at {100 * float(target['confidence']):g} %"


def _standing(
    target: Mapping[str, Any], evidence: Mapping[str, Any], metric: type[Metric], verdict: Verdict
) -> Iterator[str]:
    """Whether the machine was the promised one; merged evidence does not say it of each machine."""
    kpi = next((k for k in evidence["kpis"] if k["name"] == target["kpi"]), None)
    if kpi is None:
        yield f'the evidence names no KPI "{target["kpi"]}"'
    elif "machines" not in evidence and metric.machine_bound and not metric.two_machines:
        if verdict in _DECIDED and kpi["elsewhere"]:
            yield f"{verdict} on another machine than promised: {kpi['elsewhere']}"
        elif verdict is Verdict.OFF_TARGET and not kpi["elsewhere"]:
            yield "OFF_TARGET on the very machine that was promised"
    elif "machines" not in evidence and metric.computed:
        promised = kpi.get("other_processor", "")
        if verdict is Verdict.OFF_TARGET and not promised:
            yield "OFF_TARGET on a processor that was promised"
        elif verdict in _DECIDED and promised and _integer(target, evidence):
            yield f"{verdict} of integer arithmetic on another processor than the promised {promised}"


def _integer(target: Mapping[str, Any], evidence: Mapping[str, Any]) -> bool:
    """Whether what a verdict rests on is proven to have computed with integers."""
    by_id = {measurement["id"]: measurement for measurement in evidence["measurements"]}
    used = [by_id[name] for name in target["measurements"] if name in by_id]
    return any(process["proof"]["integer_ops"] for measurement in used for process in measurement["processes"])
