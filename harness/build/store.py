"""The store: content-addressed artifacts in the user's cache folder, never half written, each built once."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock

from harness.build.artifact import MANIFEST, Artifact, Damaged, read_artifact
from harness.core.errors import KpiError

Builder = Callable[[Path], None]
_TRIES, _PAUSE_S = 20, 0.1
_IN_USE = (5, 32, 33)  # of Windows: access denied, sharing violation, lock violation


def default_root() -> Path:
    """``KPI_STORE``, or the user's cache folder."""
    chosen = os.environ.get("KPI_STORE")
    return (
        Path(chosen).expanduser().resolve()
        if chosen
        else Path(platformdirs.user_cache_dir("kpi-store", appauthor=False))
    )


class Store:
    """Artifacts by key. ``objects/<key>`` is complete or absent; ``building/`` holds what is being made."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        try:
            for name in ("objects", "building", "locks", "data", "env"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KpiError(
                f"the artifact store {self.root} can't be written: {error.strerror}", "set KPI_STORE to another folder"
            ) from error

    def path(self, key: str) -> Path:
        """Where the artifact of ``key`` is, or will be."""
        return self.root / "objects" / key

    def work(self, key: str) -> Path:
        """Where the builder of the artifact ``key`` may keep its state; what is a day old is swept away."""
        return self.root / "building" / f"work-{key[:32]}"

    def get(self, key: str) -> Artifact | None:
        """The artifact if it is here and whole; None when it is missing or damaged."""
        path = self.path(key)
        if not (path / MANIFEST).exists():
            return None
        try:
            artifact = read_artifact(path)
        except Damaged:
            return None  # the holder of the build lock sets it aside
        os.utime(path)
        return artifact

    def obtain(self, key: str, build: Builder) -> Artifact:
        """The artifact of ``key``, built by ``build`` into an empty folder if it is not here.

        Of several processes that want the same artifact one builds, the others wait. Killed anywhere, nothing half
        made is ever found under the key.
        """
        if (artifact := self.get(key)) is not None:
            return artifact
        with self.lock(f"build-{key}"):
            if (artifact := self.get(key)) is not None:
                return artifact
            try:
                self._sweep()
                aside = Path(tempfile.mkdtemp(prefix=f"{key[:16]}-", dir=self.root / "building"))
            except OSError as error:
                raise self.explain(error) from error
            try:
                build(aside)
                artifact = read_artifact(aside)
                _flush(aside)
                self._discard(self.path(key))
                _move(aside, self.path(key))
            except OSError as error:
                raise self.explain(error) from error
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return read_artifact(self.path(key))

    def explain(self, error: OSError) -> KpiError:
        """An operating system's refusal as one line with a remedy."""
        if error.errno == errno.ENOSPC:
            return KpiError(
                f"the disk of the store {self.root} is full", "free space, run `kpi cache prune`, or set KPI_STORE"
            )
        if _in_use(error):
            return KpiError(
                f"an artifact of the store {self.root} can't be moved: another process has it open: {error}",
                "end what uses it, then run again",
            )
        return KpiError(f"the store {self.root} can't be written: {error}", "set KPI_STORE to another folder")

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """A lock between processes; the operating system lets go of it when its holder dies."""
        try:
            with FileLock(self.root / "locks" / f"{name}.lock"):
                yield
        except PermissionError as error:
            raise self.explain(error) from error

    def artifacts(self) -> Iterator[Path]:
        """The folder of every artifact, the longest unused first."""
        found = [p for p in (self.root / "objects").iterdir() if (p / MANIFEST).exists()]
        yield from sorted(found, key=lambda p: p.stat().st_mtime)

    def verify(self) -> list[Damaged]:
        """Digests every artifact again, sets the damaged ones aside and says which."""
        damaged = []
        for path in list(self.artifacts()):
            try:
                read_artifact(path, thorough=True)
            except Damaged as error:
                damaged.append(error)
                with self.lock(f"build-{path.name}"):
                    self._discard(path)
        return damaged

    def prune(self, limit: int) -> tuple[int, int]:
        """Removes the longest unused until at most ``limit`` bytes are left; returns (how many, bytes freed)."""
        sizes = {path: folder_size(path) for path in [*self.artifacts(), *(self.root / "data").iterdir()]}
        total, removed, freed = sum(sizes.values()), 0, 0
        for path in sorted(sizes, key=lambda p: p.stat().st_mtime):
            if total - freed <= limit:
                break
            with self.lock(f"build-{path.name}"):
                self._discard(path)
            removed, freed = removed + 1, freed + sizes[path]
        return removed, freed

    def _discard(self, path: Path) -> None:
        """Moves a folder out of sight in one step, then removes it."""
        if path.exists():
            grave = Path(tempfile.mkdtemp(prefix="discarded-", dir=self.root / "building"))
            _move(path, grave / path.name)
            shutil.rmtree(grave, ignore_errors=True)

    def _sweep(self) -> None:
        """Removes what killed builds left behind a day ago or earlier."""
        for path in (self.root / "building").iterdir():
            try:
                old = time.time() - path.stat().st_mtime > 24 * 3600
            except FileNotFoundError:
                continue
            if old:
                shutil.rmtree(path, ignore_errors=True)


def folder_size(path: Path) -> int:
    """Bytes of all files below ``path``."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _move(source: Path, target: Path) -> None:
    """Renames a folder. Windows refuses while any process has a file of it open, such as a scanner for a moment."""
    for tries_left in reversed(range(_TRIES)):
        try:
            source.rename(target)
        except OSError as error:
            if not tries_left or not _in_use(error):
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _in_use(error: OSError) -> bool:
    return getattr(error, "winerror", None) in _IN_USE


def _flush(path: Path) -> None:
    """Forces files to the disk before the rename makes them visible."""
    for file in path.rglob("*"):
        if file.is_file():
            # Windows flushes only what is open for writing.
            with file.open("r+b") as opened:
                os.fsync(opened.fileno())
