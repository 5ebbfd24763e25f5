"""Derives the verdict of a target anew from the evidence, and says where the two differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from harness.build.artifact import Artifact
from harness.core.attempts import COUNTED, confidence_of
from harness.core.bounds import MEDIAN, Bound, Relation, parse_bound
from harness.core.statistics import Look, looks_for, recorded_looks
from harness.core.text import number
from harness.judge.machine_ratio import Side, judge_machines, side_in
from harness.judge.metrics import metrics
from harness.judge.metrics.base import (
    ArtifactMetric,
    MachineRatioMetric,
    Metric,
    PricedMetric,
    ProcessMetric,
    ProofMetric,
    SampleMetric,
)
from harness.judge.verdict import Basis, Decision, Estimate, Verdict, judge_exact, judge_processes, judge_samples
from harness.measure.records import ProcessRecord

_DECIDED = (Verdict.PASS, Verdict.FAIL)
_EXACT = 1e-9
_FIGURES = ("value", "low", "high")


class Underivable(Exception):
    """The evidence does not hold what the verdict rests on."""


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
    if issubclass(metric, ProcessMetric):
        yield from _surety(target, evidence["settings"])
    try:
        judged = _judge(target, evidence, metric, bound, artifact)
    except Underivable as error:
        yield str(error)
        return
    if verdict is not Verdict.OFF_TARGET and judged.verdict is not verdict:
        yield f"{verdict} is said, {judged.verdict} follows from the samples"
    # An earlier version made the intervals of scores otherwise.
    compared = ("value",) if issubclass(metric, SampleMetric) and "scores" not in evidence["settings"] else _FIGURES
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
    elif "machines" not in evidence and metric.machine_bound and not issubclass(metric, MachineRatioMetric):
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


def _judge(
    target: Mapping[str, Any],
    evidence: Mapping[str, Any],
    metric: type[Metric],
    bound: Bound,
    artifact: Artifact | None,
) -> Decision:
    confidence = float(evidence["settings"]["confidence"])
    if issubclass(metric, ArtifactMetric):
        return _judge_files(target, evidence, metric, bound, artifact)
    if issubclass(metric, MachineRatioMetric):
        return judge_machines(bound, *_sides(target, evidence, metric), confidence)
    own = _measurements(target, evidence)
    if issubclass(metric, SampleMetric):
        try:
            scores = metric.read_scores(own[0], own[1] if bound.versus else None)
        except KeyError:
            raise Underivable(f"the measurements hold no scores of {metric.name}") from None
        return judge_samples(bound, scores, confidence, metric.better, paired=metric.paired)
    if issubclass(metric, ProofMetric):
        return judge_exact(bound, metric.of(_records(own[0])[0]))
    if issubclass(metric, ProcessMetric):
        return _judge_processes(target, evidence, metric, bound, own)
    raise Underivable(f"{metric.name} is of no kind that can be derived")


def _judge_processes(
    target: Mapping[str, Any],
    evidence: Mapping[str, Any],
    metric: type[ProcessMetric],
    bound: Bound,
    own: Sequence[Mapping[str, Any]],
) -> Decision:
    settings = evidence["settings"]
    # Of several attempts each has its own, which the looks follow from.
    confidence = float(target["confidence"] or settings["confidence"])
    factor = float(target["usd_per_hour"] or 1.0) if issubclass(metric, PricedMetric) else 1.0

    def estimate(record: ProcessRecord) -> Estimate:
        low, high = metric.bounds(record, confidence)
        return Estimate(factor * metric.of(record), factor * low, factor * high)

    judge = partial(judge_processes, bound, confidence=confidence)
    plan = partial(_looks, settings, confidence, bound.share)
    # Other targets may have asked for more processes later: what was undecided then is judged on what there was then.
    first = None if _decided(target) else int(target["n"])
    if bound.versus is None:
        records = _records(own[0])[:first]
        disturbed = [bool(record.disturbed) for record in records]
        return judge([estimate(r) for r in records], looks=plan(float(settings["drift"])), disturbed=disturbed)
    name = own[1]["id"].rpartition(":")[2]  # merged evidence puts the file's name before it
    pairs = own[0]["pairs"].get(name)
    if pairs is None:
        raise Underivable(f"{own[0]['id']} lists no pairs with {own[1]['id']}")
    a, b = _records(own[0]), _records(own[1])
    ratios = [estimate(a[i]).over(estimate(b[j])) for i, j in pairs[:first]]
    # Evidence of an earlier version kept no margin for pairs.
    return judge(ratios, looks=plan(float(settings.get("pair_drift", 0.0))), of=Basis.PAIRS)


def _looks(settings: Mapping[str, Any], confidence: float, share: float, drift: float = 0.0) -> tuple[Look, ...]:
    """The looks that the evidence records; Underivable where they are no honest plan."""
    try:
        if confidence != float(settings["confidence"]) or share != MEDIAN:
            return looks_for(tuple(settings["looks"]), confidence, drift, share)
        return recorded_looks(settings["looks"], settings["against"], confidence, drift)
    except ValueError as error:
        raise Underivable(str(error)) from None


def _decided(target: Mapping[str, Any]) -> bool:
    if target["verdict"] == Verdict.OFF_TARGET:
        return target["would_be"] in _DECIDED
    return target["verdict"] in _DECIDED


def _judge_files(
    target: Mapping[str, Any],
    evidence: Mapping[str, Any],
    metric: type[ArtifactMetric],
    bound: Bound,
    artifact: Artifact | None,
) -> Decision:
    """From the files where they are at hand; otherwise from what other lines of the evidence say of their size."""
    own = metric.of(artifact) if artifact else _stated(target, evidence, target["recipe"])
    if bound.versus is None:
        return judge_exact(bound, number(target["value"]) if own is None else own)
    other = _stated(target, evidence, bound.versus)
    if own is None or other is None:
        # Nothing but the ratio itself is kept: whether it keeps the bound can still be told.
        return judge_exact(bound, number(target["value"]))
    return judge_exact(bound, own, other)


def _stated(target: Mapping[str, Any], evidence: Mapping[str, Any], recipe: str) -> float | None:
    """The figure of another recipe's files, as its measurement or its own target has it."""
    if target["metric"] == "size":
        for measurement in evidence["measurements"]:
            if measurement["recipe"] == f"{target['workload']}/{recipe}":
                return float(measurement["artifact_bytes"])
    for other in evidence["targets"]:
        same = (other["workload"], other["recipe"], other["metric"]) == (target["workload"], recipe, target["metric"])
        if same and other is not target and other["relation"] == Relation.VALUE and other["value"] is not None:
            return number(other["value"])
    return None


