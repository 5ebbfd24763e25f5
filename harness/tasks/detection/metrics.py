"""Mean average precision of boxes and of masks, as pycocotools computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from harness.core.errors import KpiError
from harness.core.libraries import require, version_of
from harness.core.units import SHARE
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than_shuffled
from harness.measure.records import Outputs
from harness.tasks.detection import DETECTION, OF_MASKS
from harness.tasks.detection.matching import Matched
from harness.tasks.detection.things import check_things, drawn_kinds, found_kinds, of_class
from harness.workloads.classes import check_varied

_RARE = 10
_COMPARED = 100
"""So many pictures tell whether a detector knows anything; to match boxes takes long."""


class AveragePrecision(SetMetric):
    """What pycocotools says of boxes: precision at 101 recalls, averaged over classes and overlaps."""

    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    tasks = DETECTION
    overlaps: ClassVar[slice] = slice(None)
    of_what: ClassVar[Literal["bbox", "segm"]] = "bbox"

    @classmethod
    def needs(cls) -> str:
        require("pycocotools.cocoeval", "pycocotools")
        return f"pycocotools {version_of('pycocotools')}"

    @classmethod
    def identity(cls) -> dict[str, str]:
        return {"pycocotools": str(version_of("pycocotools"))}

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """What was drawn and what was found, this not the same in all pictures."""
        import numpy as np

        check_things(outputs, recipe)
        found, drawn = (np.nan_to_num(array) for array in (outputs.logits, outputs.labels))
        if found.any() and np.ptp(drawn, axis=0).any():
            check_varied(found, recipe)

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against finds what is in a picture, not what is in any."""
        check_better_than_shuffled(getattr(cls, "whole", cls), outputs, recipe, most=_COMPARED)

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        precision = Matched.of(outputs, cls.of_what).precision(places)[cls.overlaps]
        known = precision[precision > -1]
        if not known.size:
            raise KpiError("no picture has a box of any class", "give pictures with annotations")
        return float(known.mean())

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Classes of which there are few boxes; boxes that are found of classes without annotations."""
        import numpy as np

        del reference
        names, counts = np.unique(drawn_kinds(outputs), return_counts=True)
        rare = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < _RARE]
        said = [f"classes with fewer than {_RARE} boxes: {', '.join(rare[:12])}"] if rare else []
        others = sorted(set(found_kinds(outputs).tolist()) - set(names.tolist()))
        if others:
            said.append(f"boxes of classes without annotations do not count: {', '.join(map(str, others[:12]))}")
        return said

    @classmethod
    def class_names(cls, outputs: Outputs) -> list[str]:
        """The classes that boxes were drawn of."""
        import numpy as np

        return [str(name) for name in np.unique(drawn_kinds(outputs))]

    @classmethod
    def class_part(cls, outputs: Outputs, name: str) -> Outputs:
        """All pictures with the boxes of one class alone."""
        return of_class(outputs, int(name))


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


class MaskAveragePrecision(AveragePrecision):
    """Formula: the same as ``accuracy.map``, overlaps being those of masks in pixels of the model's input."""

    name = "accuracy.mask_map"
    title = "mAP 50-95 of masks"
    tasks = OF_MASKS
    of_what = "segm"


class MaskAveragePrecision50(MaskAveragePrecision):
    """Formula: the same at an overlap of 0.50 alone."""

    name = "accuracy.mask_map50"
    title = "mAP 50 of masks"
    overlaps = slice(0, 1)
