"""How boxes are read from the outputs of a detector: the layouts that people export, chosen by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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


class Layout(Reading):
    """What the layouts of boxes and of objects share: outputs by name, those of one picture without a batch axis.

    ``without_batch`` is the only layout whose outputs may lack it.
    """

    __slots__ = ()
    without_batch: ClassVar[str]
    layout: Any
    most: int
    alone: bool

    @property
    @abstractmethod
    def needed(self) -> tuple[str, ...]:
        """The fields that must name an output; none where the model has only one."""

    def check(self) -> None:
        """Raises ValueError where the fields do not fit together."""
        check_counts(most=self.most)
        for name in ("score", "iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")
        if self.alone and self.layout != self.without_batch:
            raise ValueError(f'alone is for layout "{self.without_batch}", not "{self.layout}"')
        if lacking := [name for name in self.needed if getattr(self, name) is None]:
            raise ValueError(f'layout "{self.layout}" has several outputs: name {", ".join(lacking)}')

    @property
    def one_by_one(self) -> bool:
        return self.alone

    def even(self, outputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return evened(outputs, self.most) if self.alone else outputs

    def named(self, known: Sequence[str]) -> tuple[str, ...]:
        """The outputs that the needed fields name, of those that the model has."""
        return chosen_outputs([str(getattr(self, name)) for name in self.needed], known)


@options_table
class Boxes(Layout):
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
    picture. ``alone``: the outputs of an SSD have no batch axis, and a row for each box that was found.
    """

    without_batch: ClassVar[str] = "ssd"
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
    alone: bool = False

    def __post_init__(self) -> None:
        self.check()

    @property
    def needed(self) -> tuple[str, ...]:
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
        if self.needed:
            return self.named(known)
        if self.boxes is None and len(known) != 1:
            raise KpiError(
                f"the model has {len(known)} outputs: {', '.join(known)}",
                f'say which holds the boxes: task = {{ ..., layout = "{self.layout}", boxes = "{known[0]}" }}',
            )
        return chosen_outputs([self.boxes or known[0]], known)

    def kinds(self, outputs: Mapping[str, Array]) -> int | None:
        from harness.tasks.detection import decoding

        arrays = [outputs[name] for name in self.outputs(list(outputs))]
        if self.layout == "detr" and arrays[1].ndim == _SINGLE:
            return int(arrays[1].shape[2]) - (not self.sigmoid)
        return decoding.kinds_of(self.layout, arrays[0])

    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """Boxes (pictures, most, 6): x, y, width, height in pixels of the input, score, class; the best first."""
        from harness.tasks.detection import decoding

        size = picture_size(inputs)
        arrays = [outputs[name] for name in self.outputs(list(outputs))]
        if self.layout in ("yolov8", "yolov5", "yolox"):
            found = decoding.anchors(self.layout, decoding.anchor_rows(self.layout, arrays[0]), size, self)
        elif self.layout == "end-to-end":
            found = decoding.end_to_end(arrays[0], self)
        elif self.layout == "detr":
            found = decoding.queries(arrays[0], arrays[1], size, self, sigmoid=self.sigmoid)
        else:
            found = decoding.selected(self.layout, arrays, size, self)
        return decoding.table(found, self.most)


def chosen_outputs(named: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The outputs that options name. KpiError where the model has no such one."""
    for name in named:
        if name not in known:
            raise KpiError(f"task: {suggest(name, known, 'output')}", "correct the names of outputs in `task`")
    return tuple(named)


def picture_size(inputs: Sequence[TensorSpec]) -> tuple[int, int]:
    """Height and width of the pictures that a model takes. KpiError where it takes none."""
    shape = inputs[0].shape
    if len(shape) != _PICTURE - 1:
        raise KpiError(f"the input has the shape {shape}, boxes are read of pictures")
    # The axis of channels is the short one.
    height, width = shape[1:] if shape[0] <= shape[2] else shape[:2]
    return height, width


def evened(outputs: Mapping[str, Array], most: int) -> Mapping[str, Array]:
    """Outputs with a row for each box, (boxes, ...), as those of a batch of one picture: (1, most, ...)."""
    import numpy as np

    def one(array: Array) -> Array:
        made = np.zeros((1, most, *array.shape[1:]), array.dtype)
        made[0, : len(array)] = array[:most]
        return made

    return {name: one(np.asarray(array)) if np.ndim(array) else array for name, array in outputs.items()}
