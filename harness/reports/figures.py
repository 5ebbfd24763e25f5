"""What a measurement says, metric by metric, with the interval that its processes or samples support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.score_bounds import mean_bounds
from harness.core.statistics import median, recorded_looks
from harness.core.text import span
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric, PricedMetric, ProcessMetric, ProofMetric, SampleMetric
from harness.judge.verdict import Estimate, bounds_at
from harness.measure.records import ProcessRecord
from harness.spec.tasks import concerns, resolve_scenario, tasks


@dataclass(frozen=True, slots=True)
class Figure:
    """A value in base units; ``low`` and ``high`` are those of the verdicts, None where there are too few processes."""

    metric: type[Metric]
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        dimension = self.metric.dimension
        shown = dimension.format(self.value)
        return shown if self.low is None or self.high is None else f"{shown} ({span(self.low, self.high, dimension)})"


def records_of(measurement: Mapping[str, Any]) -> list[ProcessRecord]:
    """The processes of a measurement of the evidence."""
    return [ProcessRecord.from_json(process) for process in measurement["processes"]]


def figures(
    measurement: Mapping[str, Any], settings: Mapping[str, Any], hourly: float | None = None
) -> Iterator[Figure]:
    """Every metric that the measurement gives; costs only where the price of the machine's hour is given."""
    confidence = float(settings["confidence"])
    records = records_of(measurement)
    for name, metric in metrics().items():
        if issubclass(metric, SampleMetric):
            if name in measurement["scores"]:
                scores = metric.read_scores(measurement)
                yield Figure(metric, sum(scores.own) / len(scores.own), *mean_bounds(scores, confidence))
        elif not records or not _played(metric, measurement["scenario"]):
            continue
        elif issubclass(metric, ProofMetric):
            yield Figure(metric, metric.of(records[0]))
        elif issubclass(metric, PricedMetric):
            if hourly:
                yield _estimate(metric, records, settings, hourly)
        elif issubclass(metric, ProcessMetric):
            try:
                yield _estimate(metric, records, settings)
            except Unavailable:
                continue  # a counter that this machine does not show


def _estimate(
    metric: type[ProcessMetric], records: Sequence[ProcessRecord], settings: Mapping[str, Any], factor: float = 1.0
) -> Figure:
    """The median of all processes, with the bounds of the last look that they reach, as a verdict has them."""
    confidence = float(settings["confidence"])
    value = median([factor * metric.of(record) for record in records])
    # Evidence of an early version says nothing of drift.
    looks = recorded_looks(settings["looks"], settings["against"], confidence, float(settings.get("drift", 0.0)))
    look = max((look for look in looks if look.processes <= len(records)), key=lambda k: k.processes, default=None)
    if look is None:
        return Figure(metric, value)
    estimates = []
    for record in records[: look.processes]:
        try:
            low, high = metric.bounds(record, confidence)
        except Unavailable:
            raise
        except KpiError:
            return Figure(metric, value)  # too few requests for this tail: no verdict could have bounds either
        estimates.append(Estimate(factor * metric.of(record), factor * low, factor * high))
    return Figure(metric, value, *bounds_at(look, estimates))


def _played(metric: type[Metric], scenario: str) -> bool:
    """Whether the metric can be read from a measurement under the scenario."""
    return scenario in {resolve_scenario(metric.scenario or "", task) for task in tasks() if concerns(metric, task)}