def _sides(
    target: Mapping[str, Any], evidence: Mapping[str, Any], metric: type[MachineRatioMetric]
) -> tuple[Side, Side]:
    kpis = {kpi["name"]: kpi for kpi in evidence["kpis"]}
    own = kpis[target["kpi"]]
    names = (target["kpi"], own["against"])
    files = _files(target, evidence)
    found = [
        _side(kpis[name], evidence, target["scenario"], metric, file)
        if file
        else side_in(evidence, name, target["scenario"], metric.figure)
        for name, file in zip(names, files, strict=True)
    ]
    if found[0] is None or found[1] is None:
        raise Underivable("the processes of one of the two machines are not in the evidence")
    return found[0], found[1]


def _files(target: Mapping[str, Any], evidence: Mapping[str, Any]) -> tuple[str, str]:
    """Of merged evidence, the files that the two machines' processes came from."""
    machines = evidence.get("machines")
    if machines is None:
        return "", ""
    pairs = ((a, b) for a in machines for b in machines)
    wanted = target.get("file")
    return next(((a, b) for a, b in pairs if wanted == (a if a == b else f"{a} over {b}")), ("", ""))


def _side(
    kpi: Mapping[str, Any], evidence: Mapping[str, Any], scenario: str, metric: type[MachineRatioMetric], file: str
) -> Side | None:
    recipe = f"{kpi['workload']}/{kpi['recipe']}"
    measured = [
        m
        for m in evidence["measurements"]
        if m["id"].startswith(f"{file}:") and m["recipe"] == recipe and m["scenario"] == scenario
    ]
    measured.sort(key=lambda m: m["device"] != kpi["device"])
    if not measured or not kpi["usd_per_hour"]:
        return None
    return Side.of(metric.figure, _records(measured[0]), float(kpi["usd_per_hour"]))


def _measurements(target: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    by_id = {measurement["id"]: measurement for measurement in evidence["measurements"]}
    missing = [name for name in target["measurements"] if name not in by_id]
    if missing or not target["measurements"]:
        raise Underivable(f"the measurement {missing[0] if missing else 'it rests on'} is not in the evidence")
    found = [by_id[name] for name in target["measurements"]]
    if found[0]["artifact"] != target["artifact"]:
        raise Underivable(f"{found[0]['id']} measured another artifact, {found[0]['artifact'][:12]}")
    return found


def _records(measurement: Mapping[str, Any]) -> list[ProcessRecord]:
    return [ProcessRecord.from_json(process) for process in measurement["processes"]]
