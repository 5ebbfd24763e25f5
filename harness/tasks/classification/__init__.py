"""Classifiers: which class a sample is of, or which labels it has, and how often that is right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from harness.core.registry import options_table
from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

_PICTURE = 4  # batch, channels, height, width


def _guess(kind: str, signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """A row of scores for each sample, and labels that are places in it."""
    first = signature.inputs[0]
    pictures = first.shape is not None and len(first.shape) == _PICTURE
    own = ("image",) if pictures else ("text",) if first.dtype.startswith("int") else ("tabular", "audio")
    scores = [port for port in signature.floats if port.shape is not None and len(port.shape) == 2]  # noqa: PLR2004
    if kind not in own or labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not scores:
        return None
    classes = (scores[0].shape or (None, None))[1]
    if classes is None or 0 <= int(labels.min()) <= int(labels.max()) < max(classes, 2):
        return Guess(scores[0].name)
    said = f"labels go from {labels.min()} to {labels.max()}, {scores[0].name} has {classes} classes, counted from 0"
    return Guess(note=said)


MULTI_LABEL = "multi-label-classification"


@options_table
class Labels:
    """``threshold``: the probability above which a sample has a label, between 0 and 1.

    ``outputs``: "logits" or "probabilities"; None: probabilities where all answers lie between 0 and 1.
    """

    threshold: float = 0.5
    outputs: Literal["logits", "probabilities"] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, not {self.threshold}")


def _guess_labels(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """A row of 0 and 1 for each sample, not always a single 1, and a score for each of them."""
    if labels is None or labels.ndim != 2 or not set(labels.ravel().tolist()) <= {0, 1}:  # noqa: PLR2004 - samples, labels
        return None
    scores = [port for port in signature.floats if port.fits(labels.shape, 1)]
    return Guess(scores[0].name) if scores and bool((labels.sum(axis=1) != 1).any()) else None


_SINGLE = tuple(
    Task(
        f"{kind}-classification",
        answers="array",
        metric="accuracy.top1",
        hub=f"{kind}-classification",
        space=tensor_space,
        holds=holds,
        guess=partial(_guess, kind),
        starting=(("accuracy.top1", ">= 50 %", "a starting point: write what you need"),),
        kept=("accuracy.top1", "drop <= {drop} vs {reference}", "how much accuracy it may cost"),
    )
    for kind, holds in (("image", "pictures"), ("text", "texts"), ("audio", "recordings"), ("tabular", ""))
)
_SEVERAL = Task(
    MULTI_LABEL,
    answers="array",
    metric="accuracy.multilabel_f1",
    hub="other",
    options=Labels,
    space=tensor_space,
    guess=_guess_labels,
    starting=(("accuracy.multilabel_f1", ">= 50 %", "a starting point: write what you need"),),
    kept=("accuracy.multilabel_f1", "drop <= {drop} vs {reference}", "how much accuracy it may cost"),
)
TASKS = (*_SINGLE, _SEVERAL)
CLASSIFICATION = frozenset(task.name for task in _SINGLE)
