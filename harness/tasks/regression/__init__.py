"""Models that answer numbers: how far they are from what is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.registry import options_table
from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature


MEDIAN = 0.5
_CLASSES = 2


@options_table
class Quantiles:
    """``quantiles``: the shares that the last axis of the answers has values for, in its order, each between 0 and 1.

    None: answers are numbers as the labels are. With some, metrics that are not of quantiles use the median.
    """

    quantiles: Sequence[float] = ()

    def __post_init__(self) -> None:
        given = list(self.quantiles)
        if not all(0 < share < 1 for share in given):
            raise ValueError(f"quantiles must be between 0 and 1, not {given}")
        if given != sorted(set(given)):
            raise ValueError(f"quantiles must grow, as the model's answers do, not {given}")


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """Labels that are numbers, one for each that the model answers; whole ones where they are no two classes."""
    if labels is None or not signature.floats:
        return None
    port = signature.floats[0]
    sizes = (port.shape or ())[1:]
    whole = (
        labels.dtype.kind in "iu" and labels.ndim == 1 and len(set(labels.tolist())) > _CLASSES and sizes in ((), (1,))
    )
    if labels.dtype.kind != "f" and not whole:
        return None
    as_many = port.shape is None or None in sizes or math.prod(map(int, filter(None, sizes))) == labels[0].size
    return Guess(port.name, sure=1) if as_many else None


TASKS = tuple(
    Task(
        name,
        answers="array",
        metric="error.rmse",
        options=Quantiles,
        hub=hub,
        space=tensor_space,
        guess=guess,
        kept=("parity.relative_error", "<= {share}", "how far its outputs may be from those of the delivered file"),
        starting=(("error.r2", ">= 0.5", "a starting point: write what you need"),),
    )
    for name, hub, guess in (
        ("regression", "tabular-regression", _guess),
        ("time-series-forecasting", "time-series-forecasting", None),
    )
)
REGRESSION = frozenset(task.name for task in TASKS)
