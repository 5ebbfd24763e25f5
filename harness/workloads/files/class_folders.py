"""Files in folders, a folder for each class: which there are, what they are called, what class each is of."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import KpiError, suggest
from harness.workloads.checkpoint import file_digest, remembered_digest
from harness.workloads.files.samples import Rows, Samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles


_HIDDEN = (".", "__MACOSX")
"""How names begin of what file managers and notebooks leave."""


_WITH_THEM = ("", ".csv", ".db", ".ini", ".json", ".md", ".txt", ".tsv", ".xml", ".yaml", ".yml")
"""How names of files end that tell something of the samples."""


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Every file below a folder whose name ends so, by name; hidden ones and hidden folders left out."""
    chosen = (p for p in _shown(folder, frozenset()) if p.suffix.lower() in suffixes and p.is_file())
    return sorted(chosen, key=lambda p: p.relative_to(folder).parts)


def _shown(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """What is below a folder, also in folders that are links, but for those to one of the folders ``above``."""
    own = folder.resolve()
    if own in above:
        return
    for one in folder.iterdir():
        if not one.name.startswith(_HIDDEN):
            yield from _shown(one, above | {own}) if one.is_dir() else (one,)


def digest_below(folder: Path, suffixes: Collection[str], cache: Path) -> str:
    """SHA-256 over the names and the content of these files."""
    digest = hashlib.sha256()
    for file in files_below(folder, suffixes):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{remembered_digest(file, cache)}\n".encode())
    return digest.hexdigest()


class ClassFolders(Samples):
    """The files of a folder, each a sample; the names of the folders in it are the classes.

    With a folder for each split the classes are those of all of them. ``what`` is what messages call the files. Raises
    KpiError where there are none, or where folders and classes differ.
    """

    def __init__(self, folder: Path, suffixes: Collection[str], what: str, data: DataFiles) -> None:
        self._folder = folder
        self._what = what
        self._suffixes = suffixes
        self._files = files_below(folder, suffixes)
        if not self._files:
            raise KpiError(f"folder {folder} holds no {what}", f"known are {', '.join(sorted(suffixes))}")
        self._classes = self._named(data)

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

    @property
    def remarks(self) -> Sequence[str]:
        """Files that are none of the samples, such as recordings in a format that is not read."""
        known = {*self._suffixes, *_WITH_THEM}
        others = [file for file in _shown(self._folder, frozenset()) if file.suffix.lower() not in known]
        if not others:
            return ()
        return (f"{len(others)} other files in {self._folder.name} are no {self._what}, such as {min(others).name}",)

    def needs_labels(self) -> KpiError:
        return KpiError(
            f"the {self._what} in {self._folder.name} have no labels: they are in no folders",
            'put each into a folder named as its class; the task "tensors" needs none',
        )

    def _class(self, file: Path) -> str:
        inside = file.relative_to(self._folder).parts
        return inside[0] if len(inside) > 1 else ""

    def _named(self, data: DataFiles) -> tuple[str, ...]:
        classes = data.classes
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
        return classes or tuple(sorted({name for folder in data.files for name in self._folders_in(folder)}))

    def _folders_in(self, folder: Path) -> list[str]:
        """The folders of classes in one. KpiError where one is empty: classes are numbered by their place."""
        found = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(_HIDDEN))
        for one in found:
            if not files_below(one, self._suffixes):
                raise KpiError(
                    f"folder {folder.name}/{one.name} holds no {self._what}: is it a class?",
                    "remove it, or name the classes in the order of the model's outputs: "
                    f'data = {{ file = "{folder.name}", classes = [...] }}',
                )
        return [one.name for one in found]
