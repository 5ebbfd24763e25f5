"""Boxes and objects with masks as metrics read them, picture by picture, whichever way they are kept.

Boxes are an array (pictures, boxes, numbers); objects with masks are packed, a row for each picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.measure.records import Outputs
from harness.tasks.detection.boxes import BOX
from harness.tasks.detection.decoding import FOUND
from harness.workloads.files.objects import packed, unpacked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Thing = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]

DRAWN_CLASS, FOUND_CLASS = 4, 5
"""Where the class is among the numbers of what people drew, and of what was found."""
_PACKED, _BOXES = 2, 3


def check_things(outputs: Outputs, recipe: str) -> None:
    """Raises KpiError where labels or answers are neither boxes nor objects."""
    labels, found = outputs.labels, outputs.logits
    masks = found.ndim == _PACKED and labels.ndim == _PACKED
    if not masks and (labels.ndim != _BOXES or labels.shape[2] != BOX):
        raise KpiError(
            f"{recipe}: labels have the shape {labels.shape}, (pictures, boxes, {BOX}) is needed",
            "give a COCO file as data",
        )
    if not masks and (found.ndim != _BOXES or found.shape[2] != FOUND):
        raise KpiError(f"{recipe}: what was found has the shape {found.shape}, boxes were expected")


def things(pictures: Array, known: int) -> Iterator[list[Thing]]:
    """For each picture what is in it: ``known`` numbers, and the runs of its mask where there is one."""
    import numpy as np

    for row in pictures:
        if pictures.ndim == _PACKED:
            yield list(unpacked(row, known))
        else:
            yield [(box, None) for box in np.asarray(row[~np.isnan(row[:, -1])], dtype=np.float64)]


def drawn_kinds(outputs: Outputs) -> npt.NDArray[np.int64]:
    """The class of everything that people drew."""
    return _kinds(outputs.labels, BOX, DRAWN_CLASS)


def found_kinds(outputs: Outputs) -> npt.NDArray[np.int64]:
    """The class of everything that was found."""
    return _kinds(outputs.logits, FOUND, FOUND_CLASS)


def of_class(outputs: Outputs, kind: int) -> Outputs:
    """All pictures with what is of one class alone."""
    return Outputs(
        _only(outputs.logits, FOUND, FOUND_CLASS, kind),
        _only(outputs.labels, BOX, DRAWN_CLASS, kind),
        task=outputs.task,
    )


def _kinds(pictures: Array, known: int, column: int) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array([head[column] for here in things(pictures, known) for head, _ in here], dtype=np.int64)


def _only(pictures: Array, known: int, column: int, kind: int) -> Array:
    import numpy as np

    if pictures.ndim != _PACKED:
        return np.where((pictures[:, :, column] == kind)[:, :, None], pictures, np.nan)
    return packed(
        [
            [(head, runs) for head, runs in here if runs is not None and int(head[column]) == kind]
            for here in things(pictures, known)
        ]
    )
