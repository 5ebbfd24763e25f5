"""What a target must be to make sense: comparable, in the right direction, able to hold, able to fail."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.bounds import MEDIAN, Bound, Relation
from harness.core.errors import suggest
from harness.core.statistics import looks_for, plan_looks, samples_needed
from harness.core.units import COUNT, SHARE
from harness.spec.catalog import metrics, passes, scenarios
from harness.spec.hints import wrong_task
from harness.spec.model import DEVICES, Kpi, Machine, MeasureSettings, PassSpec, WorkloadSpec
from harness.spec.schema import KpiTable
from harness.spec.tasks import concerns, resolve_scenario

if TYPE_CHECKING:
    from harness.judge.metrics.base import Metric
    from harness.measure.scenarios.base import Scenario

_COMPARED = (Relation.DROP, Relation.GAIN)
_OF_PYTEST = frozenset(
    {"filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xfail"}
)


def check_bound(metric: type[Metric], bound: Bound, recipe: str, workload: WorkloadSpec) -> None:
    """Raises ValueError when the promise makes no sense for the metric, the recipe or the workload."""
    text = f"{bound.text!r}"
    if not concerns(metric, workload.task):
        raise ValueError(f"{text}: {wrong_task(metric, workload.task)}")
    if metric.needs_reference:
        own = workload.recipes.get(recipe)
        reference = (own.reference if own else None) or workload.reference
        if reference is None:
            raise ValueError(f'{text}: needs a reference; set reference = "RECIPE" in [workload.{workload.name}]')
        if recipe == reference:
            raise ValueError(f"{text}: compares the reference recipe {recipe!r} with itself")
    if bound.versus is not None:
        if bound.versus not in workload.recipes:
            raise ValueError(f"{text}: {suggest(bound.versus, workload.recipes, 'recipe')}")
        if bound.versus == recipe:
            raise ValueError(f"{text}: compares the recipe with itself")
        if bound.relation in _COMPARED and not metric.paired_samples:
            raise ValueError(f"{text}: {metric.name} has no paired samples; compare it with 'x' or '% of'")
        if not metric.comparable:
            raise ValueError(f"{text}: {metric.name} can't be compared with another recipe")
    _check_direction(metric, bound)
    _check_reach(metric, bound)


def share_mistake(bound: Bound, settings: MeasureSettings) -> str:
    """Why the planned processes can't prove a bound for so many of them; empty where they can."""
    confidence = settings.confidence_at(1)
    if bound.share == MEDIAN or looks_for(settings.looks, confidence, 0.0, bound.share)[-1].against >= 0:
        return ""
    needed = samples_needed(bound.share, confidence)
    return f"{bound.text!r}: takes at least {needed} processes, looks end at {settings.looks[-1]}; add looks"


def kpi_mistakes(
    kpis: Sequence[Kpi], machines: Mapping[str, Machine], workloads: Mapping[str, WorkloadSpec]
) -> Iterator[tuple[str, str]]:
    """What is wrong with KPIs in the light of the other tables, each mistake with the name of its KPI."""
    yield from against_mistakes(kpis, machines)
    for kpi in kpis:
        if kpi.workload in workloads:
            for mistake in batch_mistakes(kpi, workloads[kpi.workload]):
                yield kpi.name, mistake


def batch_mistakes(kpi: Kpi, workload: WorkloadSpec) -> Iterator[str]:
    """The targets of a KPI whose scenario sends a batch size that a recipe with a fixed one does not take."""
    for target in kpi.targets:
        names = [target.recipe, *([target.bound.versus] if target.bound.versus else [])]
        if target.metric.needs_reference:
            known = [workload.recipes[name] for name in names if name in workload.recipes]
            names += [recipe.reference or workload.reference or "" for recipe in known]
        for recipe in (workload.recipes[name] for name in dict.fromkeys(names) if name in workload.recipes):
            scenario = resolve_scenario(target.metric.scenario or "", workload.task)
            fixed = next(((s.name, size) for s in recipe.passes if (size := _fixed_batch(s)) is not None), None)
            if fixed is None or scenario not in scenarios():
                continue
            cls = scenarios()[scenario]
            sent = cls(cls.Options(**recipe.scenarios.get(scenario, {}))).batch
            if sent == fixed[1]:
                continue
            remedy = f"; set scenario.{scenario} = {{ batch = {fixed[1]} }} in the recipe" * ("batch" in _fields(cls))
            sends = "batches of several sizes" if sent is None else f"batches of {sent}"
            yield (
                f"{target.metric_name}: scenario {scenario} sends {sends}, but recipe {recipe.name} takes {fixed[1]} "
                f'(pass "{fixed[0]}", batch = {fixed[1]}){remedy}'
            )


def _fixed_batch(step: PassSpec) -> int | None:
    cls = passes()[step.name]
    return cls(cls.Options(**step.options)).batch


def _fields(cls: type[Scenario[Any]]) -> Mapping[str, object]:
    fields: Mapping[str, object] = cls.Options.__dataclass_fields__
    return fields


