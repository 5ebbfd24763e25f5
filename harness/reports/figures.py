"""What a measurement says, metric by metric, with the interval that its processes or samples support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.errors import Unavailable
from harness.core.text import span
from harness.evidence.model import Settings
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric
from harness.measure.records import Measurement
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


def figures(measurement: Measurement, settings: Settings, hourly: float | None = None) -> Iterator[Figure]:
    """Every metric that the measurement gives; costs only where the price of the machine's hour is given."""
    for metric in metrics().values():
        if metric.priced and not hourly:
            continue
        if metric.of_files or metric.paired_samples or _played(metric, measurement.scenario):
            try:
                shown = metric.shown(measurement, settings, metric.factor(hourly))
            except Unavailable:
                continue  # a counter that this machine does not show
            if shown is not None:
                yield Figure(metric, *shown)


def _played(metric: type[Metric], scenario: str) -> bool:
    """Whether the metric can be read from a measurement under the scenario."""
    return scenario in {resolve_scenario(metric.scenario or "", task) for task in tasks() if concerns(metric, task)}
