"""The samples that a pass calibrates or tunes on: never the evaluation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from harness.core.errors import KpiError
from harness.workloads import batches as shaped
from harness.workloads.classes import decisions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.base import TensorWorkload

Arrays = dict[str, "npt.NDArray[np.generic]"]


def batches(
    workload: TensorWorkload, split: str, count: int, size: int = 1
) -> Iterator[tuple[Arrays, npt.NDArray[np.int64]]]:
    """``count`` samples of a split, always the same ones, in batches of ``size``, of one shape each, with labels."""
    data = workload.split(split)
    count = min(count, len(data))
    if count == 0:
        raise KpiError(f"the {split} split of {workload.settings.name} is empty")
    for rows in shaped.batches(data, count, size):
        yield shaped.taken(data, rows), data.labels[rows]


class Calibration(Sequence["Arrays"]):
    """``count`` training samples in batches of one, fewer where the split has no more: what ranges are taken from.

    They are read when they are asked for, so that their number costs no memory. Raises KpiError, with the sample's
    place in the split, where one holds NaN or infinity: a single one would spoil every range behind it.
    """

    def __init__(self, workload: TensorWorkload, count: int) -> None:
        self._split = workload.split("training")
        self._count = min(count, len(self._split))
        self.asked = count
        if self._count == 0:
            raise KpiError(f"the training split of {workload.settings.name} is empty")
        self._workload = workload.settings.name

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Arrays: ...

    @overload
    def __getitem__(self, place: slice) -> list[Arrays]: ...

    def __getitem__(self, place: int | slice) -> Arrays | list[Arrays]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._count))]
        if not 0 <= place < self._count:
            raise IndexError(place)
        feeds = self._split.inputs(place, place + 1)
        if wrong := _not_finite(feeds):
            raise KpiError(
                f"calibration sample {place} (of the training split of {self._workload}) holds {wrong}",
                "repair that sample or leave it out",
            )
        return feeds

    @property
    def one_shape(self) -> bool:
        """Whether all samples have one shape."""
        return self._split.shapes is None

    @property
    def notes(self) -> dict[str, Any]:
        """How many samples were used and, where there were fewer than asked for, that it was so."""
        said = f"{self._count} calibration samples were used, {self.asked} were asked for: there are no more"
        return {"calibration": self._count, **({"fewer": said} if self._count < self.asked else {})}


def _not_finite(feeds: Arrays) -> str:
    import numpy as np

    for name, array in feeds.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            return f'{"NaN" if np.isnan(array).any() else "infinity"} in input "{name}"'
    return ""


def accuracy(workload: TensorWorkload, count: int, infer: Callable[[Arrays], Any]) -> float:
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
