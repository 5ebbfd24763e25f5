"""How long an artifact takes to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import TIME
from harness.judge.metrics.base import ProcessMetric

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class Load(ProcessMetric):
    """Formula: seconds from asking the runtime for a session until it can take a request, files in the page cache."""

    name = "load"
    title = "time to load"
    dimension = TIME
    better = "lower"
    scenario = "single-stream"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return process.load_s
