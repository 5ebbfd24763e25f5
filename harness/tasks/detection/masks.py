"""How objects with masks are read from the outputs of a network, by layouts chosen by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.errors import KpiError
from harness.core.registry import options_table
from harness.tasks.detection.boxes import Boxes, Layout, picture_size
from harness.workloads.files.signature import Port

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.tasks.detection.decoding import Found
    from harness.workloads.base import TensorSpec

    Array = npt.NDArray[Any]

_ROWS, _MAPS = 3, 4
_BOX = 4
_LARGEST = 1 << 24
"""So many pixels can be counted in single precision."""


@options_table
class Masks(Layout):
    """``layout``: what the outputs hold.

    "yolov8", "yolov5" and "end-to-end" are those of boxes, with one more column for each of the ``prototypes`` (n,
    prototypes, h, w): their sum, weighted by these columns, is above 0 where the object is, within its box.
    "mask-rcnn": ``boxes`` (n, boxes, 4), ``scores`` and ``classes`` (n, boxes), ``masks`` (n, boxes, h, w), or
    (n, boxes, 1, h, w), of the whole picture or of the box, above ``threshold`` where the object is. ``alone``: the
    same without the batch, with a row for each object that was found.

    ``corners``, ``shares``, ``first_class``, ``score``, ``iou`` and ``most`` are those of boxes.
    """

    drawn: ClassVar[str] = "objects"
    without_batch: ClassVar[str] = "mask-rcnn"
    layout: Literal["yolov8", "yolov5", "end-to-end", "mask-rcnn"]
    boxes: str
    prototypes: str | None = None
    masks: str | None = None
    scores: str | None = None
    classes: str | None = None
    corners: Literal["xyxy", "yxyx"] = "xyxy"
    shares: bool = False
    first_class: int = 0
    threshold: float = 0.5
    score: float = 0.001
    iou: float = 0.7
    most: int = 100
    alone: bool = False

    def __post_init__(self) -> None:
        self.check()

    @property
    def needed(self) -> tuple[str, ...]:
        return ("boxes", "scores", "classes", "masks") if self.layout == "mask-rcnn" else ("boxes", "prototypes")

    @classmethod
    def fitting(cls, outputs: Sequence[Port]) -> dict[str, Any] | None:
        """The options of a layout that the shapes leave no doubt of; None where they do."""
        rows = [port for port in outputs if port.shape is not None and len(port.shape) == _ROWS]
        maps = [port for port in outputs if port.shape is not None and len(port.shape) == _MAPS]
        if len(rows) != 1 or len(maps) != 1 or rows[0].shape is None or maps[0].shape is None:
            return None
        count, (_, high, wide) = maps[0].shape[1] or 0, rows[0].shape
        named = {"boxes": rows[0].name, "prototypes": maps[0].name}
        # Without the columns of prototypes they are boxes, whichever axis holds columns.
        for shape in ((None, high, wide and wide - count), (None, high and high - count, wide)):
            found = Boxes.fitting([Port(rows[0].name, rows[0].dtype, shape)])
            if found is not None and min(size for size in shape if size is not None) > _BOX:
                return {**found[1], **named}
        return None

    def outputs(self, known: Sequence[str]) -> tuple[str, ...]:
        return self.named(known)

    def kinds(self, outputs: Mapping[str, Array]) -> int | None:
        from harness.tasks.detection import decoding

        rows, maps = (outputs[name] for name in self.outputs(list(outputs))[:2])
        return None if self.layout == "mask-rcnn" else decoding.kinds_of(self.layout, rows, maps.shape[1])

    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """Objects packed for each picture, (pictures, ...): as ``decoding.heads`` with the runs of their masks."""
        from harness.tasks.detection import decoding
        from harness.workloads.files.objects import packed, runs_of

        size = picture_size(inputs)
        if size[0] * size[1] > _LARGEST:
            raise KpiError(f"pictures of {size[1]} x {size[0]} pixels are too large for masks", "give smaller ones")
        arrays = [outputs[name] for name in self.outputs(list(outputs))]
        pictures = self._whole_or_cut(arrays, size) if self.layout == "mask-rcnn" else self._woven(arrays, size)
        return packed(
            [
                [(head, runs_of(mask)) for head, mask in zip(decoding.heads(found), masks, strict=True)]
                for found, masks in pictures
            ]
        )

    def _woven(self, arrays: Sequence[Array], size: tuple[int, int]) -> Iterator[tuple[Found, Iterator[Array]]]:
        """What was found in each picture, with masks that are sums of prototypes."""
        from harness.tasks.detection import decoding, drawing

        rows, prototypes = decoding.anchor_rows(self.layout, arrays[0]), arrays[1]
        decoding.require_axes(prototypes, _MAPS, self.layout)
        count = prototypes.shape[1]
        if rows.shape[2] <= _BOX + count:
            raise KpiError(
                f'layout "{self.layout}": {self.boxes} has the shape {arrays[0].shape}, with {count} prototypes it '
                "needs columns for boxes, classes and prototypes",
                "correct `boxes`, `prototypes` or the layout",
            )
        plain = rows[:, :, :-count]
        if self.layout == "end-to-end":
            found = decoding.end_to_end(plain, self)
        else:
            found = decoding.anchors(self.layout, plain, size, self)
        for picture, one in enumerate(found):
            yield one, drawing.woven(rows[picture, one.places, -count:], prototypes[picture], one.corners, size)

    def _whole_or_cut(self, arrays: Sequence[Array], size: tuple[int, int]) -> Iterator[tuple[Found, Iterator[Array]]]:
        """What was found in each picture, with masks of the whole picture, or of the box."""
        from harness.tasks.detection import decoding, drawing

        masks = arrays[3]
        if masks.ndim == _MAPS + 1 and masks.shape[2] == 1:
            masks = masks[:, :, 0]
        if masks.ndim != _MAPS or masks.shape[:2] != arrays[1].shape:
            raise KpiError(
                f'layout "mask-rcnn": {self.masks} has the shape {arrays[3].shape}, {(*arrays[1].shape, "h", "w")} is '
                "needed",
                "where it has no batch axis write alone = true",
            )
        draw = drawing.whole if masks.shape[2:] == size else drawing.pasted
        for picture, one in enumerate(decoding.selected(self.layout, arrays[:3], size, self)):
            yield one, draw(masks[picture, one.places], one.corners, size, self.threshold)
