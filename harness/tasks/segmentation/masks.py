"""How well class masks fit: intersection over union."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Masks = npt.NDArray[np.uint8]


def ious(found: Masks, wanted: Masks, classes: int) -> npt.NDArray[np.float64]:
    """Intersection over union of each class of one frame, shape (classes,); NaN where neither mask holds the class.

    Formula: |A and B| / |A or B|, A and B the pixels of a class (Jaccard 1912). Both masks have one shape.
    """
    import numpy as np

    if found.shape != wanted.shape:
        raise ValueError(f"masks of shape {found.shape} and {wanted.shape} can't be compared")
    pairs = wanted.astype(np.intp).ravel() * classes + found.ravel()
    table = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    both = table.diagonal()
    either = table.sum(0) + table.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def mean_iou(found: Masks, wanted: Masks, classes: int) -> float:
    """The mean over the classes that one of the two masks holds, as torchmetrics' ``mean_iou`` counts a sample."""
    import numpy as np

    return float(np.nanmean(ious(found, wanted, classes)))
