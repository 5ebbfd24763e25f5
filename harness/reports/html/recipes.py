"""The recipes that a run measured, as points: size, accuracy, speed; which of them none other beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.core.bounds import Bound, Relation, parse_bound
from harness.evidence.model import Evidence
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric
from harness.judge.verdict import Basis
from harness.measure.records import Measurement
from harness.reports.figures import Figure, figures
from harness.reports.html.parts import recipe_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe of a workload with every figure that the run has of it, by the metric's name."""

    name: str
    figures: dict[str, Figure] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """The figure's value in base units, None where there is none."""
        found = self.figures.get(metric)
        return found.value if found else None


def recipes(workload: str, evidence: Evidence) -> list[Recipe]:
    """Every recipe of the workload that was measured, in the order in which the promises name them."""
    found: dict[str, Recipe] = {}
    for target in evidence.targets:
        if target.workload == workload and target.known:
            found.setdefault(target.recipe, Recipe(target.recipe))
    for measurement in evidence.measurements:
        of, name = recipe_of(measurement)
        if of == workload:
            recipe = found.setdefault(name, Recipe(name))
            # What another recipe was compared with is measured twice: the first stays.
            for figure in figures(_undisturbed(measurement), evidence.settings):
                recipe.figures.setdefault(figure.metric.name, figure)
    for target in evidence.targets:
        # The verdict's own figure counts, where there is one.
        judged = target.relation == Relation.VALUE and target.known
        if judged and target.workload == workload and target.metric in metrics():
            edges = [] if target.of == Basis.EXACT else [target.low, target.high]
            made = Figure(metrics()[target.metric], target.value, *edges)
            found[target.recipe].figures[target.metric] = made
    return [recipe for recipe in found.values() if recipe.figures]


def _undisturbed(measurement: Measurement) -> Measurement:
    processes = [process for process in measurement.processes if not process.disturbed]
    return replace(measurement, processes=processes or measurement.processes)


def front(points: Sequence[Recipe], names: Sequence[str]) -> list[Recipe]:
    """The Pareto front: recipes that have all of the metrics, and that none is as good as in all and better in one."""
    full = [point for point in points if all(name in point.figures for name in names)]

    def goods(recipe: Recipe) -> list[float]:
        return [_good(recipe.figures[name]) for name in names]

    def beaten(recipe: Recipe) -> bool:
        own = goods(recipe)
        return any(
            goods(other) != own and all(o >= mine for o, mine in zip(goods(other), own, strict=True)) for other in full
        )

    return [recipe for recipe in full if not beaten(recipe)]


def _good(figure: Figure) -> float:
    return figure.value if figure.metric.better == "higher" else -figure.value


@dataclass(frozen=True, slots=True)
class Region:
    """What a KPI asks of its recipe in absolute figures, by metric; in base units, as written next to it."""

    kpi: str
    recipe: str
    limits: dict[str, float]
    written: dict[str, str]


def regions(workload: str, evidence: Evidence, points: Sequence[Recipe]) -> list[Region]:
    """The feasible region of every KPI of the workload; a comparison holds for the compared recipe's figure here."""
    by_name = {recipe.name: recipe for recipe in points}
    found: dict[str, Region] = {}
    for target in evidence.targets:
        metric = metrics().get(target.metric)
        if target.workload != workload or metric is None:
            continue
        base = by_name[target.versus].value(metric.name) if target.versus in by_name else None
        region = found.setdefault(target.kpi, Region(target.kpi, target.recipe, {}, {}))
        for limit in _absolute(parse_bound(target.bound, metric.dimension), metric, base):
            known = region.limits.get(metric.name)
            tighter = known is None or (limit < known if metric.better == "lower" else limit > known)
            if tighter:
                region.limits[metric.name] = limit
                region.written[metric.name] = target.bound
    return [region for region in found.values() if region.limits]


def _absolute(bound: Bound, metric: type[Metric], base: float | None) -> Iterator[float]:
    """The limit on the metric itself, where the figure it is compared with is known."""
    if bound.relation is Relation.VALUE:
        yield bound.limit
    elif base is not None and bound.relation in (Relation.SHARE, Relation.RATIO):
        yield bound.limit * base
    elif base is not None:
        worse = bound.limit if bound.relation is Relation.DROP else -bound.limit
        yield base - worse if metric.better == "higher" else base + worse
