"""A timer that replays recorded samples, so that pytest-benchmark shows those that the verdict used."""

from __future__ import annotations

from collections.abc import Sequence


class Replay:
    """A timer that advances by the recorded durations, one between each pair of calls."""

    def __init__(self, samples: Sequence[float]) -> None:
        self._samples = iter(samples)
        self._now = 0.0
        self._running = False

    def __call__(self) -> float:
        if self._running:
            self._now += next(self._samples, 0.0)
        self._running = not self._running
        return self._now
