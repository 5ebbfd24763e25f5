"""The samples that a pass calibrates or tunes on: never the evaluation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from harness.classes import decisions
from harness.errors import KpiError
from harness.units import POINTS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workload import Workload

Arrays = dict[str, "npt.NDArray[np.generic]"]


def batches(
    workload: Workload, split: str, count: int, size: int = 1
) -> Iterator[tuple[Arrays, npt.NDArray[np.int64]]]:
    """``count`` samples of a split in batches of ``size``, with their labels, always the same ones."""
    data = workload.split(split)
    count = min(count, len(data))
    if count == 0:
        raise KpiError(f"the {split} split of {workload.settings.name} is empty")
    for start in range(0, count, size):
        stop = min(start + size, count)
        yield data.inputs(start, stop), data.labels[start:stop]


def accuracy(workload: Workload, count: int, infer: Callable[[Arrays], Any]) -> float:
    """The share of labels met on ``count`` validation samples; ``infer`` gives logits (batch, classes, ...)."""
    import numpy as np

    right = total = 0
    for feeds, labels in batches(workload, "validation", count, size=16):
        logits = infer(feeds)
        if not np.isfinite(logits).all():
            raise KpiError(f"the model answers NaN or infinity on one of {count} validation samples")
        right += int((decisions(logits) == labels).sum())
        total += labels.size
    return right / total


def parse_drop(text: str) -> float:
    """Reads a permitted loss of accuracy such as "1 pp" as a share; ValueError when it is not one."""
    drop = POINTS.parse(text)
    if not 0 <= drop < 1:
        raise ValueError(f"max_drop = {text!r}: must be from 0 pp to below 100 pp")
    return drop
