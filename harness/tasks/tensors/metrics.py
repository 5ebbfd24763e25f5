"""How close the outputs of a recipe are to those of its reference, whatever they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.units import NUMBER, SHARE
from harness.judge.metrics.base import SampleMetric
from harness.tasks.tensors import ARRAY
from harness.workloads.classes import check_varied

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Outputs

    Rows = npt.NDArray[np.float64]

_CLOSE = 0.01


class OutputMetric(SampleMetric):
    """A score of the scored output, all its values in one row for each sample."""

    tasks = frozenset({ARRAY})
    needs_reference = True

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """The reference does not answer the same to all samples: what ignores its input would agree with it."""
        check_varied(outputs.logits, recipe)

    @classmethod
    def rows(cls, outputs: Outputs, reference: Outputs | None) -> tuple[Rows, Rows]:
        """The recipe's values and the reference's, (samples, values). KpiError where the shapes differ."""
        import numpy as np

        assert reference is not None
        if outputs.logits.shape != reference.logits.shape:
            raise KpiError(
                f"the outputs have the shape {outputs.logits.shape}, those of the reference {reference.logits.shape}",
                "recipes that are compared must answer the same output in the same shape",
            )
        own, other = (o.logits.reshape(len(o.logits), -1).astype(np.float64) for o in (outputs, reference))
        # Shorter samples are filled up: those values are not answers.
        filled = np.isnan(own) & np.isnan(other)
        return np.where(filled, 0.0, own), np.where(filled, 0.0, other)


class ParityRelativeError(OutputMetric):
    """Formula: the mean over samples of |a - b| / |b|, a and b all values of the recipe and of its reference.

    |.| is the Euclidean norm. A sample counts at most 100 %, as one does whose reference is zero and which is not.
    """

    name = "parity.relative_error"
    title = "relative error to the reference"
    dimension = SHARE
    better = "lower"
    range = (0.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        import numpy as np

        own, other = cls.rows(outputs, reference)
        apart, size = np.linalg.norm(own - other, axis=1), np.linalg.norm(other, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(apart == 0, 0.0, apart / size)
        return [round(float(value), 7) for value in np.minimum(share, 1.0)]


class ParityLargestError(OutputMetric):
    """Formula: the mean over samples of max |a - b| / max |b|, over the values of a sample; at most 100 % each."""

    name = "parity.largest_error"
    title = "largest error of a value"
    dimension = SHARE
    better = "lower"
    range = (0.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        return [round(float(value), 7) for value in _largest(*cls.rows(outputs, reference))]


class ParityClose(OutputMetric):
    """Formula: the share of samples whose values all differ by at most 1 % of the reference's largest value."""

    name = "parity.close"
    title = "samples within 1 % of the reference"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        return [float(value <= _CLOSE) for value in _largest(*cls.rows(outputs, reference))]


class ParityOutputCosine(OutputMetric):
    """Formula: the mean over samples of a.b / (|a| |b|), a and b all values of the recipe and of its reference.

    Two rows of zeros score 1, one of them -1.
    """

    name = "parity.output_cosine"
    title = "cosine to the reference's output"
    dimension = NUMBER
    better = "higher"
    range = (-1.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        import numpy as np

        own, other = cls.rows(outputs, reference)
        sizes = np.linalg.norm(own, axis=1), np.linalg.norm(other, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = (own * other).sum(axis=1) / (sizes[0] * sizes[1])
        empty = np.where((sizes[0] == 0) & (sizes[1] == 0), 1.0, -1.0)
        return [round(float(value), 7) for value in np.where(np.isfinite(cosine), cosine, empty)]


def _largest(own: Rows, other: Rows) -> Rows:
    """For each sample the largest difference, as a share of the reference's largest value; at most 1."""
    import numpy as np

    apart, size = np.abs(own - other).max(axis=1), np.abs(other).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Rows = np.minimum(np.where(apart == 0, 0.0, apart / size), 1.0)
    return share
