"""Explains the verdict of a target from the evidence: what was promised, measured, spent, and what to try next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.core.bounds import Bound, Relation, change, parse_bound
from harness.core.statistics import median
from harness.core.units import DIMENSIONS, TIME
from harness.evidence.model import Known, TargetLine
from harness.evidence.text import basis, figure, interval, precision_of
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric, ProofMetric
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import cores_of, memory_of
from harness.measure.records import Measurement

_LAYERS, _OTHERS, _PLACES = 4, 5, 12
_WIDTH = 11
_SAME = ("artifact", "runtime", "device")


def explain(target: TargetLine, evidence: Known, *, reason: bool = True) -> list[str]:
    """The few lines that somebody needs who wants the target to pass; ``target`` is one of the evidence's own.

    Without ``reason`` the verdict's own reason and remedy are left to the caller, who has said them already.
    """
    said = [("why", target.reason), ("remedy", target.remedy)] if reason else []
    lines = [*_facts(target), *((what, text) for what, text in said if text), *_circumstances(target, evidence)]
    return [f"{what:{_WIDTH}}{text}" for what, text in lines]


def _facts(target: TargetLine) -> Iterator[tuple[str, str]]:
    yield "promised", f"{target.metric} {target.bound}, {target.recipe_key} on {target.machine}"
    if target.known:
        sure = f" at {100 * target.confidence:g} % confidence" if target.confidence else ""
        between = f" ({interval(target)}{sure})" if interval(target) else ""
        yield "measured", f"{figure(target)}{between}, {basis(target)}"
    for note in target.notes:
        yield "note", note


def _circumstances(target: TargetLine, evidence: Known) -> Iterator[tuple[str, str]]:
    machine = evidence.machine_of(target.machine)
    yield "machine", f"{machine.cpu}, {cores_of(machine)}, {memory_of(machine)}"
    own = evidence.of(target)
    if parts := _parts(target, own):
        yield "parts", parts
    if target.artifact:
        yield "artifact", f"{target.artifact[:12]}{_proof(own, evidence)}"
    if compared := _compared(own):
        yield "compared", compared
    if placed := _placed(own):
        yield "placed", placed
    if ordered := _ordered(target):
        yield "order", ordered
    if disturbed := [p.disturbed for m in own for p in m.processes if p.disturbed]:
        count = sum(len(m.processes) for m in own)
        yield "disturbed", f"{len(disturbed)} of {count} processes; {disturbed[-1]}"
    if target.verdict == Verdict.PASS:
        return
    if layers := _slowest(target.recipe_key, evidence):
        yield "slowest", ", ".join(layers)
    bound = parse_bound(target.bound, metrics()[target.metric].dimension)
    for name, said in _others(target, bound, own, evidence):
        yield "try", f"{name}: {said} here"


def _parts(target: TargetLine, own: Sequence[Measurement]) -> str:
    """What was found of each slice or class, those that keep the bound least first; empty for a target about all."""
    metric = metrics().get(target.metric)
    if metric is None or target.confidence is None or not own:
        return ""
    bound = parse_bound(target.bound, metric.dimension)
    # A part that failed was asked for more confidence; what each says by itself is said at that of the run.
    found = metric.parts_in(bound, own[: 2 if bound.versus else 1], target.confidence)
    show = DIMENSIONS[target.unit].format
    ranked = sorted(found.items(), key=lambda one: one[1].value, reverse=bound.upper)
    said = [f"{name} {show(one.value)} {one.verdict} ({one.n} {one.of.unit})" for name, one in ranked[:_PLACES]]
    return ", ".join(said) + (f", and {len(ranked) - _PLACES} more" if len(ranked) > _PLACES else "")


def _proof(own: Sequence[Measurement], evidence: Known) -> str:
    """What the runtime proved of the artifact's first process, and where it was profiled of what it computed with."""
    if not own or not own[0].processes:
        return ""
    proof = own[0].processes[0].proof
    known = evidence.of_recipe(own[0].recipe)
    alike = [m for m in known if all(getattr(m, k) == getattr(own[0], k) for k in _SAME) and m.processes]
    for other in (m.processes[0].proof for m in alike):
        if proof.heavy_ops is None and other.heavy_ops is not None:
            proof = replace(proof, **{name: getattr(other, name) for name in ("precision", "heavy_ops", "integer_ops")})
    said = f", {proof.runtime} {proof.version} on {proof.device}{precision_of(proof)}"
    if proof.heavy_ops:
        said += f", {proof.integer_ops or 0} of {proof.heavy_ops} heavy operations in INT8"
    return said


