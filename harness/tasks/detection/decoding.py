"""Boxes from the outputs of detectors, in NumPy: centres and sizes, grids, suppression of what overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.tasks.detection.boxes import Boxes

    Array = npt.NDArray[np.floating[Any]]

Size = tuple[int, int]
"""Height and width of the model's input."""
FOUND = 6
_STRIDES = (8, 16, 32)
_CANDIDATES = 3000
"""So many boxes of a picture, the best, are compared with each other at most."""
_AXES, _CORNERS = 3, 4


def anchors(layout: str, output: Array, size: Size, least: float, overlap: float, most: int) -> Array:
    """YOLO layouts: a box and its scores for each anchor; of boxes of a class that overlap the best is kept."""
    import numpy as np

    before = _CORNERS if layout == "yolov8" else _CORNERS + 1
    _require(output, _AXES, layout)
    if layout == "yolov8":
        # (n, 4 + classes, anchors), by some exporters with the last two axes the other way round.
        output = output.transpose(0, 2, 1) if output.shape[1] < output.shape[2] else output
    if output.shape[2] <= before:
        raise KpiError(
            f'layout "{layout}": the output has the shape {output.shape}, {before} columns and one for each class are '
            "needed",
            "choose another layout",
        )
    values: Array = output.astype(np.float64)
    if layout == "yolox":
        values = _of_grids(values, size)
    scores = values[:, :, before:]
    if layout != "yolov8":
        scores = scores * values[:, :, _CORNERS:before]
    found = np.full((len(values), most, FOUND), np.nan)
    for row, (boxes, own) in enumerate(zip(values[:, :, :_CORNERS], scores, strict=True)):
        place, kind = np.nonzero(own > least)
        best = np.argsort(-own[place, kind], kind="stable")[:_CANDIDATES]
        place, kind = place[best], kind[best]
        corners = _corners(boxes[place])
        kept = suppressed(corners, kind, overlap, most)
        _fill(found[row], corners[kept], own[place, kind][kept], kind[kept])
    return found


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


def end_to_end(output: Array, least: float, most: int) -> Array:
    """Corners, score and class for each box, nothing left to suppress."""
    import numpy as np

    _require(output, _AXES, "end-to-end")
    if output.shape[2] != FOUND:
        raise KpiError(f'layout "end-to-end": the output has the shape {output.shape}, 6 columns are needed')
    found = np.full((len(output), most, FOUND), np.nan)
    for row, boxes in enumerate(output.astype(np.float64)):
        _best(found[row], boxes[:, :4], boxes[:, 4], boxes[:, 5].round(), least)
    return found


def queries(boxes: Array, logits: Array, size: Size, how: Boxes) -> Array:
    """DETR: a box for each query, with the probability of its likeliest class; its last class is "nothing"."""
    import numpy as np

    _require(logits, _AXES, "detr")
    _require_boxes(boxes, "detr", logits.shape[:2])
    powers = logits.astype(np.float64)
    if how.sigmoid:
        chances = 1 / (1 + np.exp(-powers))
    else:
        powers = np.exp(powers - powers.max(axis=2, keepdims=True))
        chances = (powers / powers.sum(axis=2, keepdims=True))[:, :, :-1]
    height, width = size
    found = np.full((len(boxes), how.most, FOUND), np.nan)
    for row, (own, sure) in enumerate(zip(boxes.astype(np.float64), chances, strict=True)):
        corners = _corners(own * (width, height, width, height))
        _best(found[row], corners, sure.max(axis=1), sure.argmax(axis=1), how.score)
    return found


def selected(outputs: Sequence[Array], size: Size, how: Boxes) -> Array:
    """SSD with its suppression inside: corners, scores and classes in outputs of their own."""
    import numpy as np

    boxes, scores, classes = outputs
    _require(scores, _AXES - 1, "ssd")
    _require_boxes(boxes, "ssd", scores.shape)
    height, width = size
    found = np.full((len(boxes), how.most, FOUND), np.nan)
    order = (0, 1, 2, 3) if how.corners == "xyxy" else (1, 0, 3, 2)
    scale = (width, height, width, height) if how.shares else (1, 1, 1, 1)
    for row, own in enumerate(boxes.astype(np.float64)[:, :, order] * scale):
        _best(found[row], own, scores[row], classes[row].round() - how.first_class, how.score)
    return found


def _best(found: Array, corners: Array, scores: Array, kinds: Array, least: float) -> None:
    import numpy as np

    best = np.argsort(-scores, kind="stable")[: len(found)]
    best = best[scores[best] > least]
    _fill(found, corners[best], scores[best], kinds[best])


def _fill(found: Array, corners: Array, scores: Array, kinds: Any) -> None:
    count = len(corners)
    found[:count, :2] = corners[:, :2]
    found[:count, 2:4] = corners[:, 2:] - corners[:, :2]
    found[:count, 4], found[:count, 5] = scores, kinds


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


def _require(output: Array, axes: int, layout: str) -> None:
    if output.ndim != axes:
        raise KpiError(
            f'layout "{layout}": an output has the shape {output.shape}, {axes} axes are needed',
            "choose another layout",
        )


def _require_boxes(boxes: Array, layout: str, counts: tuple[int, ...]) -> None:
    if boxes.shape != (*counts, _CORNERS):
        raise KpiError(f'layout "{layout}": boxes have the shape {boxes.shape}, {(*counts, _CORNERS)} is needed')
