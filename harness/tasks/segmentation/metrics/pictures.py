"""How well classes of pixels fit the masks of all pictures together: intersection over union, Dice, pixels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError
from harness.core.units import SHARE
from harness.judge.metrics.whole_set import SetMetric
from harness.measure.records import Outputs
from harness.tasks.segmentation import PICTURES
from harness.tasks.segmentation.pixels import NONE, OTHER

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

_LISTED = 12


@dataclass(frozen=True)
class _Counted:
    """Pixels of each class of each picture, (pictures, classes): in both masks, found, painted."""

    both: Counts
    found: Counts
    wanted: Counts

    _last: ClassVar[tuple[Outputs, _Counted] | None] = None

    @classmethod
    def of(cls, outputs: Outputs) -> _Counted:
        """That of the outputs; the last ones are remembered, since a jackknife asks for two hundred parts of them."""
        if cls._last is None or cls._last[0] is not outputs:
            cls._last = (outputs, cls.counted(outputs))
        return cls._last[1]

    @classmethod
    def counted(cls, outputs: Outputs) -> _Counted:
        """Pixels that count are those of which a class is known."""
        import numpy as np

        found, wanted = (_bytes(array) for array in (outputs.logits, outputs.labels))
        rows = [
            [np.bincount(part, minlength=NONE + 1)[:OTHER] for part in (a[a == b], a[b != NONE], b[b != NONE])]
            for a, b in zip(found, wanted, strict=True)
        ]
        both, one, other = np.array(rows, dtype=np.int64).transpose(1, 0, 2)
        return cls(both, one, other)

    def sums(self, places: Sequence[int]) -> tuple[Counts, Counts, Counts]:
        """Of the pictures at these places, for each class that is found or painted. KpiError where none is."""
        rows = list(places)
        both, found, wanted = (counts[rows].sum(axis=0) for counts in (self.both, self.found, self.wanted))
        seen = found + wanted > 0
        if not self.wanted.any():
            raise KpiError("no picture has a pixel of a class that counts", "give masks with classes")
        return both[seen], found[seen], wanted[seen]


class _Overlap(SetMetric):
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    tasks = PICTURES

    @classmethod
    @abstractmethod
    def share(cls, both: Counts, found: Counts, wanted: Counts) -> float:
        """The figure of these counts of pixels, one for each class."""

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        if outputs.labels.dtype.kind not in "iu":
            raise KpiError(f"{recipe}: labels are {outputs.labels.dtype}, masks hold numbers of classes")
        if outputs.labels.shape != outputs.logits.shape:
            raise KpiError(
                f"{recipe}: masks have the shape {outputs.labels.shape}, the answers {outputs.logits.shape}",
                "give masks as data: a folder, a COCO file, or an array (samples, height, width)",
            )

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        return cls.share(*_Counted.of(outputs).sums(places))

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Classes that no mask holds, those that are never found, how many pixels do not count."""
        import numpy as np

        del reference
        counted = _Counted.of(outputs)
        found, wanted = (counts.sum(axis=0) for counts in (counted.found, counted.wanted))
        said = []
        for what, places in (
            ("classes that no mask holds count as wrong", np.flatnonzero((found > 0) & (wanted == 0))),
            ("classes that are never found", np.flatnonzero((wanted > 0) & (found == 0))),
        ):
            if len(places):
                said.append(f"{what}: {', '.join(map(str, places[:_LISTED].tolist()))}")
        left = 1 - float(wanted.sum()) / max(outputs.labels.size, 1)
        return [*said, f"{100 * left:.1f} % of the pixels have no class and do not count"] if left else said

    @classmethod
    def class_names(cls, outputs: Outputs) -> list[str]:
        """The classes that masks hold."""
        import numpy as np

        return [str(one) for one in np.unique(_bytes(outputs.labels)).tolist() if one < OTHER]

    @classmethod
    def class_part(cls, outputs: Outputs, name: str) -> Outputs:
        """All pictures, with one class and what is another."""
        import numpy as np

        found, wanted, kind = _bytes(outputs.logits), _bytes(outputs.labels), int(name)
        others: Any = np.where(np.isin(wanted, (kind, NONE)), wanted, OTHER)
        return Outputs(np.where(found == kind, found, OTHER), others, task=outputs.task)


class Iou(_Overlap):
    """Formula: for each class |A and B| / |A or B| over the pixels of all pictures, then the mean over classes.

    Classes that are found or painted somewhere count: scikit-learn's ``jaccard_score`` with ``average="macro"``.
    """

    name = "accuracy.iou"
    title = "mean intersection over union of classes"

    @classmethod
    def share(cls, both: Counts, found: Counts, wanted: Counts) -> float:
        return _mean(both / (found + wanted - both))


class Dice(_Overlap):
    """Formula: for each class 2 |A and B| / (|A| + |B|) over the pixels of all pictures, then the mean over classes.

    That is scikit-learn's ``f1_score`` with ``average="macro"`` (Dice 1945).
    """

    name = "accuracy.dice"
    title = "mean Dice coefficient of classes"

    @classmethod
    def share(cls, both: Counts, found: Counts, wanted: Counts) -> float:
        return _mean(2 * both / (found + wanted))


class PixelAccuracy(_Overlap):
    """Formula: pixels with the right class / pixels that have one; of a class alone its pixels that are found."""

    name = "accuracy.pixels"
    title = "pixels with the right class"

    @classmethod
    def share(cls, both: Counts, found: Counts, wanted: Counts) -> float:
        del found
        return float(both.sum() / max(int(wanted.sum()), 1))


def _mean(each: npt.NDArray[np.float64]) -> float:
    """The mean of a figure of each class; 0 of pictures that hold none."""
    return float(each.mean()) if each.size else 0.0


def _bytes(classes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Classes as bytes; where pictures have several sizes, nothing fills up."""
    import numpy as np

    if classes.dtype.kind == "f":
        classes = np.nan_to_num(classes, nan=NONE)
    return np.asarray(classes).astype(np.uint8)
