"""What an artifact still gives after minutes of work, when the machine has become warm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.statistics import median, percentile
from harness.core.units import FACTOR, TIME
from harness.judge.metrics.base import ProcessMetric
from harness.judge.metrics.latency import Latency
from harness.judge.metrics.throughput import ThroughputSingle
from harness.measure.records import part_lengths
from harness.spec.tasks import TENSORS

if TYPE_CHECKING:
    from harness.core.units import Dimension
    from harness.measure.records import ProcessRecord


_LEAST = 5


class _SustainedLatency(Latency):
    scenario = "sustained"

    @classmethod
    def remarks(cls, processes: Sequence[ProcessRecord]) -> list[str]:
        first = [percentile(process.series["first_s"], cls.quantile) for process in processes]
        return _first_and_last(first, [cls.of(process) for process in processes], cls.dimension, processes)


class SustainedLatencyP50(_SustainedLatency):
    """Median latency of the last minute. Formula: the 50th percentile of a process's samples."""

    name = "sustained.latency.p50"
    title = "median latency of the last minute"
    quantile = 0.50


class SustainedLatencyP99(_SustainedLatency):
    """Formula: the 99th percentile of the samples of the last minute, with its exact binomial bounds."""

    name = "sustained.latency.p99"
    title = "99th percentile of latency in the last minute"
    quantile = 0.99


class SustainedThroughput(ThroughputSingle):
    """Formula: requests of the last minute / seconds from the first one's start to the last one's end."""

    name = "sustained.throughput"
    title = "throughput of the last minute"
    scenario = "sustained"
    drawn = False

    @classmethod
    def remarks(cls, processes: Sequence[ProcessRecord]) -> list[str]:
        first = [sum(p.series["first_completed"]) / max(p.series["first_elapsed_s"]) for p in processes]
        return _first_and_last(first, [cls.of(process) for process in processes], cls.dimension, processes)


class SustainedSlowdown(ProcessMetric):
    """Formula: median latency of the last minute / median latency of the first minute, of the same process."""

    name = "sustained.slowdown"
    title = "slowdown from the first to the last minute"
    dimension = FACTOR
    better = "lower"
    scenario = "sustained"
    tasks = TENSORS

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return percentile(process.samples_s, 0.5) / percentile(process.series["first_s"], 0.5)

    @classmethod
    def bounds(cls, process: ProcessRecord, confidence: float, correlation: float = 0.0) -> tuple[float, float]:
        """Of a disturbed process nothing is known: what slows its first minute makes the slowdown look small."""
        if (found := len(process.series["first_s"])) < _LEAST:
            raise KpiError(
                f"{cls.name} needs {_LEAST} requests in the first part of a process, not {found}",
                "raise scenario.sustained.minutes in the recipe: up to 3 the first third is the first part",
            )
        return (0.0, math.inf) if process.disturbed else super().bounds(process, confidence, correlation)

    @classmethod
    def remarks(cls, processes: Sequence[ProcessRecord]) -> list[str]:
        first = [percentile(process.series["first_s"], 0.5) for process in processes]
        last = [percentile(process.samples_s, 0.5) for process in processes]
        said = _first_and_last(first, last, TIME, processes)
        if len(processes) > 1 and not any(process.system.get("cooled") for process in processes):
            said.append("processes after the first began as warm as it left the machine: cool_to lets them begin cool")
        return said


def _first_and_last(
    first: Sequence[float], last: Sequence[float], shown: Dimension, processes: Sequence[ProcessRecord]
) -> list[str]:
    """The figure of the first and of the last minute, with how warm and how fast the machine was at both ends."""
    if not processes:
        return []
    part, judged = part_lengths(processes)
    span = "minute" if part == TIME.units["min"] else TIME.format(part)
    longer = f" {TIME.format(judged)}" if judged != part else ""
    said = [f"{shown.format(median(first))} in the first {span}, {shown.format(median(last))} in the last{longer}"]
    for name, unit in (("celsius", "°C"), ("mhz", "MHz")):
        ends = [(known[0], known[-1]) for process in processes if (known := _known(process, name))]
        if ends:
            said.append(f"{median([a for a, _ in ends]):.0f} to {median([b for _, b in ends]):.0f} {unit}")
        else:
            said.append(f"{'temperature' if name == 'celsius' else 'clock'} not shown by the machine")
    return ["; ".join(said)]


def _known(process: ProcessRecord, name: str) -> list[float]:
    return [value for value in process.details["windows"][name] if value is not None]
