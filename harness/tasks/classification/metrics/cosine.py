"""How close a recipe's logits are to those of the FP32 reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import NUMBER
from harness.tasks.classification.metrics.classification import ClassMetric

if TYPE_CHECKING:
    from harness.measure.records import Outputs


class ParityCosine(ClassMetric):
    """Formula: the mean over samples of a.b / (|a| |b|), a and b the logits of the recipe and of the reference.

    Each less its mean over the classes, which no decision rests on: what all logits share would hide the rest. Logits
    that hold a NaN or an infinity score -1, the worst there is.
    """

    name = "parity.cosine"
    title = "cosine to the FP32 logits"
    dimension = NUMBER
    better = "higher"
    range = (-1.0, 1.0)
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        import numpy as np

        assert reference is not None
        a = outputs.logits.reshape(len(outputs.logits), -1).astype(np.float64)
        b = reference.logits.reshape(len(reference.logits), -1).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if a.shape[1] > 1:
                a, b = (logits - logits.mean(axis=1, keepdims=True) for logits in (a, b))
            cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        return [round(float(value), 7) for value in np.where(np.isfinite(cosine), cosine, -1.0)]
