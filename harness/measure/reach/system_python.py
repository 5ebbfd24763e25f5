"""A Python with its C library, taken out of the archive of a Linux system: it needs nothing but a Linux kernel."""

from __future__ import annotations

import io
import lzma
import posixpath
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from harness.core.errors import KpiError
from harness.workloads.checkpoint import file_digest

LOADER = "libexec/loader"
"""The dynamic linker, in what is taken; ``libexec/python3.N`` is Python's program, ``lib`` has the libraries."""
WHOLE = "complete"
"""The last file of what is taken, empty: what lacks it was cut off."""
_PREFIXES = ("usr/local", "usr")
_ARCHES = {0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64"}
"""ELF's ``e_machine`` of processors with 64 bits, in the words of ``uname -m``."""
_HEADER, _CLASS_64 = 20, 2
_LOADER = re.compile(r"ld-linux-[\w-]+\.so\.\d+")
_LIBRARY = re.compile(r".+\.so(?:\.[\d.]+)?")
_FOLDERS = re.compile(r"(?:usr/)?lib(?:64|/[\w-]+-linux-gnu)?")
"""Where a system keeps its libraries, /usr merged or not; what is elsewhere may be of another C library."""
_C_LIBRARY = "libc.so.6"
_RUNTIMES_NEED = ("libstdc++.so.6", "libgcc_s.so.1")
# Of the standard library what measures nothing; packages come as wheels.
_LEFT_OUT = re.compile(
    r"(?:^|/)(?:test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|__pycache__|config-[^/]*|site-packages"
    r"|dist-packages)/|(?:^|/)_(?:tkinter|test[^/]*)\.[^/]*$|\.(?:pyc|a)$"
)
_MOST_LINKS = 40
_REMEDY = "docs/boards.md says how to write one"


@dataclass(frozen=True, slots=True)
class SystemPython:
    """What was taken: a version such as 3.13, the processor as ``uname -m`` says it, the file and its SHA-256."""

    version: str
    arch: str
    file: Path
    digest: str


def take(archive: Path, minors: Collection[int], target: Path) -> SystemPython:
    """Takes the newest Python 3 of ``minors`` from a tar, plain or compressed, into a plain one, ``target``.

    The same archive gives the same bytes. Raises KpiError where the archive can't be read or lacks something.
    """
    try:
        if archive.exists() and not archive.is_file():
            raise _Lacking("it is not a file: write the archive to one")  # of a pipe a second look is not possible
        with tarfile.open(archive) as packed, tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(_whole(packed), plain)  # a compressed file can't be read here and there
            plain.seek(0)
            with tarfile.open(fileobj=plain) as opened, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as made:
                members = opened.getmembers()
                plain.seek(opened.offset)
                if plain.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                    raise tarfile.ReadError(f"behind {members[-1].name} is neither a file nor an end")
                system = _System(opened, minors)
                names: dict[str, str] = {}
                for name, member in sorted(system.taken(), key=lambda one: one[1].offset):
                    folder, first = posixpath.split(names.setdefault(member.name, name))
                    if (folder, first) != posixpath.split(name) and folder == posixpath.dirname(name):
                        _add_link(made, name, first)  # a library has several names
                    else:
                        _add(made, name, member.mode & 0o111, system.content(member))
                _add(made, WHOLE, 0, b"")
    except _Lacking as error:
        raise KpiError(f"{archive}: {error}", _REMEDY) from None
    except (OSError, EOFError, ValueError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        detail = f" ({error})" if "\n" not in str(error) else ""
        kinds = "plain or packed by gzip, bzip2 or xz"
        said = getattr(error, "strerror", None) or f"no archive that tar wrote, {kinds}, or damaged{detail}"
        raise KpiError(f"{archive}: {said}", _REMEDY) from None
    return SystemPython(system.version, system.arch, target, file_digest(target))


class _Lacking(Exception):
    """The archive is not of a system that can be used."""


class _System:
    """The files of an archive by their names, links followed."""

    def __init__(self, opened: tarfile.TarFile, minors: Collection[int]) -> None:
        self._opened = opened
        self._members = {posixpath.normpath(one.name).lstrip("/"): one for one in opened}
        self._folders: dict[str, list[str]] = {}
        for path in self._members:
            self._folders.setdefault(posixpath.dirname(path), []).append(path)
        found = (
            (minor, prefix)
            for minor in sorted(minors, reverse=True)
            for prefix in _PREFIXES
            if self._file(f"{prefix}/bin/python3.{minor}") and self._file(f"{prefix}/lib/python3.{minor}/os.py")
        )
        first = next(found, None)
        if first is None and {"manifest.json", "oci-layout"} & set(self._members):
            raise _Lacking("it is an image in layers, as docker save writes it: write its files with docker export")
        if first is None:
            allowed = ", ".join(f"3.{minor}" for minor in sorted(minors))
            place = f"/usr/bin or /usr/local/bin (any of {allowed})"
            raise _Lacking(f"it has no Python in {place} with its modules in the lib next to it")
        self.version, self._prefix = f"3.{first[0]}", first[1]
        self._program = f"{self._prefix}/bin/python{self.version}"
        arch = self._arch(self._program)
        if arch is None:
            raise _Lacking(f"/{self._program} is not for a processor with 64 bits ({', '.join(_ARCHES.values())})")
        self.arch = arch

    def taken(self) -> Iterator[tuple[str, tarfile.TarInfo]]:
        """Names in what is taken, with the files here."""
        yield f"libexec/python{self.version}", self._required(self._program)
        yield LOADER, self._loader()
        folders = (self._folder(f"{self._prefix}/lib"), *sorted(set(filter(_FOLDERS.fullmatch, self._folders))))
        libraries = {
            posixpath.basename(path): member
            for folder in folders
            for path, member in self._inside(folder)
            if _LIBRARY.fullmatch(posixpath.basename(path)) and self._arch(path) == self.arch
        }
        if _C_LIBRARY not in libraries:
            raise _Lacking(f"it has no {_C_LIBRARY} for {self.arch}")
        for name in _RUNTIMES_NEED:
            if name not in libraries:
                raise _Lacking(f"it has no {name}, which the runtimes need: install {name.partition('.')[0]} in it")
        yield from ((f"lib/{name}", member) for name, member in libraries.items())
        top = self._folder(f"{self._prefix}/lib/python{self.version}") + "/"
        for path in [path for path in self._members if path.startswith(top)]:
            inner = path.removeprefix(top)
            if not _LEFT_OUT.search(inner) and (member := self._file(path)) is not None:
                yield f"lib/python{self.version}/{inner}", member

    def content(self, member: tarfile.TarInfo) -> bytes:
        """What a file holds."""
        opened = self._opened.extractfile(member)
        if opened is None:
            raise _Lacking(f"{member.name} is not a file")
        with opened:
            return opened.read()

    def _loader(self) -> tarfile.TarInfo:
        for path in self._members:
            folder, name = posixpath.split(path)
            if _LOADER.fullmatch(name) and _FOLDERS.fullmatch(folder) and self._arch(path) == self.arch:
                return self._required(path)
        raise _Lacking(f"it has no glibc for {self.arch}, which wheels are made for: Alpine has another C library")

    def _inside(self, folder: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
        for path in self._folders.get(folder, ()):
            if (member := self._file(path)) is not None:
                yield path, member

    def _required(self, path: str) -> tarfile.TarInfo:
        member = self._file(path)
        if member is None:
            raise _Lacking(f"it has no /{path}")
        return member

    def _arch(self, path: str) -> str | None:
        """Of a program or a library with 64 bits the processor; None for anything else."""
        member = self._file(path)
        opened = self._opened.extractfile(member) if member else None
        if opened is None:
            return None
        with opened:
            head = opened.read(_HEADER)
        if len(head) < _HEADER or head[:4] != b"\x7fELF" or head[4] != _CLASS_64:
            return None
        return _ARCHES.get(int.from_bytes(head[18:20], "little"))

    def _file(self, path: str) -> tarfile.TarInfo | None:
        """The file at a path; links of files and of folders are followed as in the system itself."""
        for _ in range(_MOST_LINKS):
            path = self._straight(path)
            member = self._members.get(path)
            if member is None or member.isreg():
                return member
            if not member.issym() and not member.islnk():
                return None
            path = self._pointed(path, member)
        return None

    def _folder(self, path: str) -> str:
        """The folder at a path, links followed."""
        for _ in range(_MOST_LINKS):
            straight = posixpath.dirname(self._straight(f"{path}/x"))
            if straight == path:
                break
            path = straight
        return path

    def _straight(self, path: str) -> str:
        """The path with links among its folders followed once."""
        parts = path.split("/")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            member = self._members.get(folder)
            if member is not None and member.issym():
                return posixpath.normpath("/".join([self._pointed(folder, member), *parts[count:]]))
        return path

    def _pointed(self, path: str, member: tarfile.TarInfo) -> str:
        if member.islnk():  # the name that another file has in the archive
            return posixpath.normpath(member.linkname).lstrip("/")
        return posixpath.normpath(posixpath.join("/", posixpath.dirname(path), member.linkname)).lstrip("/")


def _whole(packed: tarfile.TarFile) -> IO[bytes]:
    """The archive from its beginning, not compressed."""
    if packed.fileobj is None:
        raise ValueError("a closed archive")
    packed.fileobj.seek(0)
    return cast("IO[bytes]", packed.fileobj)


def _add(made: tarfile.TarFile, name: str, executable: int, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o644 | executable, len(content)
    made.addfile(entry, io.BytesIO(content))


def _add_link(made: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    made.addfile(entry)
