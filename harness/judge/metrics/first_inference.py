"""How long the very first request takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import TIME
from harness.judge.metrics.base import ProcessMetric

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class FirstInference(ProcessMetric):
    """Formula: seconds of the first request after loading, in a fresh process, without any warm-up."""

    name = "first_inference"
    title = "time of the first request"
    dimension = TIME
    better = "lower"
    scenario = "single-stream"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return process.first_inference_s
