"""Figures of all decisions of a classifier together, and of its five best guesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.core.units import NUMBER, SHARE
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.whole_set import SetMetric
from harness.tasks.classification.metrics.classification import ClassMetric
from harness.workloads import classes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Outputs

_GUESSES = 5
_BINS = 15


class Top5(ClassMetric):
    """Formula: the share of samples whose label is among the five largest logits; of equal ones the first."""

    name = "accuracy.top5"
    title = "top-5 accuracy"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        import numpy as np

        del reference
        if outputs.logits.ndim == 1 or outputs.logits.shape[1] <= _GUESSES:
            raise KpiError("with five classes or fewer top-5 accuracy is always 100 %", "use accuracy.top1")
        best = np.argsort(-outputs.logits, axis=1, kind="stable")[:, :_GUESSES]
        return [float(hit) for hit in (best == outputs.labels[:, None]).any(axis=1)]


class ClassSetMetric(ClassMetric, SetMetric):
    """A figure of all decisions together."""

    range = (0.0, 1.0)


class BySklearn(SampleMetric):
    """A figure that scikit-learn computes."""

    @classmethod
    def needs(cls) -> str:
        return f"scikit-learn {require('sklearn', 'scikit-learn').__version__}"

    @classmethod
    def identity(cls) -> dict[str, str]:
        return {"scikit-learn": str(require("sklearn", "scikit-learn").__version__)}


class SklearnMetric(BySklearn, ClassSetMetric):
    """A figure of all decisions, by scikit-learn."""

    better = "higher"


class MacroF1(SklearnMetric):
    """Formula: the mean over classes of 2 TP / (2 TP + FP + FN), a class that is never decided for counting 0.

    Classes without a sample that is of it, or decided for it, are left out. scikit-learn's f1_score, macro.
    """

    name = "accuracy.macro_f1"
    title = "macro F1"
    dimension = SHARE

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        metrics: Any = require("sklearn.metrics", "scikit-learn")
        del reference
        rows = list(places)
        found = classes.decisions(outputs.logits)[rows]
        return float(metrics.f1_score(outputs.labels[rows], found, average="macro", zero_division=0.0))


class AreaUnderCurve(SklearnMetric):
    """Formula: the area under the ROC curve; with several classes the mean over them, each against the rest.

    scikit-learn's roc_auc_score on probabilities (of a single column, or two, on the logit itself).
    """

    name = "accuracy.auc"
    title = "area under the ROC curve"
    dimension = NUMBER

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        import numpy as np

        metrics: Any = require("sklearn.metrics", "scikit-learn")
        del reference
        rows = list(places)
        labels, logits = outputs.labels[rows], outputs.logits[rows].astype(np.float64)
        columns = 1 if logits.ndim == 1 else logits.shape[1]
        there = np.unique(labels)
        if len(there) < max(2, columns):
            raise KpiError(
                f"of {max(2, columns)} classes {len(there)} have samples: the others have no area under the curve",
                "add samples of each class, or use accuracy.macro_f1",
            )
        if columns <= 2:  # noqa: PLR2004 - one decision
            score = logits.reshape(len(labels), -1)
            return float(metrics.roc_auc_score(labels, score[:, -1] - (score[:, 0] if columns > 1 else 0)))
        return float(metrics.roc_auc_score(labels, probabilities(logits), multi_class="ovr"))


class CalibrationError(ClassSetMetric):
    """Formula: the sum over 15 bins of confidence of (share of samples) x |share right - mean confidence|.

    Confidence is the largest probability (Guo et al. 2017, expected calibration error).
    """

    name = "calibration.error"
    title = "expected calibration error"
    dimension = SHARE
    better = "lower"

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        import numpy as np

        del reference
        rows = list(places)
        logits = outputs.logits[rows].astype(np.float64).reshape(len(rows), -1)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        sure = probabilities(logits).max(axis=1)
        right = classes.decisions(outputs.logits)[rows] == outputs.labels[rows]
        bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
        apart = [
            np.abs(right[bins == one].mean() - sure[bins == one].mean()) * np.mean(bins == one) for one in set(bins)
        ]
        return float(sum(apart))


def probabilities(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The softmax of logits, (samples, classes); what a model answers as probabilities stays as it is."""
    import numpy as np

    if logits.min() >= 0 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        logits = np.log(np.maximum(logits, 1e-30))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
