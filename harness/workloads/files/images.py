"""Pictures in folders, a folder for each class, made into inputs as the model's card says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.libraries import require
from harness.workloads.files.class_folders import ClassFolders
from harness.workloads.files.pictures import Pictured, PictureInput
from harness.workloads.files.samples import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Signature

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageSamples(Pictured, ClassFolders):
    """The pictures of a folder; the names of the folders in it are the classes.

    Raises KpiError where they do not fit the model; Unavailable where Pillow is not installed.
    """

    def __init__(self, folder: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        super().__init__(folder, PICTURES, "pictures", data)
        self.made_by(PictureInput(signature, model, data.preprocess, folder.name, self._files))

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        return self._input.take(self.chosen(rows))
