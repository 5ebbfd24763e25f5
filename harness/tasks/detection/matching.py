"""What was found, matched by pycocotools with what people drew, once; any part of the pictures may be summed up."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.libraries import require
from harness.measure.records import Outputs
from harness.tasks.detection.boxes import BOX
from harness.tasks.detection.decoding import FOUND
from harness.tasks.detection.things import things

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST = 100
"""So many of a picture count, unless a task keeps more of them."""


class Matched:
    """Boxes or masks that were found, matched with those that were drawn, picture by picture."""

    _last: ClassVar[tuple[Outputs, str, Matched] | None] = None

    def __init__(self, outputs: Outputs, what: str) -> None:
        coco: Any = require("pycocotools.coco", "pycocotools")
        evaluating: Any = require("pycocotools.cocoeval", "pycocotools")
        with contextlib.redirect_stdout(io.StringIO()):  # it tells each of its steps
            drawn = coco.COCO()
            drawn.dataset = _drawn(outputs)
            drawn.createIndex()
            boxes = _found(outputs, {one["id"] for one in drawn.dataset["categories"]})
            # Of an empty list it makes nothing.
            found = drawn.loadRes(boxes) if boxes else _empty(coco, drawn.dataset)
            self._judge = evaluating.COCOeval(drawn, found, what)
            params = self._judge.params
            params.areaRng, params.areaRngLbl = [[0, 1e10]], ["all"]
            params.maxDets = [int(outputs.task.get("most", _MOST))]
            self._judge.evaluate()
        self._count = len(outputs.labels)

    @classmethod
    def of(cls, outputs: Outputs, what: str) -> Matched:
        """That of the outputs; the last ones are remembered, since a jackknife asks for two hundred parts of them."""
        if cls._last is None or cls._last[0] is not outputs or cls._last[1] != what:
            cls._last = (outputs, what, cls(outputs, what))
        return cls._last[2]

    def precision(self, places: Sequence[int]) -> npt.NDArray[np.float64]:
        """(overlaps, recalls, classes, 1, 1) of the pictures at these places; -1 where a class has no boxes there."""
        whole = self._judge
        part = copy.copy(whole)
        # The matches of pictures follow one another, class after class.
        classes = range(len(whole.params.catIds))
        part.evalImgs = [whole.evalImgs[kind * self._count + place] for kind in classes for place in places]
        part._paramsEval = copy.copy(whole._paramsEval)  # noqa: SLF001 - what accumulate() takes the order from
        part._paramsEval.imgIds = list(range(len(places)))  # noqa: SLF001
        part.params = copy.copy(whole.params)
        part.params.imgIds = list(range(len(places)))
        with contextlib.redirect_stdout(io.StringIO()):
            part.accumulate()
        precision: npt.NDArray[np.float64] = part.eval["precision"]
        return precision


def _drawn(outputs: Outputs) -> dict[str, Any]:
    """COCO's own format, pictures and boxes by number."""
    boxes: list[dict[str, Any]] = []
    for picture, here in enumerate(things(outputs.labels, BOX)):
        for (x, y, width, height, kind, area, crowd), runs in here:
            box = {
                "id": len(boxes) + 1,
                "image_id": picture,
                "category_id": int(kind),
                "bbox": [x, y, width, height],
                "area": area,
                "iscrowd": int(crowd),
            }
            boxes.append(box | _mask(runs))
    kinds = sorted({box["category_id"] for box in boxes})
    return {
        # pycocotools asks for sizes of pictures and uses those of masks.
        "images": [{"id": picture, "height": 0, "width": 0} for picture in range(len(outputs.labels))],
        "annotations": boxes,
        "categories": [{"id": kind, "name": str(kind)} for kind in kinds],
    }


def _found(outputs: Outputs, kinds: set[int]) -> list[dict[str, Any]]:
    return [
        {"image_id": picture, "category_id": int(kind), "bbox": [x, y, width, height], "score": score} | _mask(runs)
        for picture, here in enumerate(things(outputs.logits, FOUND))
        for (x, y, width, height, score, kind), runs in here
        if int(kind) in kinds
    ]


def _mask(runs: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    """The mask in pycocotools' own form; all columns of a picture as one, since overlaps are counted along them."""
    if runs is None:
        return {}
    pixels, coded = int(runs.sum()), require("pycocotools.mask", "pycocotools")
    return {"segmentation": coded.frPyObjects({"counts": runs.tolist(), "size": [pixels, 1]}, pixels, 1)}


def _empty(coco: Any, dataset: dict[str, Any]) -> Any:
    made = coco.COCO()
    made.dataset = {**dataset, "annotations": []}
    made.createIndex()
    return made
