"""How far the numbers of a model are from the labels; each sample may have one or several."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.core.errors import KpiError
from harness.core.units import NUMBER
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than
from harness.measure.records import Outputs
from harness.tasks.regression import MEDIAN, REGRESSION, Quantiles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.float64]


def errors(outputs: Outputs) -> Rows:
    """Answers less labels, (samples, numbers). Raises KpiError where there are not as many of both.

    Of quantiles the median is the answer; KpiError where it is not among them.
    """
    import numpy as np

    answers, labels = (np.asarray(array, dtype=np.float64) for array in (outputs.logits, outputs.labels))
    shares = list(Quantiles(**outputs.task).quantiles)
    if shares:
        if MEDIAN not in shares:
            raise KpiError(
                f"the model answers the quantiles {shares}, and none of them is the median",
                "use error.pinball, or let the model answer the quantile 0.5 too",
            )
        answers = _by_quantile(answers, shares)[..., shares.index(MEDIAN)]
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


def labels(outputs: Outputs) -> Rows:
    """The labels, (samples, numbers)."""
    import numpy as np

    return np.asarray(outputs.labels, dtype=np.float64).reshape(len(outputs.labels), -1)


def always(answer: Rows, outputs: Outputs) -> Rows:
    """One answer, (numbers,), to all samples: of quantiles the same for each."""
    import numpy as np

    count, shares = len(outputs.labels), len(list(Quantiles(**outputs.task).quantiles))
    found = np.broadcast_to(answer, (count, len(answer)))
    return np.repeat(found[..., None], shares, axis=-1) if shares else found


def _by_quantile(answers: Rows, shares: Sequence[float]) -> Rows:
    """(samples, numbers, quantiles). Raises KpiError where the last axis does not hold a number for each quantile."""
    if answers.ndim == 1 or answers.shape[-1] != len(shares):
        raise KpiError(
            f"the model answers {answers.shape[1:]} for each sample, the last axis should hold {len(shares)} quantiles",
            "name the quantiles that the model answers, in its order: task = { ..., quantiles = [0.1, 0.5, 0.9] }",
        )
    return answers.reshape(len(answers), -1, len(shares))


class ErrorMetric(SampleMetric):
    """How far answers are from labels, in the label's unit."""

    dimension = NUMBER
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    tasks = REGRESSION

    @classmethod
    @abstractmethod
    def losses(cls, outputs: Outputs) -> Rows:
        """What each sample loses, (samples,)."""

    @classmethod
    @abstractmethod
    def one_answer(cls, wanted: Rows, outputs: Outputs) -> Rows:
        """The best answer to all samples, as they are answered, (samples, ...); ``wanted`` are their labels."""

    @classmethod
    def figure_of(cls, loss: float, wanted: Rows) -> float:
        """The figure of a mean loss."""
        del wanted
        return loss

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against is nearer to the labels than always the same answer."""
        whole: type[ErrorMetric] = getattr(cls, "whole", cls)
        own, wanted = whole.losses(outputs), labels(outputs)
        same = whole.losses(Outputs(whole.one_answer(wanted, outputs), outputs.labels, task=outputs.task))
        least = max(0.0, same.mean() - 2 * (same - own).std() / math.sqrt(len(own)))
        found, luck = (whole.figure_of(float(loss), wanted) for loss in (own.mean(), least))
        check_better_than(whole, found, luck, recipe, "always the same answer, with luck,")


class MeanAbsoluteError(ErrorMetric):
    """Formula: the mean over samples of the mean of |answer - label| over a sample's numbers; in the label's unit."""

    name = "error.mae"
    title = "mean absolute error"

    @classmethod
    def losses(cls, outputs: Outputs) -> Rows:
        found: Rows = abs(errors(outputs)).mean(axis=1)
        return found

    @classmethod
    def one_answer(cls, wanted: Rows, outputs: Outputs) -> Rows:
        import numpy as np

        return always(np.median(wanted, axis=0), outputs)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        found: list[float] = cls.losses(outputs).tolist()
        return found


class PinballLoss(ErrorMetric):
    """Formula: the mean over samples, their numbers and quantiles q of max(q e, (q - 1) e), e = label - answer.

    In the label's unit. Koenker and Bassett 1978; scikit-learn's mean_pinball_loss, averaged over the quantiles.
    """

    name = "error.pinball"
    title = "pinball loss"

    @classmethod
    def one_answer(cls, wanted: Rows, outputs: Outputs) -> Rows:
        import numpy as np

        shares = list(Quantiles(**outputs.task).quantiles)
        same = np.stack([np.quantile(wanted, share, axis=0) for share in shares], axis=-1)
        return np.broadcast_to(same, (*wanted.shape, len(shares)))

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        found: list[float] = cls.losses(outputs).tolist()
        return found

    @classmethod
    def losses(cls, outputs: Outputs) -> Rows:
        import numpy as np

        shares = list(Quantiles(**outputs.task).quantiles)
        if not shares:
            raise KpiError(
                "nothing says which quantiles the model answers",
                'write task = { name = "regression", quantiles = [0.1, 0.5, 0.9] }',
            )
        answers = _by_quantile(np.asarray(outputs.logits, dtype=np.float64), shares)
        each = [errors(Outputs(answers[..., place], outputs.labels)) for place in range(len(shares))]
        losses = [np.maximum(-share * apart, (1 - share) * apart) for share, apart in zip(shares, each, strict=True)]
        found: Rows = np.mean(losses, axis=0).mean(axis=1)
        return found

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Samples whose quantiles cross."""
        import numpy as np

        del reference
        answers = _by_quantile(np.asarray(outputs.logits), list(Quantiles(**outputs.task).quantiles))
        crossed = int((np.diff(answers, axis=-1) < 0).any(axis=(1, 2)).sum())
        return [f"quantiles cross on {crossed} of {len(answers)} samples"] if crossed else []


class SquaredErrorMetric(ErrorMetric, SetMetric):
    """A figure of squared errors."""

    @classmethod
    def losses(cls, outputs: Outputs) -> Rows:
        found: Rows = (errors(outputs) ** 2).mean(axis=1)
        return found

    @classmethod
    def one_answer(cls, wanted: Rows, outputs: Outputs) -> Rows:
        return always(wanted.mean(axis=0), outputs)


class RootMeanSquaredError(SquaredErrorMetric):
    """Formula: the root of the mean of (answer - label) squared over all numbers; in the label's unit."""

    name = "error.rmse"
    title = "root mean squared error"
    most_groups = 600
    """A few large errors weigh much in squares: of 200 groups too few would count."""

    @classmethod
    def figure_of(cls, loss: float, wanted: Rows) -> float:
        del wanted
        return math.sqrt(loss)

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        return math.sqrt(float((errors(outputs)[list(places)] ** 2).mean()))


class CoefficientOfDetermination(SquaredErrorMetric):
    """Formula: 1 - sum of (answer - label) squared / sum of (label - mean label) squared (R2).

    With several numbers a sample the mean of theirs. 0 is what always answering the mean would give.
    """

    name = "error.r2"
    title = "coefficient of determination"
    better = "higher"
    range = (-math.inf, 1.0)

    @classmethod
    def figure_of(cls, loss: float, wanted: Rows) -> float:
        spread = float(wanted.var(axis=0).mean())
        return 1 - loss / spread if spread else -math.inf

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
