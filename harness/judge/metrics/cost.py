"""What work costs on the machine that a KPI was written for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import NUMBER
from harness.judge.metrics.priced import MachineRatioMetric, PricedMetric
from harness.spec.tasks import TENSORS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord

_MILLION = 1e6


class CostOfWork(PricedMetric):
    """Formula: price of an hour / what is done in an hour x 1,000,000."""

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return _MILLION * process.elapsed_s / process.completed / 3600


class CostPerMillion(CostOfWork):
    """Formula: price of an hour / samples an hour x 1,000,000; the throughput is that of batches (Offline)."""

    name = "cost.per_million"
    drawn = True
    title = "cost of a million samples"
    scenario = "offline"
    tasks = TENSORS


class CostRatio(MachineRatioMetric):
    """Formula: the median cost of a sample (a token) / that of the KPI named in ``against``, on its machine."""

    name = "cost.ratio"
    title = "cost relative to another machine"
    dimension = NUMBER
    scenario = "offline"
    figure = CostPerMillion
