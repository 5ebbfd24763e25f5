"""Masks of objects in the pixels of the model's input, from what networks answer in their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.workloads.files.resizing import between, spread

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.tasks.detection.decoding import Size

    Array = npt.NDArray[np.floating[Any]]
    Mask = npt.NDArray[np.bool_]


def woven(weights: Array, prototypes: Array, corners: Array, size: Size) -> Iterator[Mask]:
    """Masks that are sums of prototypes (count, h, w), ``weights`` (objects, count), within boxes.

    The sum is enlarged linearly, cut to the box, and holds the object where it is above 0: YOLACT's way (Bolya et al.
    2019), in the order in which Ultralytics' ``retina_masks`` does it.
    """
    import numpy as np

    height, width = size
    down, across = spread(prototypes.shape[1], height), spread(prototypes.shape[2], width)
    for one, box in zip(weights.astype(np.float64), corners, strict=True):
        mask, (rows, columns) = np.zeros(size, bool), _within(np.ceil(box), size)
        small = np.tensordot(one, prototypes.astype(np.float64), axes=1)
        mask[rows, columns] = down[rows] @ small @ across[columns].T > 0
        yield mask


def whole(masks: Array, _: Array, __: Size, threshold: float) -> Iterator[Mask]:
    """Masks (objects, height, width) of the whole picture."""
    yield from masks > threshold


def pasted(masks: Array, corners: Array, size: Size, threshold: float) -> Iterator[Mask]:
    """Masks (objects, h, w) of boxes, stretched over them linearly: pixels whose middle lies in the box."""
    import numpy as np

    for small, box in zip(masks.astype(np.float64), corners, strict=True):
        mask, (rows, columns) = np.zeros(size, bool), _within(np.ceil(box - 0.5), size)
        down, across = (
            between((np.arange(part.start, part.stop) + 0.5 - first) / max(last - first, 1e-9) * count - 0.5, count)
            for part, first, last, count in (
                (rows, box[1], box[3], small.shape[0]),
                (columns, box[0], box[2], small.shape[1]),
            )
        )
        mask[rows, columns] = down @ small @ across.T > threshold
        yield mask


def _within(corners: Array, size: Size) -> tuple[slice, slice]:
    """The rows and columns of a picture from the first corner to before the second."""
    height, width = size
    left, top, right, bottom = (int(value) for value in corners.clip(0, [width, height, width, height]))
    return slice(top, max(top, bottom)), slice(left, max(left, right))
