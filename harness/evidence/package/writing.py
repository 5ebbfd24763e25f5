"""Writes a package as a folder, a zip or a tar.gz: the same bytes for the same contents, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.core.errors import KpiError
from harness.evidence.package.contents import MARK, PACKAGE, Contents

SUFFIXES = (".tar.gz", ".tgz", ".zip")
_PIECE = 1 << 20
# The earliest time that a zip file can hold, so that no clock shows in an archive.
_EPOCH, _EPOCH_S = (1980, 1, 1, 0, 0, 0), 315532800
# Weights hardly shrink, and gigabytes of them would take minutes.
_LEVEL, _LARGE = 1, 16 << 20


def place(out: Path, contents: Contents) -> Path:
    """Where the package goes: ``out``, with a mark in its name where the KPI was not proven."""
    suffix = suffix_of(out)
    stem = out.name.removesuffix(suffix)
    return out.with_name(f"{stem}{MARK}{suffix}") if contents.forced and MARK not in stem else out


def suffix_of(path: Path) -> str:
    """The ending that makes it an archive; empty for a folder."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def write(contents: Contents, out: Path) -> None:
    """Writes the package next to ``out``, then renames it there; KpiError in one line when that can't be done.

    An archive, or the folder of an earlier package, is replaced; any other folder is refused.
    """
    out = out.absolute()
    try:
        check_place(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".kpi-package-", dir=out.parent))
        try:
            fresh = aside / "fresh"
            with _target(out, fresh) as target:
                for name, source in contents.files.items():
                    _copy(contents, name, source, target)
            settle(fresh, out, aside / "before")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise refused(out, error) from None


def check_place(out: Path) -> None:
    """KpiError when something is there that is not ours to replace."""
    if suffix_of(out):
        if out.is_dir():
            raise KpiError(f"{out} is a folder", "name another file with --out")
    elif out.is_dir() and any(out.iterdir()) and not (out / PACKAGE).is_file():
        raise KpiError(f"{out} is there already and is not a package", "name another folder with --out")
    elif out.exists() and not out.is_dir():
        raise KpiError(f"{out} is a file", f"name a folder, or a file that ends in {', '.join(SUFFIXES)}")


def settle(fresh: Path, out: Path, before: Path) -> None:
    """Renames ``fresh`` to ``out``; a folder that is there is moved to ``before``, and back when that fails."""
    replaced = out.is_dir()
    if replaced:
        out.rename(before)
    try:
        os.replace(fresh, out)
    except OSError:
        if replaced:
            before.rename(out)
        raise


def refused(out: Path, error: OSError) -> KpiError:
    """An operating system's refusal as one line."""
    return KpiError(f"{out} can't be written: {error.strerror or error}", "free space, or name another place")


def _copy(contents: Contents, name: str, source: bytes | Path, target: _Target) -> None:
    """Copies one file and digests what is copied: nothing that changed meanwhile gets in."""
    digest = hashlib.sha256()
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        target.add(name, contents.sizes[name], _Digested(stream, digest))
    if digest.hexdigest() != contents.digests[name]:
        raise KpiError(f"{name} changed while it was packed", "is somebody pruning or writing the store?")


class _Digested(io.RawIOBase):
    """A stream that digests what is read from it."""

    def __init__(self, stream: IO[bytes], digest: hashlib._Hash) -> None:
        self._stream = stream
        self._digest = digest

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        self._digest.update(piece)
        return piece


class _Target(ABC):
    """Where files go, one after the other."""

    @abstractmethod
    def add(self, name: str, size: int, stream: _Digested) -> None:
        """Writes one file of ``size`` bytes."""


class _Folder(_Target):
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        root.chmod(0o755)

    def add(self, name: str, size: int, stream: _Digested) -> None:
        del size
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(stream, file, _PIECE)
            file.flush()
            os.fsync(file.fileno())
        os.utime(path, (_EPOCH_S, _EPOCH_S))


class _Zip(_Target):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive

    def add(self, name: str, size: int, stream: _Digested) -> None:
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED if size < _LARGE else zipfile.ZIP_STORED
        entry.create_system = 3  # Unix, wherever it is made
        entry.external_attr = 0o100644 << 16
        entry.file_size = size
        with self.archive.open(entry, "w") as file:
            shutil.copyfileobj(stream, file, _PIECE)


class _Tar(_Target):
    def __init__(self, archive: tarfile.TarFile) -> None:
        self.archive = archive

    def add(self, name: str, size: int, stream: _Digested) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, _EPOCH_S, 0o644
        self.archive.addfile(entry, stream)


@contextmanager
def _target(out: Path, fresh: Path) -> Iterator[_Target]:
    suffix = suffix_of(out)
    if not suffix:
        yield _Folder(fresh)
        return
    with fresh.open("xb") as file:
        if suffix == ".zip":
            with zipfile.ZipFile(file, "w") as zipped:
                yield _Zip(zipped)
        else:
            with (
                gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tarred,
            ):
                yield _Tar(tarred)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o644)
