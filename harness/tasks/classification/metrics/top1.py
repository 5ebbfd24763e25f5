"""Top-1 accuracy of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import SHARE
from harness.tasks.classification.metrics.classification import ClassMetric
from harness.workloads import classes

if TYPE_CHECKING:
    from harness.measure.records import Outputs


class Top1(ClassMetric):
    """Formula: the share of evaluation samples whose largest logit is that of the label; ties count as the first.

    A single column decides for class 1 where it is above zero.
    """

    name = "accuracy.top1"
    title = "top-1 accuracy"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        hits = classes.decisions(outputs.logits) == outputs.labels
        return [float(hit) for hit in hits]
