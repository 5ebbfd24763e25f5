"""Mean average precision of boxes, as pycocotools computes it."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError
from harness.core.libraries import require, version_of
from harness.core.units import SHARE
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than_shuffled
from harness.measure.records import Outputs
from harness.tasks.detection import DETECTION
from harness.tasks.detection.boxes import BOX
from harness.tasks.detection.decoding import FOUND
from harness.workloads.classes import check_varied

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_DRAWN_CLASS, _FOUND_CLASS, _CROWD = 4, 5, 6
_RARE = 10


class AveragePrecision(SetMetric):
    """What pycocotools says of boxes: precision at 101 recalls, averaged over classes and overlaps."""

    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    tasks = DETECTION
    worthless = 0.0
    overlaps: ClassVar[slice] = slice(None)

    @classmethod
    def needs(cls) -> str:
        require("pycocotools.cocoeval", "pycocotools")
        return f"pycocotools {version_of('pycocotools')}"

    @classmethod
    def identity(cls) -> dict[str, str]:
        return {"pycocotools": str(version_of("pycocotools"))}

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """Boxes that were drawn and boxes that were found, these not the same in all pictures."""
        import numpy as np

        if outputs.labels.ndim != 3 or outputs.labels.shape[2] != BOX:  # noqa: PLR2004 - pictures, boxes, what is known
            raise KpiError(
                f"{recipe}: labels have the shape {outputs.labels.shape}, (pictures, boxes, {BOX}) is needed",
                "give a COCO file as data",
            )
        if outputs.logits.ndim != 3 or outputs.logits.shape[2] != FOUND:  # noqa: PLR2004 - pictures, boxes, what is said
            raise KpiError(f"{recipe}: what was found has the shape {outputs.logits.shape}, boxes were expected")
        found, drawn = (np.nan_to_num(array) for array in (outputs.logits, outputs.labels))
        if found.any() and np.ptp(drawn, axis=0).any():
            check_varied(found, recipe)

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against finds what is in a picture, not what is in any."""
        check_better_than_shuffled(getattr(cls, "whole", cls), outputs, recipe)

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        precision = _Matched.of(outputs).precision(places)[cls.overlaps]
        known = precision[precision > -1]
        if not known.size:
            raise KpiError("no picture has a box of any class", "give pictures with annotations")
        return float(known.mean())

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Classes of which there are few boxes; boxes that are found of classes without annotations."""
        import numpy as np

        del reference
        drawn = outputs.labels[:, :, _DRAWN_CLASS]
        names, counts = np.unique(drawn[~np.isnan(drawn)].astype(int), return_counts=True)
        rare = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < _RARE]
        said = [f"classes with fewer than {_RARE} boxes: {', '.join(rare[:12])}"] if rare else []
        found = outputs.logits[:, :, _FOUND_CLASS]
        others = sorted(set(np.unique(found[~np.isnan(found)]).astype(int).tolist()) - set(names.tolist()))
        if others:
            said.append(f"boxes of classes without annotations do not count: {', '.join(map(str, others[:12]))}")
        return said

    @classmethod
    def class_names(cls, outputs: Outputs) -> list[str]:
        """The classes that boxes were drawn of."""
        import numpy as np

        drawn = outputs.labels[:, :, _DRAWN_CLASS]
        return [str(name) for name in np.unique(drawn[~np.isnan(drawn)]).astype(int)]

    @classmethod
    def class_part(cls, outputs: Outputs, name: str) -> Outputs:
        """All pictures with the boxes of one class alone."""
        return Outputs(
            _only(outputs.logits, _FOUND_CLASS, name), _only(outputs.labels, _DRAWN_CLASS, name), task=outputs.task
        )


class MeanAveragePrecision(AveragePrecision):
    """Formula: pycocotools' average precision over overlaps of 0.50 to 0.95, 100 boxes a picture, boxes of all sizes.

    The mean over classes that have annotations. Lin et al. 2014, "Microsoft COCO".
    """

    name = "accuracy.map"
    title = "mAP 50-95"


class MeanAveragePrecision50(AveragePrecision):
    """Formula: the same at an overlap of 0.50 alone."""

    name = "accuracy.map50"
    title = "mAP 50"
    overlaps = slice(0, 1)


class _Matched:
    """Boxes that were found, matched with those that were drawn, picture by picture; any part may be summed up."""

    _last: ClassVar[tuple[Outputs, _Matched] | None] = None

    def __init__(self, outputs: Outputs) -> None:
        coco: Any = require("pycocotools.coco", "pycocotools")
        evaluating: Any = require("pycocotools.cocoeval", "pycocotools")
        with contextlib.redirect_stdout(io.StringIO()):  # it tells each of its steps
            drawn = coco.COCO()
            drawn.dataset = _drawn(outputs)
            drawn.createIndex()
            boxes = _found(outputs, {one["id"] for one in drawn.dataset["categories"]})
            # Of an empty list it makes nothing.
            found = drawn.loadRes(boxes) if boxes else _empty(coco, drawn.dataset)
            self._judge = evaluating.COCOeval(drawn, found, "bbox")
            params = self._judge.params
            params.areaRng, params.areaRngLbl, params.maxDets = [[0, 1e10]], ["all"], [outputs.logits.shape[1]]
            self._judge.evaluate()
        self._count = len(outputs.labels)

    @classmethod
    def of(cls, outputs: Outputs) -> _Matched:
        """That of the outputs; the last ones are remembered, since a jackknife asks for two hundred parts of them."""
        if cls._last is None or cls._last[0] is not outputs:
            cls._last = (outputs, cls(outputs))
        return cls._last[1]

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
    import numpy as np

    boxes: list[dict[str, Any]] = []
    for picture, row in enumerate(np.asarray(outputs.labels, dtype=np.float64)):
        for x, y, width, height, kind, area, crowd in row[~np.isnan(row[:, _DRAWN_CLASS])].tolist():
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": picture,
                    "category_id": int(kind),
                    "bbox": [x, y, width, height],
                    "area": area,
                    "iscrowd": int(crowd),
                }
            )
    kinds = sorted({box["category_id"] for box in boxes})
    return {
        "images": [{"id": picture} for picture in range(len(outputs.labels))],
        "annotations": boxes,
        "categories": [{"id": kind, "name": str(kind)} for kind in kinds],
    }


def _found(outputs: Outputs, kinds: set[int]) -> list[dict[str, Any]]:
    import numpy as np

    return [
        {"image_id": picture, "category_id": int(kind), "bbox": [x, y, width, height], "score": score}
        for picture, row in enumerate(np.asarray(outputs.logits, dtype=np.float64))
        for x, y, width, height, score, kind in row[~np.isnan(row[:, 4])].tolist()
        if int(kind) in kinds
    ]


def _empty(coco: Any, dataset: dict[str, Any]) -> Any:
    made = coco.COCO()
    made.dataset = {**dataset, "annotations": []}
    made.createIndex()
    return made


def _only(boxes: npt.NDArray[Any], column: int, name: str) -> npt.NDArray[Any]:
    import numpy as np

    return np.where((boxes[:, :, column] == float(name))[:, :, None], boxes, np.nan)
