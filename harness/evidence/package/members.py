"""Reads the files of a package without unpacking it, trusted or not: no link is followed, no limit passed."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.core.errors import KpiError
from harness.evidence.package.contents import PACKAGE

UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged or a hostile file may raise."""
_FIRST = 16 << 20
"""Bytes of a stream that are read before its manifest has said how many there are."""
_BLOCK, _SLACK = 512, 1 << 20
_LONGEST_PART, _LONGEST, _DEEPEST = 255, 1000, 64
_ZIP = b"PK\x03\x04"
_LEAST_HEADER = 30  # of an entry of a zip; what follows its data is shorter


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a package; ``problem`` says why it is none that a package may hold, and then it can't be opened."""

    name: str
    problem: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened package: its manifest's bytes, its other files, what to call once the listed sizes are known."""

    manifest: bytes
    others: Iterator[Member]
    allow: Callable[[int, int], None]


def unsafe(name: str) -> str:
    """Why a name is not allowed in a package; empty when it may."""
    if len(name) > _LONGEST or any(len(part.encode(errors="replace")) > _LONGEST_PART for part in name.split("/")):
        return "has a name that is too long"
    if not name.isprintable() or "\\" in name or ":" in name.partition("/")[0]:
        return "has a name that no file should have"
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        return "has a name that leads out of the package"
    return "lies too deep" if name.count("/") > _DEEPEST else ""


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Opens a folder, a zip or a tar.gz; KpiError when it is none of them, or has no manifest."""
    try:
        if path.is_dir():
            yield _folder(path)
        elif path.exists() and not path.is_file():
            raise KpiError(f"{path} is not a plain file", "give a folder, a zip or a tar.gz")  # a pipe would wait
        elif _begins_as_zip(path):
            with zipfile.ZipFile(path) as archive:
                yield _zip(path, archive)
        else:
            with gzip.open(path) as packed:
                limited = _Limited(packed)
                with tarfile.open(fileobj=limited, mode="r|") as archive:
                    yield _tar(path, archive, limited)
    except FileNotFoundError:
        raise KpiError(f"{path} is not there") from None
    except tarfile.TarError as error:
        raise KpiError(f"{path} is not a package: {error}", "give a folder, a zip or a tar.gz") from None
    except UNREADABLE as error:
        said = str(error) or type(error).__name__
        raise KpiError(f"{path} can't be read: {said}", "is it a package, and whole?") from None


def _begins_as_zip(path: Path) -> bool:
    """By its first bytes: of a file that is a zip and a tar.gz in one, others may read the other one."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _closed() -> IO[bytes]:
    raise KpiError("a file that no package may hold is not opened")


def _no_manifest(path: Path) -> KpiError:
    return KpiError(f"{path} is not a package: {PACKAGE} is not its first file", "repacked? verify the folder")


# ---- a folder -----------------------------------------------------------------------------------------------------


def _folder(root: Path) -> Opened:
    manifest = root / PACKAGE
    try:
        with _plain(manifest)() as file:
            content = file.read(_FIRST)
    except FileNotFoundError:
        raise KpiError(f"{root} is not a package: it has no {PACKAGE}") from None
    return Opened(content, _walk(root, "", 0), lambda _size, _count: None)


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[Member]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{prefix}{entry.name}"
            if name == PACKAGE:
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and depth < _DEEPEST:
                yield from _walk(Path(entry.path), f"{name}/", depth + 1)
            elif stat.S_ISREG(mode):
                yield _member(name, _plain(Path(entry.path)))
            else:
                yield Member(name, "is a link" if stat.S_ISLNK(mode) else "is not a plain file", _closed)


def _plain(path: Path) -> Callable[[], IO[bytes]]:
    """Opens a file that is not a link and nothing that could block."""

    def opener() -> IO[bytes]:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path.name} is not a plain file")
        return os.fdopen(descriptor, "rb")

    return opener


def _member(name: str, opener: Callable[[], IO[bytes]]) -> Member:
    problem = unsafe(name)
    return Member(name, problem, _closed if problem else opener)


# ---- a zip --------------------------------------------------------------------------------------------------------


def _zip(path: Path, archive: zipfile.ZipFile) -> Opened:
    entries = archive.infolist()
    if not entries or entries[0].filename != PACKAGE:
        raise _no_manifest(path)
    _no_gaps(archive, entries)
    with archive.open(entries[0]) as file:
        content = file.read(_FIRST)
    return Opened(content, _zipped(archive, entries[1:]), lambda _size, _count: None)


def _no_gaps(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """OSError where there is room between entries for one that the list at the end does not name."""
    end, room, file = 0, 1, archive.fp
    assert file is not None
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if not 0 <= entry.header_offset - end < room:
            raise OSError("it holds more than it lists")
        file.seek(entry.header_offset + 26)  # the lengths of its name and of what follows that
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
        end, room = entry.header_offset + _LEAST_HEADER + name + extra + entry.compress_size, _LEAST_HEADER
    if not 0 <= archive.start_dir - end < room:
        raise OSError("it holds more than it lists")


def _zipped(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[Member]:
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        # orig_filename, since ZipInfo cuts a name at its first NUL.
        name = entry.orig_filename
        if kind == stat.S_IFLNK:
            yield Member(name, "is a link", _closed)
        elif kind not in (0, stat.S_IFREG) or entry.is_dir():
            yield Member(name, "is not a plain file", _closed)
        else:
            yield _member(name, lambda entry=entry: archive.open(entry))  # type: ignore[misc]


# ---- a tar.gz -----------------------------------------------------------------------------------------------------


class _Limited(io.RawIOBase):
    """A stream that ends with an error where more comes out of it than was announced."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = _FIRST
        self._read = 0
        self.filled = 0
        """Where the last byte that is not zero ends."""

    def allow(self, size: int, count: int) -> None:
        """Lets through ``size`` bytes in ``count`` files, with what tar puts around them."""
        self._left = size + (count + 1) * 8 * _BLOCK + _SLACK

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(piece)
        if self._left < 0:
            raise OSError("more comes out of it than its manifest lists")
        if rest := piece.rstrip(b"\0"):
            self.filled = self._read + len(rest)
        self._read += len(piece)
        return piece


def _tar(path: Path, archive: tarfile.TarFile, limited: _Limited) -> Opened:
    first = archive.next()
    if first is None or first.name != PACKAGE or not first.isreg():
        raise _no_manifest(path)
    file = archive.extractfile(first)
    content = file.read(_FIRST) if file else b""
    return Opened(content, _tarred(archive, limited), limited.allow)


def _tarred(archive: tarfile.TarFile, limited: _Limited) -> Iterator[Member]:
    end = 0
    for entry in archive:
        end = entry.offset_data + -(-entry.size // _BLOCK) * _BLOCK
        if entry.name == PACKAGE and entry.offset == 0:
            continue  # the manifest, which was read
        if entry.isreg():
            yield _member(entry.name, lambda entry=entry: _extracted(archive, entry))  # type: ignore[misc]
        else:
            yield Member(entry.name, "is a link" if entry.issym() or entry.islnk() else "is not a plain file", _closed)
    while limited.read(_SLACK):
        pass
    if limited.filled > end:
        raise OSError("it holds more behind its end")


def _extracted(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(entry)
    if file is None:
        raise OSError(f"{entry.name} can't be read")
    return file
