"""Memory, processor and accelerator use of a process over time, sampled while it works."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import psutil

from harness.measure.machine.accelerators import Accelerators

_EVERY_S = 0.05
_MOST = 400


class Timeline:
    """While it is entered, a thread looks every 50 ms; later ones are thinned so that 400 points are kept at most.

    ``points`` are (seconds since the start, resident bytes, this process's processor seconds); ``devices`` holds what
    :class:`Accelerators` says at the same moments, ``marks`` when something began, in seconds since the start. A look
    costs some 30 microseconds.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, int, float]] = []
        self.devices: list[dict[str, float]] = []
        self.marks: dict[str, float] = {}
        self._begin = time.perf_counter()
        self._accelerators = Accelerators()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._begin = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def mark(self, what: str) -> None:
        """Something begins now."""
        self.marks[what] = round(time.perf_counter() - self._begin, 3)

    def to_json(self) -> dict[str, Any]:
        """Points, marks and a list of figures for each accelerator, aligned with the points."""
        names = dict.fromkeys(name for seen in self.devices for name in seen)
        devices = {name: [seen.get(name) for seen in self.devices] for name in names}
        return {"points": self.points, "marks": self.marks, "devices": devices}

    def _watch(self) -> None:
        process, every = psutil.Process(), _EVERY_S
        while True:
            used = process.cpu_times()
            now = round(time.perf_counter() - self._begin, 3)
            self.points.append((now, int(process.memory_info().rss), round(used.user + used.system, 3)))
            self.devices.append(self._accelerators.sample())
            if len(self.points) > _MOST:
                self.points, self.devices, every = self.points[::2], self.devices[::2], 2 * every
            if self._stop.wait(every):
                return
