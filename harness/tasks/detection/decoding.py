"""Boxes from the outputs of detectors, in NumPy: centres and sizes, grids, suppression of what overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.errors import KpiError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.tasks.detection.boxes import Boxes
    from harness.tasks.detection.masks import Masks

    Array = npt.NDArray[np.floating[Any]]
    Places = npt.NDArray[np.intp]

Size = tuple[int, int]
"""Height and width of the model's input."""
FOUND = 6
_STRIDES = (8, 16, 32)
_CANDIDATES = 3000
"""So many boxes of a picture, the best, are compared with each other at most."""
_AXES, _CORNERS = 3, 4


class Found(NamedTuple):
    """What was found in a picture, the best first: corners (boxes, 4) in pixels, scores and classes (boxes,).

    ``places`` are the rows of the output that they were read from.
    """

    corners: Array
    scores: Array
    kinds: Array
    places: Places


def table(found: Iterable[Found], most: int) -> Array:
    """Boxes (pictures, most, 6): x, y, width, height, score, class; NaN fills up."""
    import numpy as np

    pictures = list(found)
    rows = np.full((len(pictures), most, FOUND), np.nan)
    for row, one in zip(rows, pictures, strict=True):
        row[: len(one.scores)] = heads(one)
    return rows


def heads(found: Found) -> Array:
    """The boxes of one picture (boxes, 6): x, y, width, height, score, class."""
    import numpy as np

    corners, size = found.corners[:, :2], found.corners[:, 2:] - found.corners[:, :2]
    return np.concatenate([corners, size, found.scores[:, None], found.kinds[:, None]], axis=1)


def anchor_rows(layout: str, output: Array) -> Array:
    """The output with a row for each anchor, (n, anchors, columns)."""
    require_axes(output, _AXES, layout)
    if layout == "yolov8" and output.shape[1] < output.shape[2]:
        # (n, 4 + classes, anchors), by some exporters with the last two axes the other way round.
        return output.transpose(0, 2, 1)
    return output


def kinds_of(layout: str, output: Array, more: int = 0) -> int | None:
    """The classes that a YOLO's output has columns for, ``more`` columns being of something else; else None."""
    if layout not in ("yolov8", "yolov5", "yolox") or output.ndim != _AXES:
        return None
    return int(anchor_rows(layout, output).shape[2]) - _before(layout) - more


def _before(layout: str) -> int:
    """The columns before those of classes."""
    return _CORNERS if layout == "yolov8" else _CORNERS + 1


def anchors(layout: str, rows: Array, size: Size, how: Boxes | Masks) -> Iterator[Found]:
    """YOLO layouts: a box and its scores for each anchor; of boxes of a class that overlap the best is kept."""
    import numpy as np

    before = _before(layout)
    if rows.shape[2] <= before:
        raise KpiError(
            f'layout "{layout}": the output has the shape {rows.shape}, {before} columns and one for each class are '
            "needed",
            "choose another layout",
        )
    values: Array = rows.astype(np.float64)
    if layout == "yolox":
        values = _of_grids(values, size)
    scores = values[:, :, before:]
    if layout != "yolov8":
        scores = scores * values[:, :, _CORNERS:before]
    for boxes, own in zip(values[:, :, :_CORNERS], scores, strict=True):
        place, kind = np.nonzero(own > how.score)
        best = np.argsort(-own[place, kind], kind="stable")[:_CANDIDATES]
        place, kind = place[best], kind[best]
        corners = _corners(boxes[place])
        kept = suppressed(corners, kind, how.iou, how.most)
        yield Found(corners[kept], own[place, kind][kept], kind[kept].astype(np.float64), place[kept])


def suppressed(corners: Array, kind: npt.NDArray[Any], overlap: float, most: int) -> npt.NDArray[Any]:
    """The places of boxes that are kept, best first, at most so many: none overlaps a better one of its class more.

    ``corners`` (boxes, 4) are in the order of their scores; ``overlap`` is intersection over union.
    """
    import numpy as np

    left, kept = np.arange(len(corners)), list[int]()
    area = np.maximum(corners[:, 2:] - corners[:, :2], 0).prod(axis=1)
    while len(left) and len(kept) < most:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        near = np.maximum(corners[left, :2], corners[first, :2]), np.minimum(corners[left, 2:], corners[first, 2:])
        common = np.maximum(near[1] - near[0], 0).prod(axis=1)
        whole = area[left] + area[first] - common
        share = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
        left = left[(share <= overlap) | (kind[left] != kind[first])]
    return np.array(kept, dtype=int)


