"""Where a worker's time goes: seconds by what it did, one thing after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

TIMED, SCORED = "timed", "scored"
"""The phases in which the artifact is exercised for a figure: for its times, for its answers."""


class Phases:
    """A stopwatch with laps: ``seconds`` by name, added up where a name comes again."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, what: str) -> None:
        """What was done since the last call was ``what``."""
        now = time.perf_counter()
        self.seconds[what] = round(self.seconds.get(what, 0.0) + now - self._last, 4)
        self._last = now

    @contextmanager
    def scored(self) -> Iterator[None]:
        """The artifact answers samples of the evaluation; what came before prepared it."""
        self.end("prepare")
        yield
        self.end(SCORED)
