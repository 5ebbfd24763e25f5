"""Models that answer numbers: how far they are from what is right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """Labels that are numbers, one for each that the model answers."""
    if labels is None or labels.dtype.kind != "f" or not signature.floats:
        return None
    port = signature.floats[0]
    sizes = (port.shape or ())[1:]
    as_many = port.shape is None or None in sizes or math.prod(map(int, filter(None, sizes))) == labels[0].size
    return Guess(port.name, sure=1) if as_many else None


TASKS = tuple(
    Task(
        name,
        answers="array",
        metric="error.rmse",
        hub=hub,
        space=tensor_space,
        guess=guess,
        starting=(("error.r2", ">= 0.5", "a starting point: write what you need"),),
    )
    for name, hub, guess in (
        ("regression", "tabular-regression", _guess),
        ("time-series-forecasting", "time-series-forecasting", None),
    )
)
REGRESSION = frozenset(task.name for task in TASKS)