def end_to_end(output: Array, how: Boxes | Masks) -> Iterator[Found]:
    """Corners, score and class for each box, nothing left to suppress."""
    import numpy as np

    require_axes(output, _AXES, "end-to-end")
    if output.shape[2] != FOUND:
        raise KpiError(f'layout "end-to-end": the output has the shape {output.shape}, 6 columns are needed')
    for boxes in output.astype(np.float64):
        yield _best(boxes[:, :4], boxes[:, 4], boxes[:, 5].round(), how)


def queries(boxes: Array, logits: Array, size: Size, how: Boxes | Masks, *, sigmoid: bool) -> Iterator[Found]:
    """DETR: a box for each query, with the probability of its likeliest class; its last class is "nothing"."""
    import numpy as np

    require_axes(logits, _AXES, "detr")
    _require_boxes(boxes, "detr", logits.shape[:2])
    powers = logits.astype(np.float64)
    if sigmoid:
        chances = 1 / (1 + np.exp(-powers))
    else:
        powers = np.exp(powers - powers.max(axis=2, keepdims=True))
        chances = (powers / powers.sum(axis=2, keepdims=True))[:, :, :-1]
    height, width = size
    for own, sure in zip(boxes.astype(np.float64), chances, strict=True):
        corners = _corners(own * (width, height, width, height))
        yield _best(corners, sure.max(axis=1), sure.argmax(axis=1).astype(np.float64), how)


def selected(layout: str, outputs: Sequence[Array], size: Size, how: Boxes | Masks) -> Iterator[Found]:
    """Suppression inside the network: corners, scores and classes in outputs of their own."""
    import numpy as np

    boxes, scores, classes = outputs
    require_axes(scores, _AXES - 1, layout)
    _require_boxes(boxes, layout, scores.shape)
    height, width = size
    order = (0, 1, 2, 3) if how.corners == "xyxy" else (1, 0, 3, 2)
    scale = (width, height, width, height) if how.shares else (1, 1, 1, 1)
    for row, own in enumerate(boxes.astype(np.float64)[:, :, order] * scale):
        yield _best(own, scores[row].astype(np.float64), classes[row].round() - float(how.first_class), how)


def _best(corners: Array, scores: Array, kinds: Array, how: Boxes | Masks) -> Found:
    import numpy as np

    best = np.argsort(-scores, kind="stable")[: how.most]
    best = best[scores[best] > how.score]
    return Found(corners[best], scores[best], kinds[best], best)


def _corners(boxes: Array) -> Array:
    """Corners of boxes (n, 4) that are given by centre and size."""
    import numpy as np

    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _of_grids(values: Array, size: Size) -> Array:
    """YOLOX: centres relative to cells, sizes as logarithms, both in units of the grid's stride."""
    import numpy as np

    grids, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((grids[-1].shape[0], 1), stride))
    grid, stride_of = np.concatenate(grids), np.concatenate(strides)
    if len(grid) != values.shape[1]:
        raise KpiError(
            f'layout "yolox": the output has {values.shape[1]} anchors, grids of {size[1]} x {size[0]} pixels have '
            f"{len(grid)}",
            'where the network decodes them itself the layout is "yolov5"',
        )
    made = values.copy()
    made[:, :, :2] = (values[:, :, :2] + grid) * stride_of
    made[:, :, 2:4] = np.exp(values[:, :, 2:4]) * stride_of
    return made


def require_axes(output: Array, axes: int, layout: str) -> None:
    """Raises KpiError where an output has another number of axes."""
    if output.ndim != axes:
        raise KpiError(
            f'layout "{layout}": an output has the shape {output.shape}, {axes} axes are needed',
            "choose another layout",
        )


def _require_boxes(boxes: Array, layout: str, counts: tuple[int, ...]) -> None:
    if boxes.shape != (*counts, _CORNERS):
        raise KpiError(f'layout "{layout}": boxes have the shape {boxes.shape}, {(*counts, _CORNERS)} is needed')
