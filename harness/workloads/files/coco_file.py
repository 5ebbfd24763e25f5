"""The tables of a COCO file: pictures, classes, what people drew; likely mistakes in them are told with their place."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable, reason, suggest

Entry = dict[str, Any]
_PARTS = ("images", "annotations", "categories")
_KEYS = {"images": ("id", "file_name", "width", "height"), "categories": ("id", "name"), "annotations": ()}
_CORRECT = "correct it, or remove the entry"
_LISTED = 12
_OUTSIDE = 2.0  # pixels that a box may reach out of its picture by rounding


class CocoFile:
    """``images`` in the file's order; ``drawn``: for each of them its annotations, in the file's order.

    ``classes`` are the names of the model's classes in its order; without them they count by the ids of the categories.
    ``bare`` says that annotations need no boxes. Raises KpiError for other files, Unavailable where it is not here.
    """

    def __init__(self, file: Path, classes: tuple[str, ...], *, bare: bool = False) -> None:
        self.name = file.name
        read = _read(file)
        self.images: list[Entry] = read["images"]
        self._categories: list[Entry] = read["categories"]
        self._order = classes
        self.number = self._numbers({_plain(one.get("category_id")) for one in read["annotations"]})
        self.drawn = self._by_picture(read["annotations"], bare=bare)
        if not bare:
            self._check_corners()

    def wrong(self, annotation: Entry, said: str) -> KpiError:
        """The error of an annotation."""
        return KpiError(f"{self.name}: annotation {annotation.get('id', 'without id')} {said}", _CORRECT)

    def _numbers(self, used: set[Any]) -> dict[Any, int]:
        """The number of each category's class, by its id; of ``used`` ones each must be a class of the model."""
        ids = [one["id"] for one in self._categories]
        if not self._order:
            return {one: number for number, one in enumerate(sorted(ids, key=lambda one: (isinstance(one, str), one)))}
        names = {one["id"]: str(one["name"]) for one in self._categories}
        for one, name in names.items():
            if one in used and name not in self._order:
                raise KpiError(
                    f"{self.name}: category {suggest(name, self._order, 'class')}", "correct data.classes or the file"
                )
        return {one: self._order.index(name) for one, name in names.items() if name in self._order}

    def _by_picture(self, annotations: list[Entry], *, bare: bool) -> list[list[Entry]]:
        place = {one["id"]: row for row, one in enumerate(self.images)}
        found: list[list[Entry]] = [[] for _ in self.images]
        for one in annotations:
            if (image := _plain(one.get("image_id"))) not in place:
                raise self.wrong(one, f"is of image {image!r}, which is not among the images")
            if (kind := _plain(one.get("category_id"))) not in self.number:
                known = ", ".join(map(str, list(self.number)[:_LISTED])) or "none"
                raise self.wrong(one, f"is of category {kind!r}, which is not among the categories: {known}")
            if not bare:
                self._check_box(one)
            if one.get("iscrowd", 0) not in (0, 1):
                raise self.wrong(one, f"has iscrowd = {one['iscrowd']!r}, expected 0 or 1")
            found[place[image]].append(one)
        return found

    def _check_box(self, one: Entry) -> None:
        box, area = one.get("bbox"), one.get("area", 0)
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or min(box[2:]) <= 0:  # noqa: PLR2004
            raise self.wrong(one, f"has bbox = {box!r}, expected [x, y, width, height] with a size")
        if area is not None and (not _is_number(area) or area < 0):
            raise self.wrong(one, f"has area = {area!r}, expected a number of pixels")

    def _check_corners(self) -> None:
        """KpiError where most boxes reach out of their pictures, or all are within the first pixel: of another unit."""
        out = [
            one["bbox"]
            for image, here in zip(self.images, self.drawn, strict=True)
            for one in here
            if one["bbox"][0] + one["bbox"][2] > image["width"] + _OUTSIDE
            or one["bbox"][1] + one["bbox"][3] > image["height"] + _OUTSIDE
        ]
        count = sum(map(len, self.drawn))
        if count and all(max(one["bbox"]) <= 1 for here in self.drawn for one in here):
            raise KpiError(
                f"{self.name}: no box is larger than a pixel, such as {next(filter(None, self.drawn))[0]['bbox']}",
                "COCO's boxes are in pixels, not shares of the picture",
            )
        if 2 * len(out) > count:
            raise KpiError(
                f"{self.name}: {len(out)} of {count} boxes reach out of their pictures, such as {out[0]}",
                "COCO's boxes are x, y, width, height in pixels, not two corners",
            )


def _read(file: Path) -> dict[str, list[Entry]]:
    if not file.is_file():
        raise Unavailable(f"data {file} is not here", "check its path")
    try:
        read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise KpiError(f"{file.name} is not JSON: {reason(error)}", "was it cut off?") from error
    for part in _PARTS:
        if not isinstance(read, dict) or not isinstance(read.get(part), list):
            raise KpiError(
                f'{file.name} is not a COCO file: it has no list "{part}"',
                "it needs images (id, file_name, width, height), annotations (image_id, category_id, bbox), categories",
            )
    for part, keys in _KEYS.items():
        for number, one in enumerate(read[part]):
            _check_entry(f"{file.name}: {part}[{number}]", one, keys)
        ids = Counter(one["id"] for one in read[part] if keys)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise KpiError(f"{file.name}: {part} has the id {twice[0]} twice", "give each its own")
    if not read["images"]:
        raise KpiError(f"{file.name} has no images", "give the COCO file of annotated pictures")
    return read


def _check_entry(here: str, one: Any, keys: tuple[str, ...]) -> None:
    """KpiError where an entry is not a table, lacks one of the keys, or a key is not what it must be."""
    if not isinstance(one, dict):
        raise KpiError(f"{here} is {one!r}, expected a table", _CORRECT)
    for key in keys:
        if key not in one:
            raise KpiError(f'{here} has no "{key}"', "add it")
        value = one[key]
        if key == "id" and (isinstance(value, bool) or not isinstance(value, int | str)):
            raise KpiError(f"{here}: id = {value!r}, expected a whole number or text", _CORRECT)
        if key in ("width", "height") and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise KpiError(f"{here}: {key} = {value!r}, expected a number of pixels", _CORRECT)


def _plain(name: Any) -> Any:
    """What an annotation names; what can be no id, as text."""
    return repr(name) if isinstance(name, list | dict) else name


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
