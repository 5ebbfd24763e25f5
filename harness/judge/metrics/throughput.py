"""Samples per second, measured over wall time, never derived from a latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import SAMPLE_RATE
from harness.judge.metrics.base import ProcessMetric
from harness.spec.tasks import TENSORS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class _Throughput(ProcessMetric):
    """Formula: samples completed / seconds from the first request's start to the last one's end."""

    dimension = SAMPLE_RATE
    better = "higher"
    tasks = TENSORS

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return process.completed / process.elapsed_s


class ThroughputSingle(_Throughput):
    """Throughput of one request after another, batch 1 (MLPerf SingleStream)."""

    name = "throughput.single"
    drawn = True
    title = "throughput, one request at a time"
    scenario = "single-stream"


class ThroughputOffline(_Throughput):
    """Throughput when all samples are there at once (MLPerf Offline): batches, asynchronous where asked."""

    name = "throughput.offline"
    drawn = True
    title = "batch throughput"
    scenario = "offline"
