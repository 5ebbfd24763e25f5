"""Masks as COCO files write them, polygons or runs of pixels, in the pixels of the model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.libraries import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.files.pictures import Fitted

    Mask = npt.NDArray[np.bool_]

_LEAST = 6
"""Numbers of a polygon: three corners."""


def mask_of(given: Any, size: tuple[int, int], where: Fitted, whole: tuple[int, int]) -> Mask:
    """A mask in the input, (height, width) = ``whole``, of a picture of ``size`` (height, width) that lies ``where``.

    Corners of polygons are moved, then drawn by pycocotools; runs are decoded, and resized by the nearest pixel. Raises
    ValueError, with what was found, for what is neither.
    """
    import numpy as np

    coded = require("pycocotools.mask", "pycocotools")
    if isinstance(given, list) and given:
        corners = [_moved(polygon, where) for polygon in given]
        return np.asarray(coded.decode(coded.merge(coded.frPyObjects(corners, *whole))), dtype=bool)
    if not isinstance(given, dict) or not {"size", "counts"} <= given.keys():
        raise ValueError(f"has segmentation = {_short(given)}, expected polygons, or runs with size and counts")
    if list(given["size"]) != list(size):
        raise ValueError(f"has runs of a picture of {given['size']} (height, width), the picture has {list(size)}")
    mask = _decoded(given, size)
    made, (width, height) = np.zeros(whole, bool), where.size
    rows, columns = ((np.arange(many) + 0.5) * few / many for many, few in zip((height, width), size, strict=True))
    made[where.top : where.top + height, where.left : where.left + width] = mask[
        rows.astype(int)[:, None], columns.astype(int)
    ]
    return made


def _moved(polygon: Any, where: Fitted) -> list[float]:
    import numpy as np

    try:
        corners = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.ndim != 1 or len(corners) < _LEAST or len(corners) % 2 or not np.isfinite(corners).all():
        raise ValueError(f"has the polygon {_short(polygon)}, expected x1, y1, x2, y2, x3, y3, ...")
    corners = corners.reshape(-1, 2) * (where.across, where.down) + (where.left, where.top)
    return [float(value) for value in corners.ravel()]


def _decoded(given: dict[str, Any], size: tuple[int, int]) -> Mask:
    import numpy as np

    written, pixels = given["counts"], size[0] * size[1]
    counts = _counts(written) if isinstance(written, str) else written
    whole = isinstance(counts, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in counts)
    if not whole or min(counts, default=0) < 0 or sum(counts) != pixels:
        raise ValueError(f"has runs {_short(written)} that do not count {size[1]} x {size[0]} = {pixels} pixels")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(size[1], size[0]).T


def _counts(text: str) -> list[int]:
    """The runs that COCO's short form holds: five bits a character, the lowest first; differences from the fourth on.

    pycocotools decodes it too, but shows what lay in memory where runs do not fill the picture.
    """
    counts, value, shift = list[int](), 0, 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))  # noqa: PLR2004 - as COCO's code has it
        value, shift = 0, 0
    return counts


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits a line
