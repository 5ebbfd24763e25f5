"""Pictures in folders, a folder for each class, made into inputs as the model's card says."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, suggest
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.pictures import PictureInput
from harness.workloads.files.samples import Rows, Samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.base import TensorSpec
    from harness.workloads.files.signature import Signature

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, by name; hidden ones left out."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=lambda p: p.relative_to(folder).parts)


def folder_digest(folder: Path, cache: Path) -> str:
    """SHA-256 over the names and the content of the pictures in a folder."""
    digest = hashlib.sha256()
    for file in pictures(folder):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{remembered_digest(file, cache)}\n".encode())
    return digest.hexdigest()


class ImageSamples(Samples):
    """The pictures of a folder; the names of the folders in it are the classes.

    Raises KpiError where they do not fit the model; Unavailable where Pillow is not installed.
    """

    def __init__(self, folder: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        self._folder = folder
        self._files = pictures(folder)
        if not self._files:
            raise KpiError(f"folder {folder} holds no pictures", f"known are {', '.join(sorted(PICTURES))}")
        self._input = PictureInput(signature, model, data.preprocess, folder.name)
        self._classes = self._named(data.classes)

    @property
    def count(self) -> int:
        return len(self._files)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return (self._input.spec,)

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        return self._input.take(self._files[rows] if isinstance(rows, slice) else [self._files[row] for row in rows])

    def digest(self, cache: Path) -> str:
        return folder_digest(self._folder, cache)

    def units(self) -> list[str]:
        return [self._input.digest(file) for file in self._files]

    @cached_property
    def labels(self) -> npt.NDArray[np.int64] | None:
        import numpy as np

        if not self._classes:
            return None
        place = {name: number for number, name in enumerate(self._classes)}
        return np.array([place[self._class(file)] for file in self._files], dtype=np.int64)

    def needs_labels(self) -> KpiError:
        return KpiError(
            f"the pictures in {self._folder.name} have no labels: they are in no folders",
            'put each into a folder named as its class; the task "tensors" needs none',
        )

    def _class(self, file: Path) -> str:
        inside = file.relative_to(self._folder).parts
        return inside[0] if len(inside) > 1 else ""

    def _named(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        found = sorted({self._class(file) for file in self._files})
        if found == [""]:
            return ()
        if "" in found:
            loose = next(file for file in self._files if not self._class(file))
            raise KpiError(f"{loose.name} is in no folder of a class, others are", "move it into one")
        for name in found if classes else ():
            if name not in classes:
                raise KpiError(
                    f"folder {name}: {suggest(name, classes, 'class')}", "correct data.classes or the folder"
                )
        return classes or tuple(found)
