"""How boxes are read from the outputs of a detector: the layouts that people export, chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError, suggest
from harness.core.registry import check_counts, options_table
from harness.workloads.reading import Reading

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.base import TensorSpec
    from harness.workloads.files.signature import Port

    Array = npt.NDArray[Any]

BOX = 7
"""What is known of a box that people drew: x, y, width, height, class, area, whether it is a crowd."""
_SINGLE, _SEVERAL = 3, 2
_END_TO_END = 6
_PICTURE = 4
_MANY = 100
"""Detectors have more anchors than this, and fewer classes."""


@options_table
class Boxes(Reading):
    """``layout``: what the outputs hold.

    "yolov8": (n, 4 + classes, anchors), centre and size in pixels, then scores; "yolov5": (n, anchors, 5 + classes)
    with a score for the object before those of the classes; "yolox": the same, relative to the cells of grids of 8, 16
    and 32 pixels; "end-to-end": (n, boxes, 6), corners in pixels, score, class; "detr": ``scores`` (n, boxes,
    classes + 1) as logits and ``boxes`` (n, boxes, 4), centre and size as shares of the picture; "ssd": ``boxes`` (n,
    boxes, 4), ``scores`` and ``classes`` (n, boxes).

    ``boxes``, ``scores``, ``classes`` name the outputs; of a single one they need not be named. ``corners``: the order
    of an SSD's corners, ``shares``: whether they are shares of the picture. ``sigmoid``: of a DETR without a class for
    nothing. ``first_class``: the number of the first class in ``classes``. ``score``: the least that counts; ``iou``:
    from which overlap on the weaker of two boxes of a class is dropped, for the YOLO layouts; ``most``: boxes of a
    picture.
    """

    layout: Literal["yolov8", "yolov5", "yolox", "end-to-end", "detr", "ssd"]
    boxes: str | None = None
    scores: str | None = None
    classes: str | None = None
    corners: Literal["xyxy", "yxyx"] = "xyxy"
    shares: bool = True
    sigmoid: bool = False
    first_class: int = 0
    score: float = 0.001
    iou: float = 0.7
    most: int = 100

    def __post_init__(self) -> None:
        check_counts(most=self.most)
        for name in ("score", "iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")
        if lacking := [name for name in self._needed if getattr(self, name) is None]:
            raise ValueError(f'layout "{self.layout}" has several outputs: name {", ".join(lacking)}')

    @property
    def _needed(self) -> tuple[str, ...]:
        return {"detr": ("boxes", "scores"), "ssd": ("boxes", "scores", "classes")}.get(self.layout, ())

    @classmethod
    def fitting(cls, outputs: Sequence[Port]) -> tuple[str, dict[str, Any]] | None:
        """The output and the options of a layout that the shapes leave no doubt of; None where they do."""
        if len(outputs) != 1 or outputs[0].shape is None or len(outputs[0].shape) != _SINGLE:
            return None
        _, rows, columns = outputs[0].shape
        if columns == _END_TO_END:
            return outputs[0].name, {"layout": "end-to-end"}
        if rows is not None and rows < _MANY and (columns is None or columns > _MANY):
            return outputs[0].name, {"layout": "yolov8"}
        if columns is not None and columns < _MANY and (rows is None or rows > _MANY):
            return outputs[0].name, {"layout": "yolov5"}
        return None

    def outputs(self, known: Sequence[str]) -> tuple[str, ...]:
        if not self._needed:
            if self.boxes is None and len(known) != 1:
                raise KpiError(
                    f"the model has {len(known)} outputs: {', '.join(known)}",
                    f'say which holds the boxes: task = {{ ..., layout = "{self.layout}", boxes = "{known[0]}" }}',
                )
            named: tuple[str, ...] = (self.boxes or known[0],)
        else:
            named = tuple(str(getattr(self, name)) for name in self._needed)
        for name in named:
            if name not in known:
                raise KpiError(f"task: {suggest(name, known, 'output')}", "correct boxes, scores or classes")
        return named

    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """Boxes (pictures, most, 6): x, y, width, height in pixels of the input, score, class; the best first."""
        from harness.tasks.detection import decoding

        shape = inputs[0].shape
        if len(shape) != _PICTURE - 1:
            raise KpiError(f"the input has the shape {shape}, boxes are read of pictures")
        # The axis of channels is the short one.
        height, width = shape[1:] if shape[0] <= shape[2] else shape[:2]
        arrays = [outputs[name] for name in self.outputs(list(outputs))]
        if self.layout in ("yolov8", "yolov5", "yolox"):
            return decoding.anchors(self.layout, arrays[0], (height, width), self.score, self.iou, self.most)
        if self.layout == "end-to-end":
            return decoding.end_to_end(arrays[0], self.score, self.most)
        if self.layout == "detr":
            return decoding.queries(arrays[0], arrays[1], (height, width), self)
        return decoding.selected(arrays, (height, width), self)
