"""Pictures with boxes that people drew, as a COCO file tells them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason, suggest
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.pictures import Fitted, PictureInput, fitted, upright_size
from harness.workloads.files.samples import Rows, Samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.base import TensorSpec
    from harness.workloads.files.signature import Signature

SUFFIX = ".json"
_PARTS = ("images", "annotations", "categories")
_KNOWN = 7
"""Numbers of a box: x, y, width, height, class, area, whether it is a crowd."""


class CocoSamples(Samples):
    """The pictures of a COCO file in its order; their labels are boxes in pixels of the model's input.

    ``labels`` are (pictures, most boxes, 7): x, y, width, height, number of the class, area, 1 for a crowd; NaN fills
    up. Classes are numbered in the order of ``classes``, else in that of their ids. Raises KpiError, with the place in
    the file, for what is no such file, or does not fit.
    """

    def __init__(self, file: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        self._file, self._data = file, data
        read = _read(file)
        self._images: list[dict[str, Any]] = read["images"]
        self._folder = file.parent / data.pictures if data.pictures else file.parent
        self._input = PictureInput(signature, model, data.preprocess, file.name)
        if self._input.how.resize is not None:
            raise KpiError(
                f"{file.name}: preprocess.resize cuts out the middle of a picture, and boxes with it",
                'leave resize out, or keep all of it: fit = "letterbox"',
            )
        if lacking := [one for one in self._images if not self._path(one).is_file()]:
            raise KpiError(
                f"{file.name}: picture {lacking[0]['file_name']} is not in {self._folder}"
                + (f", nor are {len(lacking) - 1} others" if lacking[1:] else ""),
                f'say where they are: data = {{ file = "{file.name}", pictures = "FOLDER" }}',
            )
        self._number = _classes(read["categories"], data.classes, file.name)
        self._boxes = self._by_picture(read["annotations"])

    @property
    def count(self) -> int:
        return len(self._images)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return (self._input.spec,)

    @property
    def files(self) -> list[Path]:
        """The pictures."""
        return [self._path(one) for one in self._images]

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        chosen = self.files[rows] if isinstance(rows, slice) else [self._path(self._images[row]) for row in rows]
        return self._input.take(chosen)

    def digest(self, cache: Path) -> str:
        parts = [remembered_digest(file, cache) for file in (self._file, *self.files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def units(self) -> list[str]:
        return [self._input.digest(file) for file in self.files]

    @cached_property
    def labels(self) -> npt.NDArray[np.float64]:
        import numpy as np

        most = max((len(boxes) for boxes in self._boxes), default=0)
        made = np.full((self.count, max(most, 1), _KNOWN), np.nan)
        for row, (image, boxes) in enumerate(zip(self._images, self._boxes, strict=True)):
            told = (image["width"], image["height"])
            if (size := upright_size(self._path(image))) != told:
                raise KpiError(
                    f"{self._file.name}: picture {image['file_name']} has {size[0]} x {size[1]} pixels, it says "
                    f"{told[0]} x {told[1]}",
                    "boxes are of a picture of that size: correct the file, or give that picture",
                )
            where = fitted(size, self._input.how)
            for place, box in enumerate(boxes):
                made[row, place] = (*_moved(box["bbox"], where), *self._told(box, where))
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

    def _path(self, image: dict[str, Any]) -> Path:
        return self._folder / str(image["file_name"])

    def _column(self, name: str) -> list[Any] | None:
        if not any(name in one for one in self._images):
            return None
        if lacking := [one for one in self._images if name not in one]:
            raise KpiError(f'{self._file.name}: image {lacking[0]["id"]} has no "{name}", others have', "give it one")
        return [one[name] for one in self._images]

    def _told(self, box: dict[str, Any], where: Fitted) -> tuple[float, float, float]:
        width, height = box["bbox"][2:]
        area = float(box.get("area") or width * height) * where.across * where.down
        return self._number[box["category_id"]], area, float(bool(box.get("iscrowd")))

    def _by_picture(self, annotations: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        place = {one["id"]: row for row, one in enumerate(self._images)}
        found: list[list[dict[str, Any]]] = [[] for _ in self._images]
        for number, box in enumerate(annotations):
            here = f"{self._file.name}: annotations[{number}]"
            if (image := box.get("image_id")) not in place:
                raise KpiError(f"{here} is of image {image!r}, which is not among the images", "add it, or remove both")
            if (kind := box.get("category_id")) not in self._number:
                raise KpiError(
                    f"{here} is of category {kind!r}, which is not among the categories", "add it, or correct it"
                )
            corners = box.get("bbox")
            numbers = isinstance(corners, list) and all(isinstance(one, int | float) for one in corners)
            if not isinstance(corners, list) or not numbers or len(corners) != 4 or min(corners[2:]) <= 0:  # noqa: PLR2004
                raise KpiError(f"{here}: bbox = {corners!r}, expected [x, y, width, height] with a size", "correct it")
            found[place[image]].append(box)
        return found


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise Unavailable(f"data {file} is not here", "check its path")
    try:
        read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise KpiError(f"{file.name} is not JSON: {reason(error)}", "was it cut off?") from error
    for part in _PARTS:
        if not isinstance(read, dict) or not isinstance(read.get(part), list):
            raise KpiError(
                f'{file.name} is not a COCO file: it has no list "{part}"',
                "it needs images (id, file_name, width, height), annotations (image_id, category_id, bbox), categories",
            )
    for part, keys in (("images", ("id", "file_name", "width", "height")), ("categories", ("id", "name"))):
        for number, one in enumerate(read[part]):
            if lacking := [key for key in keys if not isinstance(one, dict) or key not in one]:
                raise KpiError(f'{file.name}: {part}[{number}] has no "{lacking[0]}"', "add it")
        if twice := [name for name, count in Counter(one["id"] for one in read[part]).items() if count > 1]:
            raise KpiError(f"{file.name}: {part} has the id {twice[0]} twice", "give each its own")
    if not read["images"]:
        raise KpiError(f"{file.name} has no images")
    return read


def _classes(categories: list[dict[str, Any]], order: tuple[str, ...], file: str) -> dict[Any, int]:
    """The number of each category's class, by its id."""
    if not order:
        return {one: number for number, one in enumerate(sorted(category["id"] for category in categories))}
    for one in categories:
        if one["name"] not in order:
            raise KpiError(
                f"{file}: category {suggest(str(one['name']), order, 'class')}", "correct data.classes or the file"
            )
    return {one["id"]: order.index(one["name"]) for one in categories}


def _moved(box: list[float], where: Fitted) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x * where.across + where.left, y * where.down + where.top, width * where.across, height * where.down
