"""Notices files that were saved with another content, below some folders and directly in others."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness.errors import KpiError, Unavailable

_DEBOUNCE_MS, _QUIET_MS, _WAKE_MS = 1600, 200, 1000
# A larger file is told by its size and time: digesting gigabytes of weights at each save would disturb.
_LARGE = 8 << 20
_READY_S = 10.0


class Noticing:
    """Watches ``deep`` folders with all that is below them, and what lies directly in ``shallow`` ones.

    Several saves in quick succession are told as one change.
    """

    def __init__(self, ignored: Callable[[Path], bool]) -> None:
        self._ignored = ignored
        self._found: queue.Queue[set[Path] | Exception] = queue.Queue()
        self._stop = threading.Event()
        self._followed: tuple[frozenset[Path], frozenset[Path]] | None = None
        self._seen: dict[Path, str] = {}

    def follow(self, deep: Iterable[Path], shallow: Iterable[Path]) -> None:
        """Watches these from now on, in place of what was watched before; folders that are not there are left out."""
        wanted = frozenset(p for p in deep if p.exists()), frozenset(p for p in shallow if p.is_dir())
        if wanted == self._followed:
            return
        self.stop()
        self._stop, self._followed = threading.Event(), wanted
        for folders, recursive in ((wanted[0], True), (wanted[1], False)):
            if folders:
                self._start(folders, recursive=recursive)
        self._seen = {path: _state(path) for path in self._files()}

    def stop(self) -> None:
        """Watches nothing any more."""
        self._stop.set()

    def again(self) -> None:
        """Watches what was watched before :meth:`stop`, and takes what changed meanwhile as seen."""
        deep, shallow = self._followed or (frozenset(), frozenset())
        self._followed = None
        self.follow(deep, shallow)

    def wait(self, seconds: float) -> set[Path]:
        """The files whose content changed, came or went; empty when nothing did for so long."""
        try:
            found = self._found.get(timeout=seconds)
        except queue.Empty:
            return set()
        if isinstance(found, Exception):
            raise KpiError(f"changes can't be noticed: {found}", "too many files? raise fs.inotify.max_user_watches")
        return {path for path in found if not self._ignored(path) and self._changed(path)}

    def _changed(self, path: Path) -> bool:
        """Whether a file is not what it was: editors, and `touch`, save without a change too."""
        now = _state(path)
        same = self._seen.get(path, "") == now
        self._seen[path] = now
        return not same

    def _start(self, folders: frozenset[Path], *, recursive: bool) -> None:
        try:
            from watchfiles import watch
        except ModuleNotFoundError:
            raise Unavailable("watchfiles is not installed", 'pip install "kpi-tests[watch]"') from None
        ready, stop = threading.Event(), self._stop

        def listen() -> None:
            try:
                changes = watch(
                    *folders,
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    step=_QUIET_MS,
                    stop_event=stop,
                    rust_timeout=_WAKE_MS if ready.is_set() else _QUIET_MS,
                    yield_on_timeout=True,
                    recursive=recursive,
                    ignore_permission_denied=True,
                )
                for found in changes:
                    ready.set()
                    if found:
                        self._found.put({Path(name) for _, name in found})
            except Exception as error:  # noqa: BLE001 - told by wait(), where somebody can hear it
                self._found.put(error)
            finally:
                ready.set()

        threading.Thread(target=listen, daemon=True).start()
        ready.wait(_READY_S)

    def _files(self) -> Iterator[Path]:
        deep, shallow = self._followed or ((), ())
        for folder in deep:
            found = [folder] if folder.is_file() else folder.rglob("*")
            yield from (path for path in found if path.is_file() and not self._ignored(path))
        for folder in shallow:
            yield from (path for path in folder.iterdir() if path.is_file() and not self._ignored(path))


def _state(path: Path) -> str:
    """What tells one content from another; empty for no file."""
    try:
        stat = path.stat()
        if stat.st_size > _LARGE:
            return f"{stat.st_size} {stat.st_mtime_ns}"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