def _compared(own: Sequence[Measurement]) -> str:
    """By how much what each pass wrote answered differently from what it read, on a few samples."""
    steps = own[0].compared if own else ()
    said = [f"{step['pass']} {100 * step['difference']:.2g} %" for step in steps]
    return f"{', '.join(said)} of the spread of the answers, from what each pass read" if said else ""


def _ordered(target: TargetLine) -> str:
    """Where the processes stood in the run, and whether neighbours resemble each other; empty where none was timed."""
    order = target.order
    if not order or not order.places:
        return ""
    places = order.places
    said = f"places {', '.join(map(str, places[:_PLACES]))}{', ...' if len(places) > _PLACES else ''} of the run"
    if order.correlation is not None:
        said += f"; neighbours correlate by {order.correlation:.2f}"
    if order.runs_test is not None:
        said += f", as few runs by chance: p = {order.runs_test:.2g}"
    if inside := order.within:
        said += f"; slow requests of a process correlate by {inside.correlation:.2f}: {inside.samples:g} are "
        said += f"worth {inside.effective:.0f}"
    return said


def _placed(own: Sequence[Measurement]) -> str:
    """Where the recipe's processes were told to run, and what was read back of it; empty for anywhere."""
    placement = own[0].placement if own else None
    if not placement:
        return ""
    said = []
    if placement["instances"] > 1:
        said.append(f"{placement['instances']} instances side by side")
    if placement["cores"]:
        said.append(f"processors {' and '.join(placement['cores'])}")
    if placement["numa_node"] is not None:
        said.append(f"memory node {placement['numa_node']}")
    system = own[0].processes[0].system if own[0].processes and placement["instances"] == 1 else {}
    read = [str(system[name]) for name in ("cores", "memory_policy") if system.get(name)]
    return ", ".join(said) + (f"; read back: {', '.join(read)}" if read else "")


def _slowest(recipe: str, evidence: Known) -> list[str]:
    """The layers that take most of the time, from the runtime's own profile, where the run has looked inside."""
    for measurement in evidence.of_recipe(recipe):
        if measurement.scenario == ProofMetric.scenario and measurement.processes:
            layers = measurement.processes[0].proof.layers
            return [f"{kind} {name} {TIME.format(seconds)}" for name, kind, seconds in layers[:_LAYERS]]
    return []


def _others(target: TargetLine, bound: Bound, own: Sequence[Measurement], evidence: Known) -> Iterator[tuple[str, str]]:
    """Other recipes of the workload that were measured on the same device and keep the promise, the best first."""
    metric = metrics()[target.metric]
    values = _values(metric, target, own, evidence)
    base = values.get(bound.versus or "")
    judged = {
        name: found
        for name, value in values.items()
        if name not in (target.recipe, bound.versus)
        and (found := _judged(bound, value, base, metric.better)) is not None
    }
    show = DIMENSIONS[target.unit].format
    for name in sorted(judged, key=lambda name: judged[name], reverse=not bound.upper)[:_OTHERS]:
        if bound.holds(judged[name]):
            yield name, show(judged[name])


def _judged(bound: Bound, value: float, base: float | None, better: str) -> float | None:
    if bound.relation is Relation.VALUE:
        return value
    if base is None:
        return None
    if bound.relation in (Relation.DROP, Relation.GAIN):
        return change(bound.relation, value, base, better)
    return value / base if base else None


def _values(
    metric: type[Metric],
    target: TargetLine,
    own: Sequence[Measurement],
    evidence: Known,
) -> dict[str, float]:
    """The metric of every recipe of the workload that this run measured as it did the target's ``own``."""
    found: dict[str, float] = {}
    if metric.of_files:
        for other in evidence.targets:
            same = other.workload == target.workload and other.metric == target.metric
            if same and other.relation == Relation.VALUE and other.known:
                found[other.recipe] = other.value
        return found
    for measurement in evidence.measurements if own else ():
        workload, _, recipe = measurement.recipe.partition("/")
        alike = workload == target.workload and measurement.scenario == own[0].scenario
        if alike and (metric.paired_samples or measurement.device == own[0].device):
            values = metric.values_in(measurement)
            found.update({recipe: metric.factor(target.usd_per_hour) * median(values)} if values else {})
    return found
