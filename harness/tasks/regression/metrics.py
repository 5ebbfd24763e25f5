"""How far the numbers of a model are from the labels; each sample may have one or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.units import NUMBER
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.whole_set import SetMetric
from harness.tasks.regression import REGRESSION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Outputs

    Rows = npt.NDArray[np.float64]


def errors(outputs: Outputs) -> Rows:
    """Answers less labels, (samples, numbers). Raises KpiError where there are not as many of both."""
    import numpy as np

    answers, labels = (np.asarray(array, dtype=np.float64) for array in (outputs.logits, outputs.labels))
    answers, labels = answers.reshape(len(answers), -1), labels.reshape(len(labels), -1)
    if answers.shape != labels.shape:
        raise KpiError(
            f"the model answers {answers.shape[1]} numbers for each of {len(answers)} samples, the labels have "
            f"{labels.shape[1]} for each of {len(labels)}",
            'give a label for each number, or mark the output that is meant: scored = "NAME"',
        )
    if not np.isfinite(labels).all():
        first = int(np.flatnonzero(~np.isfinite(labels).all(axis=1))[0])
        raise KpiError(f"the label of sample {first} is NaN or infinite", "repair it or leave the sample out")
    return answers - labels


class MeanAbsoluteError(SampleMetric):
    """Formula: the mean over samples of the mean of |answer - label| over a sample's numbers; in the label's unit."""

    name = "error.mae"
    title = "mean absolute error"
    dimension = NUMBER
    better = "lower"
    tasks = REGRESSION

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        found: list[float] = abs(errors(outputs)).mean(axis=1).tolist()
        return found


class RootMeanSquaredError(SetMetric):
    """Formula: the root of the mean of (answer - label) squared over all numbers; in the label's unit."""

    name = "error.rmse"
    title = "root mean squared error"
    dimension = NUMBER
    better = "lower"
    tasks = REGRESSION
    most_groups = 600
    """A few large errors weigh much in squares: of 200 groups too few would count."""

    @classmethod
    def count(cls, outputs: Outputs) -> int:
        return len(outputs.labels)

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        return math.sqrt(float((errors(outputs)[list(places)] ** 2).mean()))


class CoefficientOfDetermination(SetMetric):
    """Formula: 1 - sum of (answer - label) squared / sum of (label - mean label) squared (R2).

    With several numbers a sample the mean of theirs. 0 is what always answering the mean would give.
    """

    name = "error.r2"
    title = "coefficient of determination"
    dimension = NUMBER
    better = "higher"
    range = (-math.inf, 1.0)
    tasks = REGRESSION

    @classmethod
    def count(cls, outputs: Outputs) -> int:
        return len(outputs.labels)

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        import numpy as np

        del reference
        rows, apart = list(places), errors(outputs)
        labels = np.asarray(outputs.labels, dtype=np.float64).reshape(len(outputs.labels), -1)[rows]
        spread = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
        if not (spread > 0).all():
            raise KpiError("a label is the same for all samples: R2 says nothing of it", "use error.mae or error.rmse")
        return float((1 - (apart[rows] ** 2).sum(axis=0) / spread).mean())
