"""How often a recipe decides as the FP32 reference does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import SHARE
from harness.tasks.classification.metrics.classification import ClassMetric
from harness.workloads import classes

if TYPE_CHECKING:
    from harness.measure.records import Outputs


class ParityAgreement(ClassMetric):
    """Formula: the share of evaluation samples with the same largest logit as the workload's reference recipe."""

    name = "parity.agreement"
    title = "same decision as FP32"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        assert reference is not None
        same = classes.decisions(outputs.logits) == classes.decisions(reference.logits)
        return [float(equal) for equal in same]
