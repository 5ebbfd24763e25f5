"""Notices files that were saved with another content: all below some folders, and some single ones elsewhere."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.core.errors import KpiError, Unavailable

_DEBOUNCE_MS, _QUIET_MS, _WAKE_MS = 1600, 200, 1000
# Of what people edit the content tells; weights and pictures, which may be gigabytes, are told by size and time.
_EDITED, _LARGE = frozenset({".json", ".jsonl", ".py", ".toml", ".txt"}), 8 << 20
_READY_S = 10.0


class Noticing:
    """Watches folders with all that is below them, and single files.

    Several saves in quick succession are told as one change. A file is watched through its folder: editors replace it.
    """

    def __init__(self, ignored: Callable[[Path], bool]) -> None:
        self._ignored = ignored
        self._found: queue.Queue[set[Path] | Exception] = queue.Queue()
        self._stop = threading.Event()
        self._deep: frozenset[Path] = frozenset()
        self._files: frozenset[Path] = frozenset()
        self._seen: dict[Path, str] = {}

    def follow(self, paths: Iterable[Path]) -> None:
        """Watches these from now on, in place of what was watched before; a file may be made later."""
        found = {path for path in paths if path.exists() or path.parent.is_dir()}
        deep = frozenset(path for path in found if path.is_dir())
        files = frozenset(path for path in found - deep if not any(path.is_relative_to(folder) for folder in deep))
        if (deep, files) == (self._deep, self._files):
            return
        self.stop()
        self._stop, self._deep, self._files = threading.Event(), deep, files
        for folders, recursive in ((deep, True), (frozenset(file.parent for file in files), False)):
            if folders:
                self._start(folders, recursive=recursive)
        below = (path for folder in deep for path in folder.rglob("*") if not self._ignored(path))
        self._seen = {path: _state(path) for path in (*files, *below) if path.is_file()}

    def stop(self) -> None:
        """Watches nothing any more."""
        self._stop.set()

    def again(self) -> None:
        """Watches what was watched before :meth:`stop`, and takes what changed meanwhile as seen."""
        paths = self._deep | self._files
        self._deep = self._files = frozenset()
        self.follow(paths)

    def wait(self, seconds: float) -> set[Path]:
        """The files whose content changed, came or went; empty when nothing did for so long."""
        try:
            found = self._found.get(timeout=seconds)
        except queue.Empty:
            return set()
        if isinstance(found, Exception):
            raise KpiError(f"changes can't be noticed: {found}", "too many files? raise fs.inotify.max_user_watches")
        return {path for path in found if self._matters(path) and self._changed(path)}

    def _matters(self, path: Path) -> bool:
        if path in self._files:
            return True
        return not self._ignored(path) and any(path.is_relative_to(folder) for folder in self._deep)

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


def _state(path: Path) -> str:
    """What tells one content from another; empty for no file."""
    try:
        stat = path.stat()
        if path.suffix not in _EDITED or stat.st_size > _LARGE:
            return f"{stat.st_size} {stat.st_mtime_ns}"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
