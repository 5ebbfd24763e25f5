"""Models that answer a vector for each sample: what is alike should be near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

NAME = "embeddings"
_AXES = 2  # samples, values


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """A row of numbers for each sample, and labels that are no places in it, most of them there several times."""
    if (
        labels is None
        or labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or 2 * len(set(labels.tolist())) > len(labels)
    ):
        return None
    rows = [port for port in signature.floats if port.shape is not None and len(port.shape) == _AXES]
    size = (rows[0].shape or (None, None))[1] if rows else None
    few = size is None or size <= 2 or 0 <= int(labels.min()) <= int(labels.max()) < size  # noqa: PLR2004 - one decision
    return None if few else Guess(rows[0].name, sure=1)


TASKS = (
    Task(
        NAME,
        answers="array",
        metric="accuracy.recall_at_1",
        hub="feature-extraction",
        space=tensor_space,
        guess=_guess,
        starting=(("accuracy.recall_at_1", ">= 50 %", "a starting point: write what you need"),),
        kept=("accuracy.recall_at_1", "drop <= {drop} vs {reference}", "how much it may find less"),
    ),
)
EMBEDDINGS = frozenset({NAME})
