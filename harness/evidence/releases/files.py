"""Releases in a folder, or in git: a pointer, which is a small JSON file, and the packages next to it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.core.errors import KpiError
from harness.core.files import write_atomically
from harness.evidence.package.contents import Contents
from harness.evidence.package.members import opened, unsafe
from harness.evidence.package.verifying import manifest_of
from harness.evidence.package.writing import refused, write
from harness.evidence.releases.base import NoRelease, ReleasePlace
from harness.evidence.releases.moves import RELEASE, Move, parsed, written

_MOST = 16 << 20
_SHORT = 12
_WAIT_S = 2.0


class Files(ReleasePlace):
    """A pointer ``NAME.json``, whose history is in it; or a package itself, which never changes."""

    name = "file"
    own = True

    def __init__(self, reference: str, root: Path) -> None:
        super().__init__(reference, root)
        try:
            self.path = root / Path(os.path.expandvars(reference)).expanduser()
        except RuntimeError as error:
            raise KpiError(f'package "{reference}": {error}', "name a path from the TOML's folder on") from None
        if self.path.is_symlink():
            # Else the link would be replaced, and packages be sought next to it.
            self.path = Path(os.path.realpath(self.path))
        self._brought: set[Path] = set()

    def __str__(self) -> str:
        return self.reference

    @property
    def is_pointer(self) -> bool:
        """Whether it can be moved."""
        return self.path.suffix.lower() == ".json" and not self.path.is_dir()

    def current(self) -> Move:
        if self.is_pointer:
            moves = self.moves()
            if not moves:
                raise NoRelease(f"nothing was released at {self} yet")
            return moves[-1]
        if not self.path.exists():
            raise NoRelease(f"the package {self} is not here")
        with opened(self.path) as package:
            manifest = manifest_of(self.path, package)
        try:
            found = [manifest["artifact"]["digest"], manifest["evidence"]["seal"], manifest["evidence"]["commit"]]
        except (KeyError, TypeError):
            raise KpiError(f"{self} is not a package that can be read", "`kpi verify` says why") from None
        return Move(RELEASE, "", manifest["digest"], self.reference, str(manifest["kpi"]), *map(str, found))

    def fixed(self, move: Move) -> str:
        if not self.is_pointer:
            return self.reference
        return Path(os.path.relpath(os.path.realpath(self._next_to(move)), os.path.realpath(self.root))).as_posix()

    def is_there(self, move: Move) -> bool:
        return not self.is_pointer or self._next_to(move).exists()

    def package(self, digest: str, scratch: Path) -> Path:
        del scratch
        if not self.is_pointer:
            return self.path
        found = next((move for move in reversed(self.moves()) if move.digest == digest), None)
        if found is None:
            raise KpiError(f"{self} never pointed to {digest[:_SHORT]}")
        return self._next_to(found)

    def moves(self) -> Sequence[Move]:
        if not self.is_pointer:
            raise self.not_moved()
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise KpiError(f"{self} is not a plain file", "name the pointer that `kpi release` wrote")
            with self.path.open("rb") as file:
                text = file.read(_MOST)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KpiError(f"{self} can't be read: {error.strerror}") from error
        return parsed(str(self), text)

    def put(self, contents: Contents, move: Move, scratch: Path) -> Move:
        del scratch
        if not self.is_pointer:
            raise self.not_moved()
        out = self.path.with_name(f"{contents.name}-{contents.digest[:_SHORT]}.tar.gz")
        if not out.exists():
            self._brought.add(out)
            write(contents, out)
        return replace(move, place=out.name)

    def move(self, before: Move | None, after: Move) -> None:
        if not self.is_pointer:
            raise self.not_moved()
        with self._alone():
            moves = self.moves()
            now = moves[-1] if moves else None
            if (now and now.digest) != (before and before.digest):
                raise self.moved_meanwhile(before, now)
            if not self._next_to(after).exists():
                raise KpiError(f"{self}: {after.place} was removed meanwhile", "try again")
            try:
                write_atomically(self.path, written([*moves, after]))
            except OSError as error:
                raise refused(self.path, error) from None

    def forget(self, move: Move) -> None:
        out = self.path.with_name(move.place)
        if out not in self._brought:
            return
        # Another job may release the same package at this moment; a mark that stays is of one that was killed.
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            with suppress(KpiError), self._alone():
                self._remove(out)
                return
            time.sleep(0.02)
        with suppress(KpiError):
            self._remove(out)

    def _remove(self, package: Path) -> None:
        """Removes a package that no move names."""
        if all(move.place != package.name for move in self.moves()):
            package.unlink(missing_ok=True)

    def is_same(self, other: ReleasePlace) -> bool:
        return isinstance(other, Files) and os.path.realpath(self.path) == os.path.realpath(other.path)

    def _next_to(self, move: Move) -> Path:
        """The package of a move; KpiError where its name leads out of the pointer's folder."""
        if wrong := unsafe(move.place):
            raise KpiError(f"{self} points to {move.place!r}, which {wrong}", "restore it as `kpi release` wrote it")
        return self.path.parent / move.place

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other jobs off while the pointer moves, also those on other hosts that share the folder."""
        mark = self.path.with_name(f".{self.path.name}.moving")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            raise KpiError(
                f"{self} is being moved by another job", f"try again; remove {mark.name} if a job was killed there"
            ) from None
        except OSError as error:
            raise refused(self.path, error) from None
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
