"""What figures that are money have in common, and figures about two machines."""

from __future__ import annotations

from typing import ClassVar

from harness.core.units import MONEY
from harness.judge.case import Case, NotReproducible
from harness.judge.machine_ratio import judge_machines, sides_in
from harness.judge.metrics.base import Metric, ProcessMetric
from harness.judge.verdict import Decision


class PricedMetric(ProcessMetric):
    """An amount of money: ``of`` gives machine-hours; ``factor`` is the price of an hour."""

    dimension = MONEY
    better = "lower"
    priced = True

    @classmethod
    def factor(cls, usd_per_hour: float | None) -> float:
        return float(usd_per_hour or 1.0)


class MachineRatioMetric(Metric):
    """A figure over the same on the machine of another KPI (its ``against``); its evidence may come from elsewhere."""

    better = "lower"
    two_machines = True
    figure: ClassVar[type[PricedMetric]]

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        sides = sides_in(case.target, case.evidence, cls)
        if sides is None:
            raise NotReproducible("the processes of one of the two machines are not in the evidence")
        return judge_machines(case.bound, *sides, case.confidence)
