"""What all metrics of classifiers check of the outputs before they score them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.metrics.base import SampleMetric
from harness.tasks.classification import CLASSIFICATION
from harness.workloads import classes

if TYPE_CHECKING:
    from harness.measure.records import Outputs


class ClassMetric(SampleMetric):
    """A score of decisions for classes, or of the logits behind them."""

    tasks = CLASSIFICATION

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """Logits of (n, classes), one class number for each sample."""
        classes.check_outputs(outputs, recipe)

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against decides better than always the same class."""
        classes.check_better_than_guessing(outputs, recipe)

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Classes without a sample."""
        del reference
        return classes.remarks(outputs)
