"""Peak memory that loading and running the artifact adds to its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import BYTES
from harness.judge.metrics.base import ProcessMetric

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class MemoryPeak(ProcessMetric):
    """Formula: peak resident set of the worker - its resident set before the artifact is loaded.

    The runtime's own library is loaded by then, the model and its buffers are not. Source: the kernel's high-water
    mark (``VmHWM``) where there is one, the operating system's peak counter elsewhere.
    """

    name = "memory.peak"
    title = "peak memory above the empty runtime"
    dimension = BYTES
    better = "lower"
    scenario = "single-stream"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(max(0, process.memory_peak - process.memory_before))
