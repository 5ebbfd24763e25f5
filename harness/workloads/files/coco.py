"""Pictures with boxes and masks that people drew, as a COCO file tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.coco_file import CocoFile, Entry
from harness.workloads.files.coco_masks import mask_of
from harness.workloads.files.masked import MOST, NONE
from harness.workloads.files.objects import packed, runs_of
from harness.workloads.files.pictures import (
    Fitted,
    Pictured,
    PictureInput,
    fitted,
    input_size,
    mask_as_input,
    stacked,
    upright_size,
)
from harness.workloads.files.samples import Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Signature

SUFFIX = ".json"
_KNOWN = 7
"""Numbers of a box: x, y, width, height, class, area, whether it is a crowd."""


class CocoSamples(Pictured):
    """The pictures of a COCO file in its order; what is drawn in them is in pixels of the model's input.

    ``labels`` are (pictures, most boxes, 7): x, y, width, height, number of the class, area, 1 for a crowd; NaN fills
    up. Objects with masks are packed, (pictures, ...), see ``objects``; classes of pixels are (pictures, height,
    width), 0 where nothing is drawn unless ``classes`` say what that is. Classes are numbered in the order of
    ``classes``, else in that of their ids. Raises KpiError, with the place in the file, for what does not fit.
    """

    def __init__(self, file: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        self._file, self._data = file, data
        self._tables = CocoFile(file, data.classes, bare=data.drawn == "pixels")
        self._images = self._tables.images
        self._folder = file.parent / data.pictures if data.pictures else file.parent
        if lacking := [one for one in self._images if not self._path(one).is_file()]:
            raise KpiError(
                f"{file.name}: picture {lacking[0]['file_name']} is not in {self._folder}"
                + (f", nor are {len(lacking) - 1} others" if lacking[1:] else ""),
                f'say where they are: data = {{ file = "{file.name}", pictures = "FOLDER" }}',
            )
        self.made_by(PictureInput(signature, model, data.preprocess, file.name, self.files))
        if self._input.how.resize is not None and data.drawn != "pixels":
            raise KpiError(
                f"{file.name}: preprocess.resize cuts out the middle of a picture, and boxes with it",
                'leave resize out, or keep all of it: fit = "letterbox"',
            )

    @property
    def count(self) -> int:
        return len(self._images)

    @cached_property
    def files(self) -> list[Path]:
        """The pictures."""
        return [self._path(one) for one in self._images]

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        chosen = self.files[rows] if isinstance(rows, slice) else [self.files[row] for row in rows]
        return self._input.take(chosen)

    def digest(self, cache: Path) -> str:
        parts = [remembered_digest(file, cache) for file in (self._file, *self.files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def units(self) -> list[str]:
        return [self._input.digest(file) for file in self.files]

    @cached_property
    def labels(self) -> npt.NDArray[Any]:
        import numpy as np

        pictures = list(zip(self._images, self._tables.drawn, strict=True))
        places = [self._place(image) for image in self._images]
        if self._data.drawn == "pixels":
            return stacked([self._classes(image, drawn) for image, drawn in pictures], NONE)
        if self._data.drawn == "objects":
            return packed(
                [
                    [
                        (np.array(self._told(one, where)), runs_of(self._mask(image, one, where, self._whole(image))))
                        for one in drawn
                    ]
                    for (image, drawn), where in zip(pictures, places, strict=True)
                ]
            )
        most = max(len(drawn) for _, drawn in pictures)
        made = np.full((self.count, max(most, 1), _KNOWN), np.nan)
        for row, ((_, drawn), where) in enumerate(zip(pictures, places, strict=True)):
            for place, one in enumerate(drawn):
                made[row, place] = self._told(one, where)
        return made

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        return self._column(self._data.cluster)

    @property
    def slices(self) -> Sequence[str] | None:
        found = self._column(self._data.slice)
        return None if found is None else [str(name) for name in found]

    def needs_labels(self) -> KpiError:
        return KpiError(f"{self._file.name} has no annotations", "give the COCO file of annotated pictures")

    def _path(self, image: Entry) -> Path:
        return self._folder / str(image["file_name"])

    def _column(self, name: str) -> list[Any] | None:
        if not any(name in one for one in self._images):
            return None
        if lacking := [one for one in self._images if name not in one]:
            raise KpiError(f'{self._file.name}: image {lacking[0]["id"]} has no "{name}", others have', "give it one")
        return [one[name] for one in self._images]

    def _place(self, image: Entry) -> Fitted:
        """Where a picture lies in the input. KpiError where it is of another size than the file says."""
        told = (image["width"], image["height"])
        if (size := upright_size(self._path(image))) != told:
            raise KpiError(
                f"{self._file.name}: picture {image['file_name']} has {size[0]} x {size[1]} pixels, it says "
                f"{told[0]} x {told[1]}",
                "what is drawn is of a picture of that size: correct the file, or give that picture; pictures count "
                "as they are shown, turned as their EXIF says",
            )
        return fitted(size, self._input.how)

    def _told(self, one: Entry, where: Fitted) -> tuple[float, ...]:
        x, y, width, height = one["bbox"]
        area = float(one.get("area") or width * height) * where.across * where.down
        return (
            x * where.across + where.left,
            y * where.down + where.top,
            width * where.across,
            height * where.down,
            self._tables.number[one["category_id"]],
            area,
            float(one.get("iscrowd", 0)),
        )

    def _whole(self, image: Entry) -> tuple[int, int]:
        return input_size((image["width"], image["height"]), self._input.how)

    def _mask(self, image: Entry, one: Entry, where: Fitted, whole: tuple[int, int]) -> npt.NDArray[np.bool_]:
        try:
            return mask_of(one.get("segmentation"), (image["height"], image["width"]), where, whole)
        except ValueError as error:
            raise self._tables.wrong(one, str(error)) from None

    def _classes(self, image: Entry, drawn: list[Entry]) -> npt.NDArray[np.uint8]:
        """Classes of pixels in the input: smaller objects lie upon larger ones."""
        import numpy as np

        names, size = self._data.classes, (image["height"], image["width"])
        first = 0 if names else 1
        background = NONE if names else 0
        if "background" in names:
            background = names.index("background")
        if max(self._tables.number.values(), default=0) + first >= MOST:
            raise KpiError(
                f"{self._file.name} has more than {MOST - first} classes", "name those of the model: data.classes"
            )
        whole, same = np.full(size, background, np.uint8), Fitted(size[::-1], 1.0, 1.0, 0, 0)
        masks = [(self._mask(image, one, same, size), self._tables.number[one["category_id"]]) for one in drawn]
        for mask, number in sorted(masks, key=lambda one: -int(one[0].sum())):
            whole[mask] = number + first
        return mask_as_input(whole, self._input.how, NONE)
