"""Memory and processor use of a process over time, sampled beside the work."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import psutil

_EVERY_S = 0.05
_MOST = 400


class Timeline:
    """While it is entered, a thread looks every 50 ms; later ones are thinned so that 400 points are kept at most.

    ``points`` are (seconds since the start, resident bytes, this process's processor seconds). Looking costs some 30
    microseconds each time.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, int, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        process, begin, every = psutil.Process(), time.perf_counter(), _EVERY_S
        while True:
            used = process.cpu_times()
            now = round(time.perf_counter() - begin, 3)
            self.points.append((now, int(process.memory_info().rss), round(used.user + used.system, 3)))
            if len(self.points) > _MOST:
                self.points, every = self.points[::2], 2 * every
            if self._stop.wait(every):
                return
