"""Pictures in a folder, each with a mask in another one: the class of each of its pixels."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.class_folders import files_below
from harness.workloads.files.images import PICTURES
from harness.workloads.files.pictures import Pictured, PictureInput, mask_as_input, stacked, upright_size
from harness.workloads.files.samples import Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Signature

NONE = 255
"""In labels, a pixel that does not count."""
MOST = 254
"""So many classes there may be."""
SUFFIX = ".png"


class MaskedPictures(Pictured):
    """The pictures of a folder by name; their labels (pictures, height, width) are classes in the input's pixels.

    The mask of ``a/b.jpg`` is ``a/b.png`` in the folder of masks. Raises KpiError where pictures, masks and model do
    not fit; Unavailable where the masks are not here.
    """

    def __init__(self, folder: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        self._folder, self._data = folder, data
        if data.drawn != "pixels":
            raise KpiError("data.masks: is for a task that knows the class of each pixel", "leave it out")
        if data.masks is None:
            raise KpiError(
                f"{folder.name} holds pictures, and nothing says where their masks are",
                f'data = {{ file = "{folder.name}", masks = "FOLDER" }}, a folder next to it',
            )
        place = folder.parent / data.masks
        if not place.is_dir():
            raise Unavailable(f"the folder of masks {place} is not here", "data.masks is a folder next to the pictures")
        self._files = [file for file in files_below(folder, PICTURES) if place not in file.parents]
        if not self._files:
            raise KpiError(f"folder {folder} holds no pictures", f"known are {', '.join(sorted(PICTURES))}")
        self._masks = [place / file.relative_to(folder).with_suffix(SUFFIX) for file in self._files]
        if lacking := [mask for mask in self._masks if not mask.is_file()]:
            raise KpiError(
                f"{len(lacking)} of {len(self._masks)} pictures have no mask, such as "
                f"{lacking[0].relative_to(place)} in {place}",
                "a mask is a .png with the name of its picture",
            )
        self.made_by(PictureInput(signature, model, data.preprocess, folder.name, self._files))

    @property
    def count(self) -> int:
        return len(self._files)

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        return self._input.take(self._files[rows] if isinstance(rows, slice) else [self._files[row] for row in rows])

    def digest(self, cache: Path) -> str:
        parts = [f"{file.name} {remembered_digest(file, cache)}" for file in (*self._files, *self._masks)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def units(self) -> list[str]:
        return [self._input.digest(file) for file in self._files]

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8]:
        return stacked([self._mask(*both) for both in zip(self._files, self._masks, strict=True)], NONE)

    def needs_labels(self) -> KpiError:
        return KpiError(f"{self._folder.name} has no masks", "name their folder: data.masks")

    def _mask(self, picture: Path, file: Path) -> npt.NDArray[np.uint8]:
        import numpy as np

        mask = read_mask(file)
        if (size := upright_size(picture)) != mask.shape[::-1]:
            raise KpiError(
                f"mask {file.name} has {mask.shape[1]} x {mask.shape[0]} pixels, its picture {size[0]} x {size[1]}",
                "give the mask of that picture, as it is shown",
            )
        classes = np.where(mask == self._data.ignore, NONE, mask)
        most = len(self._data.classes) or MOST
        if odd := [value for value in np.unique(classes).tolist() if value >= most and value != NONE]:
            known = f"classes are 0 to {most - 1}, and {self._data.ignore} does not count"
            raise KpiError(f"mask {file.name} holds the value {odd[0]}: {known}", "correct data.classes or data.ignore")
        return mask_as_input(classes.astype(np.uint8), self._input.how, NONE)


def read_mask(file: Path) -> npt.NDArray[np.uint8]:
    """Numbers of classes (height, width): grey values, or the places in a palette. KpiError for other pictures."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as opened:
            mode, values = opened.mode, np.asarray(opened)
    except Exception as error:
        raise KpiError(f"mask {file.name} can't be read: {reason(error)}", "repair it") from error
    if values.ndim != 2 or values.dtype.kind not in "iub":  # noqa: PLR2004 - rows and columns
        raise KpiError(
            f"mask {file.name} has colours ({mode}), a mask has a number of a class in each pixel",
            "save it in grey, or with a palette whose places are the classes",
        )
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= NONE:
        raise KpiError(
            f"mask {file.name} holds {int(values.min())} to {int(values.max())}, classes are 0 to {MOST - 1}",
            "give each class its number; 255 does not count",
        )
    return values.astype(np.uint8)
