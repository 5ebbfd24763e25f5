"""Classifiers: what is decided of each sample, and how often rightly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
    own = "image" if pictures else "text" if first.dtype.startswith("int") else "tabular"
    scores = [port for port in signature.floats if port.shape is not None and len(port.shape) == 2]  # noqa: PLR2004
    if own != kind or labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not scores:
        return None
    classes = (scores[0].shape or (None, None))[1]
    if classes is None or 0 <= int(labels.min()) <= int(labels.max()) < max(classes, 2):
        return Guess(scores[0].name)
    said = f"labels go from {labels.min()} to {labels.max()}, {scores[0].name} has {classes} classes, counted from 0"
    return Guess(note=said)


TASKS = tuple(
    Task(
        f"{kind}-classification",
        answers="array",
        metric="accuracy.top1",
        hub=f"{kind}-classification",
        space=tensor_space,
        guess=partial(_guess, kind),
        starting=(("accuracy.top1", ">= 50 %", "a starting point: write what you need"),),
        kept=("accuracy.top1", "drop <= 1 pp vs {reference}", "how much accuracy it may cost"),
    )
    for kind in ("image", "text", "audio", "tabular")
)
CLASSIFICATION = frozenset(task.name for task in TASKS)
