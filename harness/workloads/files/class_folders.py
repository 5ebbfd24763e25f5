"""Files in folders, a folder for each class: which there are, what they are called, what class each is of."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import KpiError, suggest
from harness.workloads.checkpoint import file_digest, remembered_digest
from harness.workloads.files.samples import Rows, Samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Every file below a folder whose name ends so, by name; hidden ones left out."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=lambda p: p.relative_to(folder).parts)


def digest_below(folder: Path, suffixes: Collection[str], cache: Path) -> str:
    """SHA-256 over the names and the content of these files."""
    digest = hashlib.sha256()
    for file in files_below(folder, suffixes):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{remembered_digest(file, cache)}\n".encode())
    return digest.hexdigest()


class ClassFolders(Samples):
    """The files of a folder, each a sample; the names of the folders in it are the classes.

    ``what`` is what messages call the files. Raises KpiError where there are none, or where folders and classes differ.
    """

    def __init__(self, folder: Path, suffixes: Collection[str], what: str, classes: Sequence[str]) -> None:
        self._folder = folder
        self._what = what
        self._suffixes = suffixes
        self._files = files_below(folder, suffixes)
        if not self._files:
            raise KpiError(f"folder {folder} holds no {what}", f"known are {', '.join(sorted(suffixes))}")
        self._classes = self._named(tuple(classes))

    @property
    def count(self) -> int:
        return len(self._files)

    def chosen(self, rows: Rows) -> list[Path]:
        """The files of some samples."""
        return self._files[rows] if isinstance(rows, slice) else [self._files[row] for row in rows]

    def digest(self, cache: Path) -> str:
        return digest_below(self._folder, self._suffixes, cache)

    def units(self) -> list[str]:
        return [file_digest(file) for file in self._files]

    @cached_property
    def labels(self) -> npt.NDArray[np.int64] | None:
        import numpy as np

        if not self._classes:
            return None
        place = {name: number for number, name in enumerate(self._classes)}
        return np.array([place[self._class(file)] for file in self._files], dtype=np.int64)

    def needs_labels(self) -> KpiError:
        return KpiError(
            f"the {self._what} in {self._folder.name} have no labels: they are in no folders",
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
