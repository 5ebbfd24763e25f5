"""Top-1 accuracy of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.metrics.base import SampleMetric
from harness.tasks import CLASSIFICATION
from harness.units import SHARE

if TYPE_CHECKING:
    from harness.measure.records import Outputs


class Top1(SampleMetric):
    """Formula: the share of evaluation samples whose largest logit is that of the label; ties count as the first."""

    name = "accuracy.top1"
    title = "top-1 accuracy"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    tasks = CLASSIFICATION

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        hits = outputs.logits.argmax(axis=1) == outputs.labels
        return [float(hit) for hit in hits]
