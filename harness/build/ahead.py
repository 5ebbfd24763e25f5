"""Builds artifacts ahead of the tests that ask for them, while other tests judge what needs no quiet machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.build.pool import Part
from harness.core.errors import KpiError
from harness.core.processes import call_worker, end

if TYPE_CHECKING:
    import subprocess

_MODULE = "harness.build.ahead_worker"
_TIMEOUT_S = 4 * 3600.0
_SHOWN_EVERY_S = 1.0


class BuildAhead:
    """A process that builds parts in the background.

    Nothing depends on its success: who asks for an artifact that it did not build, builds it or is told why not.
    While it runs, nothing may be timed: :meth:`wait` returns when it is done.
    """

    def __init__(self, parts: Sequence[Part], jobs: int, log: Path) -> None:
        self._left = len(parts)
        self._process: subprocess.Popen[bytes] | None = None
        request = {"parts": [asdict(part) for part in parts], "jobs": jobs}
        self._thread = threading.Thread(target=self._run, args=(request, log), daemon=True)
        self._thread.start()

    def _run(self, request: dict[str, object], log: Path) -> None:
        try:
            call_worker(_MODULE, request, log=log, timeout=_TIMEOUT_S, progress=self._heard, started=self._started)
        except KpiError as error:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"building ahead ended: {error}\n")

    def _started(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def _heard(self, text: str) -> None:
        self._left = int(text)

    def wait(self, progress: Callable[[str], None]) -> None:
        """Returns when everything is built; says for how many workloads it waits."""
        start = time.monotonic()
        while self._thread.is_alive():
            plural = "s" if self._left != 1 else ""
            waited = time.monotonic() - start
            progress(f"build: artifacts of {self._left} workload{plural}, before anything is timed ({waited:.0f} s)")
            self._thread.join(_SHOWN_EVERY_S)

    def stop(self) -> None:
        """Ends the process with all that it started; what it had built stays in the store."""
        if self._process is not None:
            end(self._process)
        self._thread.join(_SHOWN_EVERY_S)
