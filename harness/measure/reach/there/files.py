"""What was sent to a machine, kept there by content: what is there already is not sent again."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

BROUGHT = "python"
"""The folder of Pythons that this machine was brought."""
_MONTH_S = 30 * 86400.0
_HOUR_S = 3600.0
_YOUNG_S = 60.0
_LOOK_S = 0.2
_WORDS = 3


class Files:
    """``files/<digest>`` are contents, whole or absent; ``trees/<key>`` are folders made of links to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("files", "trees", "env", "data", "work", BROUGHT):
            (root / name).mkdir(parents=True, exist_ok=True)
        self._checked: set[str] = set()
        self._new: set[str] = set()

    def missing(self, sizes: Mapping[str, int]) -> list[str]:
        """Of contents, by digest with their sizes, those that are not here whole; each is digested once."""
        return [digest for digest, size in sizes.items() if not self._whole(digest, size)]

    def _whole(self, digest: str, size: int) -> bool:
        path = self.root / "files" / digest
        try:
            if path.stat().st_size != size:
                return False
            if digest not in self._checked:
                if _digest(path) != digest:
                    return False
                self._checked.add(digest)
            os.utime(path)
        except OSError:
            return False
        return True

    def put(self, digest: str, pieces: Callable[[], bytes]) -> None:
        """Keeps what ``pieces`` gives, until it gives nothing. ValueError where that has another digest."""
        found, name = hashlib.sha256(), ""
        try:
            descriptor, name = tempfile.mkstemp(dir=self.root / "work")
            with os.fdopen(descriptor, "wb") as file:
                while piece := pieces():
                    found.update(piece)
                    file.write(piece)
            if found.hexdigest() != digest:
                raise ValueError(f"a file came with the digest {found.hexdigest()[:12]}, not {digest[:12]}")
            os.chmod(name, 0o444)
            os.replace(name, self.root / "files" / digest)
            self._checked.add(digest)
            self._new.add(digest)
        finally:
            if name:
                Path(name).unlink(missing_ok=True)
            while pieces():  # what is left would be read as the next line
                continue

    def tree(self, key: str, names: Mapping[str, str]) -> str:
        """The folder in which files have these names and digests; one that another agent uses is not taken away."""
        path = self.root / "trees" / key
        if not self._made(path, names):
            aside = Path(tempfile.mkdtemp(dir=self.root / "work"))
            try:
                for name, digest in names.items():
                    (aside / name).parent.mkdir(parents=True, exist_ok=True)
                    source = self.root / "files" / digest
                    try:
                        os.link(source, aside / name)
                    except OSError:
                        shutil.copyfile(source, aside / name)  # a file system without links
                self._put_in_place(aside, path, names)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        os.utime(path)
        return str(path)

    def _made(self, path: Path, names: Mapping[str, str]) -> bool:
        """Whether a folder holds these files; what was sent now was missing or damaged, so it is looked at there."""
        return all(
            (path / name).is_file() and (digest not in self._new or _digest(path / name) == digest)
            for name, digest in names.items()
        )

    def _put_in_place(self, aside: Path, path: Path, names: Mapping[str, str]) -> None:
        try:
            aside.rename(path)
        except OSError:  # there is one by now
            if self._made(path, names):
                return  # another agent was faster
            damaged = Path(tempfile.mkdtemp(dir=self.root / "work"))
            path.rename(damaged)
            with contextlib.suppress(OSError):
                aside.rename(path)
            shutil.rmtree(damaged, ignore_errors=True)

    def tried(self, key: str, run: str) -> dict[str, int]:
        """How runs other than this one judged a target, wherever they were started: each verdict with how often."""
        try:
            lines = (self.root / "judged").read_text(encoding="ascii", errors="replace").split("\n")
        except FileNotFoundError:
            return {}
        words = [line.split() for line in lines if line.startswith(f"{key} ")]
        return dict(Counter({one[1]: one[2] for one in words if len(one) == _WORDS and one[1] != run}.values()))

    def judged(self, key: str, run: str, verdict: str) -> None:
        """Keeps that a run judged a target; several may say so at the same time. OSError where the disk is full."""
        # A line of its own even where the one before was cut.
        line = f"\n{key} {run} {verdict}\n".encode("ascii")
        with (self.root / "judged").open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)

    @contextlib.contextmanager
    def making(self, key: str, say: Callable[[str], None]) -> Iterator[int]:
        """Held while an environment is made, by one agent at a time; gives the lock's descriptor."""
        with (self.root / "env" / f"{key}.lock").open("wb") as file:
            told = False
            while not _taken(file):
                if not told:
                    say("waits for another setup of the same environment")
                told = True
                time.sleep(_LOOK_S)
            yield file.fileno()

    def keep(self, environment: Path) -> None:
        """Does not let an environment be swept away, nor the Python that it was made of, as it is used."""
        for folder in (environment.resolve(), (environment / "bin" / "python").resolve().parents[1]):
            if folder.is_relative_to(self.root.resolve()):
                os.utime(folder)

    def sweep(self) -> None:
        """Removes what killed agents left, and what was not asked for in a month."""
        for path in (self.root / "work").iterdir():
            if not _held(path):
                remove(path)
        for path in (path for name in ("trees", "files", "env", BROUGHT) for path in (self.root / name).iterdir()):
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if age > _MONTH_S or (age > _HOUR_S and path.parent.name == BROUGHT and path.suffix):
                    remove(path)  # a suffix says that it was being unpacked


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold(folder: Path) -> object:
    """Marks a folder as one that is used, until the process ends; keep what is returned."""
    file = (folder / "alive").open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _taken(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(path: Path) -> bool:
    """Whether the agent whose folder this is still lives; what is young may be about to become one."""
    try:
        if not (path / "alive").exists():
            return time.time() - path.stat().st_mtime < _YOUNG_S
        with (path / "alive").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove(path: Path) -> None:
    """Removes a file or a folder, as far as that is possible; what is left of it is not taken for whole."""
    if path.is_dir():
        with contextlib.suppress(OSError):
            (path / "complete").unlink()
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