def against_mistakes(kpis: Sequence[Kpi], machines: Mapping[str, Machine]) -> Iterator[tuple[str, str]]:
    """The KPIs whose ``against`` makes no sense, each with what is wrong; ``machines`` are those of a known price."""
    names = {kpi.name: kpi for kpi in kpis}
    for kpi in kpis:
        asked = any(target.metric.two_machines for target in kpi.targets)
        if kpi.against is None:
            if asked:
                yield kpi.name, 'cost.ratio: needs a KPI to compare with; set against = "KPI"'
            continue
        other = names.get(kpi.against)
        if not asked:
            yield kpi.name, "against is for cost.ratio, which is not among the targets"
        elif other is None:
            yield kpi.name, f"against: {suggest(kpi.against, names, 'KPI')}"
        elif other is kpi:
            yield kpi.name, "against: compares the KPI with itself"
        elif other.workload != kpi.workload:
            yield kpi.name, f"against: {other.name!r} is about the workload {other.workload!r}, not {kpi.workload!r}"
        else:
            for machine in dict.fromkeys((kpi.machine, other.machine)):
                if machine in machines and machines[machine].price is None:
                    yield kpi.name, f"cost.ratio: needs a price; set price in [machine.{machine}]"


def price_mistakes(kpi: KpiTable, machine: object) -> Iterator[str]:
    """The metrics of money among a KPI's, where its machine (a table as it is in the file) has no price."""
    if isinstance(machine, dict) and machine.get("price") is None:
        for metric in kpi.targets:
            if metric in metrics() and metrics()[metric].priced:
                yield f"{metric}: needs a price; set price in [machine.{kpi.machine}]"


def mark_mistakes(marks: Sequence[str]) -> Iterator[str]:
    """What is wrong with a KPI's own pytest markers: names that ``-m`` can't take, or that mean something already."""
    kinds = {metric.kind() for metric in metrics().values()}
    for mark in marks:
        if mark in DEVICES:
            yield f'marks: "{mark}" is the marker of a device; it follows from the machine'
        elif mark in kinds:
            yield f'marks: "{mark}" is the marker of a kind of metric; choose another name'
        elif mark in _OF_PYTEST:
            yield f'marks: "{mark}" means something else to pytest; choose another name'
        elif keyword.iskeyword(mark):
            yield f'marks: "{mark}" can\'t be selected with -m; choose another name'


def impossible(settings: MeasureSettings) -> str:
    """Why nothing can be measured so; empty when all is well."""
    if not 0.5 <= settings.confidence < 1:  # noqa: PLR2004 - below a coin toss nothing is promised
        return f"confidence: must be from 50 % to below 100 %, not {100 * settings.confidence:g} %"
    if not 0 <= settings.drift <= 0.5:  # noqa: PLR2004 - beyond this nothing could be decided before the end
        return f"drift: must be from 0 % to 50 %, not {100 * settings.drift:g} %"
    if min(settings.seconds, settings.budget_s) <= 0:
        return "seconds and budget: must be above 0 s"
    if list(settings.looks) != sorted(set(settings.looks)):
        return f"looks = {list(settings.looks)}: must grow, as in [6, 9, 12, 16, 20, 26, 32, 40]"
    if plan_looks(settings.looks, settings.confidence_at(1))[-1].against < 0:
        return f"looks: {settings.looks[-1]} processes can decide nothing at that confidence; allow more"
    return ""


def _check_direction(metric: type[Metric], bound: Bound) -> None:
    wants_upper = metric.better == "lower"
    if bound.relation is Relation.DROP:
        wants_upper = True
    elif bound.relation is Relation.GAIN:
        wants_upper = False
    if bound.upper is not wants_upper:
        what = bound.relation if bound.relation in _COMPARED else metric.name
        right = "<" if wants_upper else ">"
        raise ValueError(f"{bound.text!r}: {what} is better {'lower' if wants_upper else 'higher'}; write '{right}'")


def _check_reach(metric: type[Metric], bound: Bound) -> None:
    """Refuses a bound that no value can keep, or that every value keeps, and one on processes where there are none."""
    if bound.share != MEDIAN and (bound.versus or not metric.per_process):
        raise ValueError(f"{bound.text!r}: a share of the processes is for a bound on a figure that each of them has")
    low, high = metric.range
    if bound.relation in _COMPARED:
        low, high = low - high, high - low
    elif bound.relation is not Relation.VALUE:
        low, high = 0.0, float("inf")
    best, worst = (low, high) if bound.upper else (high, low)
    if not bound.holds(best) or (bound.upper and bound.limit < low):
        raise ValueError(f"{bound.text!r} can never hold: {metric.name} lies between {low:g} and {high:g}")
    # A count or a share may be asked to be zero; a time or a size may not.
    positive = metric.better == "lower" and metric.dimension not in (COUNT, SHARE)
    if positive and bound.relation is Relation.VALUE and bound.limit <= 0:
        raise ValueError(f"{bound.text!r} can never hold: {metric.name} is above 0")
    if bound.relation not in (Relation.VALUE, *_COMPARED) and bound.limit <= 0:
        raise ValueError(f"{bound.text!r}: a share or factor must be above 0")
    if bound.holds(worst):
        raise ValueError(f"{bound.text!r} always holds: it would prove nothing")


def _tail(name: str) -> str:
    """``top1`` of ``accuracy.top1``; the name of a slice stays whole."""
    base, bracket, rest = name.partition("[")
    return base.rpartition(".")[2] + bracket + rest


def target_labels(promises: Sequence[tuple[str, Bound]]) -> list[str]:
    """Short names of a KPI's targets, each one of a kind: ``p50``, ``top1-drop-vs-fp32``."""
    names = {name for name, _ in promises}
    shared = {t for t, count in Counter(map(_tail, names)).items() if count > 1}
    labels = []
    for name, bound in promises:
        tail = _tail(name)
        label = name if tail in shared else tail
        if bound.relation is not Relation.VALUE:
            label += f"-{bound.relation}-{bound.versus}"
        labels.append(label)
    counts = Counter(labels)
    return [
        f"{label} {bound.text}" if counts[label] > 1 else label
        for label, (_, bound) in zip(labels, promises, strict=True)
    ]
