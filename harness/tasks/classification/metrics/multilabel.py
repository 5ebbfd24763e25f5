"""How often a sample gets the labels that it has, where it may have several or none."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.core.units import SHARE
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than_shuffled
from harness.measure.records import Outputs
from harness.tasks.classification import MULTI_LABEL, Labels
from harness.tasks.classification.metrics.averages import BySklearn
from harness.workloads.classes import check_varied

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

_LISTED = 8
_AXES = 2  # samples, labels


def answers(outputs: Outputs) -> Rows:
    """(samples, labels), whether the model answers one label or several."""
    import numpy as np

    return np.asarray(outputs.logits, dtype=np.float64).reshape(len(outputs.logits), -1)


def probable(outputs: Outputs) -> bool:
    """Whether the answers are probabilities: as the task says, else where all lie between 0 and 1."""
    said = Labels(**outputs.task).outputs
    found = answers(outputs)
    return said == "probabilities" if said else bool(found.min() >= 0 and found.max() <= 1)


def decided(outputs: Outputs) -> Flags:
    """Which labels each sample gets: those above the threshold, of logits above its own logit."""
    share = Labels(**outputs.task).threshold
    limit = share if probable(outputs) else math.log(share / (1 - share))
    found: Flags = answers(outputs) > limit
    return found


def wanted(outputs: Outputs) -> Flags:
    """Which labels each sample has."""
    import numpy as np

    found: Flags = np.asarray(outputs.labels).reshape(len(outputs.labels), -1) > 0
    return found


class MultiLabelMetric(SampleMetric):
    """A figure of labels of which a sample may have several; ``[class=3]`` is of one label alone."""

    dimension = SHARE
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    range = (0.0, 1.0)
    tasks = frozenset({MULTI_LABEL})

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """As many labels, each 0 or 1, as answers; some of both; not the same answer to all."""
        import numpy as np

        labels, found = np.asarray(outputs.labels), answers(outputs)
        if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
            raise KpiError(
                "the labels hold other values than 0 and 1",
                "give a row for each sample, (samples, labels), with 1 for each label that it has",
            )
        if labels.ndim > _AXES or labels.reshape(len(labels), -1).shape != found.shape:
            raise KpiError(
                f"{recipe} answers the shape {outputs.logits.shape}, the labels have {labels.shape}",
                'give a 0 or 1 for each answer; mark the output that is meant: scored = "NAME"',
            )
        if Labels(**outputs.task).outputs == "probabilities" and not 0 <= found.min() <= found.max() <= 1:
            raise KpiError(
                f"{recipe} answers {found.min():.3g} to {found.max():.3g}: these are no probabilities",
                'leave out outputs = "probabilities"',
            )
        check_varied(found, recipe)

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against knows which sample has which labels, not only which are frequent."""
        check_better_than_shuffled(getattr(cls, "whole", cls), outputs, recipe)

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Labels that no sample has; labels of which each sample has exactly one."""
        import numpy as np

        del reference
        labels = wanted(outputs)
        rare = [str(place) for place in np.flatnonzero(~labels.any(axis=0))]
        named = ", ".join(rare[:_LISTED]) + (" ..." if len(rare) > _LISTED else "")
        said = [f"{len(rare)} of {labels.shape[1]} labels are of no evaluation sample: {named}"] if rare else []
        if labels.shape[1] > 1 and bool((labels.sum(axis=1) == 1).all()):
            said.append("each sample has exactly one label: a task for one class would decide for the largest answer")
        return said

    @classmethod
    def class_names(cls, outputs: Outputs) -> list[str]:
        """The labels that a sample has, by their number."""
        import numpy as np

        return [str(place) for place in np.flatnonzero(wanted(outputs).any(axis=0))]

    @classmethod
    def class_part(cls, outputs: Outputs, name: str) -> Outputs:
        """All samples with one label alone; what the answers are is decided on all of them."""
        kind = "probabilities" if probable(outputs) else "logits"
        place = slice(int(name), int(name) + 1)
        task = {**outputs.task, "outputs": kind}
        return Outputs(answers(outputs)[:, place], wanted(outputs)[:, place].astype(int), outputs.slices, task)


class ExactMatch(MultiLabelMetric):
    """Formula: the share of samples that get each label that they have, and no other (subset accuracy)."""

    name = "accuracy.multilabel_exact_match"
    title = "all labels right"

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        return [float(right) for right in (decided(outputs) == wanted(outputs)).all(axis=1)]


class MultiLabelSetMetric(MultiLabelMetric, SetMetric):
    """A figure of all samples together."""

    worthless = 0.0

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        rows = list(places)
        labels = wanted(outputs)[rows]
        if not labels.any():
            raise KpiError("no sample has a label", "give samples that have some")
        return cls.figure_of(labels, cls.read(outputs)[rows])

    @classmethod
    @abstractmethod
    def read(cls, outputs: Outputs) -> Any:
        """What is held against the labels, (samples, labels)."""

    @classmethod
    @abstractmethod
    def figure_of(cls, labels: Flags, found: Any) -> float:
        """The figure of the labels that there are, of which there is one at least, and of what was found."""


class MicroF1(MultiLabelSetMetric):
    """Formula: 2 TP / (2 TP + FP + FN), counted over all samples and labels (scikit-learn's f1_score, micro)."""

    name = "accuracy.multilabel_f1"
    title = "micro F1 of labels"

    @classmethod
    def read(cls, outputs: Outputs) -> Flags:
        return decided(outputs)

    @classmethod
    def figure_of(cls, labels: Flags, found: Flags) -> float:
        return float(2 * (labels & found).sum() / (labels.sum() + found.sum()))


class MacroF1(MultiLabelSetMetric):
    """Formula: the mean over labels of 2 TP / (2 TP + FP + FN); labels that no sample has, or gets, are left out.

    scikit-learn's f1_score, macro.
    """

    name = "accuracy.multilabel_macro_f1"
    title = "macro F1 of labels"

    @classmethod
    def read(cls, outputs: Outputs) -> Flags:
        return decided(outputs)

    @classmethod
    def figure_of(cls, labels: Flags, found: Flags) -> float:
        total = labels.sum(axis=0) + found.sum(axis=0)
        return float((2 * (labels & found).sum(axis=0)[total > 0] / total[total > 0]).mean())


class MeanAveragePrecision(BySklearn, MultiLabelSetMetric):
    """Formula: the mean over labels of their average precision, samples in the order of the answers.

    Labels that no sample has are left out. scikit-learn's average_precision_score.
    """

    name = "accuracy.multilabel_map"
    title = "mAP of labels"

    @classmethod
    def read(cls, outputs: Outputs) -> Rows:
        return answers(outputs)

    @classmethod
    def figure_of(cls, labels: Flags, found: Rows) -> float:
        library: Any = require("sklearn.metrics", "scikit-learn")
        some = labels.any(axis=0)
        return float(library.average_precision_score(labels[:, some], found[:, some], average="macro"))
