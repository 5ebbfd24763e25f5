"""Latency of one request at a time, from host input to host output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from harness.core.bounds import MEDIAN
from harness.core.errors import KpiError
from harness.core.statistics import (
    effective_samples,
    percentile,
    percentile_bounds,
    samples_needed,
    tail_correlation,
)
from harness.core.units import TIME
from harness.judge.metrics.base import ProcessMetric
from harness.measure.sequence import Within
from harness.spec.tasks import TENSORS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


_SPARE = 2
"""So many times the independent requests that a tail needs: neighbouring slow ones may then correlate by a third."""


class Latency(ProcessMetric):
    """The q-th percentile of a process's samples by linear interpolation (NumPy's default, Hyndman and Fan's type 7).

    MLPerf calls the scenario SingleStream. The bounds are the exact binomial ones for a quantile (order statistics),
    of as many requests as those are worth that follow one another.
    """

    dimension = TIME
    better = "lower"
    scenario = "single-stream"
    tasks = TENSORS
    quantile: ClassVar[float]

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        """The durations of which the percentile is taken, seconds."""
        return process.samples_s

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return percentile(cls.values(process), cls.quantile)

    @classmethod
    def tail_correlation(cls, processes: Sequence[ProcessRecord]) -> float:
        if cls.quantile <= MEDIAN:
            return 0.0
        return tail_correlation([cls.values(process) for process in processes], cls.quantile)

    @classmethod
    def within(cls, processes: Sequence[ProcessRecord], confidence: float) -> Within | None:
        if cls.quantile <= MEDIAN or not processes:
            return None
        samples, correlation = len(cls.values(processes[0])), cls.tail_correlation(processes)
        return Within(
            samples=samples,
            correlation=round(correlation, 4),
            effective=round(effective_samples(samples, correlation), 1),
            needed=samples_needed(cls.quantile, confidence),
        )

    @classmethod
    def bounds(cls, process: ProcessRecord, confidence: float, correlation: float = 0.0) -> tuple[float, float]:
        if cls.quantile <= MEDIAN:  # it has samples on both sides; only tails need this
            return super().bounds(process, confidence)
        values = cls.values(process)
        if len(values) < (needed := samples_needed(cls.quantile, confidence)):
            raise KpiError(
                f"{cls.name} at {100 * confidence:g} % confidence needs {needed} samples of a process, not "
                f"{len(values)}"
            )
        return percentile_bounds(values, cls.quantile, confidence, correlation)

    @classmethod
    def least_samples(cls, confidence: float) -> int:
        return 1 if cls.quantile <= MEDIAN else _SPARE * samples_needed(cls.quantile, confidence)


class LatencyP50(Latency):
    """Median latency. Formula: the 50th percentile of a process's samples."""

    name = "latency.p50"
    drawn = True
    title = "median latency"
    quantile = 0.50


class LatencyP95(Latency):
    """Formula: the 95th percentile of a process's samples, with its exact binomial bounds."""

    name = "latency.p95"
    title = "95th percentile of latency"
    quantile = 0.95


class LatencyP99(Latency):
    """Formula: the 99th percentile of a process's samples, with its exact binomial bounds."""

    name = "latency.p99"
    title = "99th percentile of latency"
    quantile = 0.99
