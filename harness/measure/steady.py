"""Warms a process up until it is in steady state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harness.core.statistics import median

TOLERANCE = 0.05
_WINDOW_S = 0.05
_ALIKE = 2


def warm_up(
    once: Callable[[], object], least_s: float = 0.2, most_s: float = 3.0, window_runs: int = 5
) -> dict[str, Any]:
    """Calls ``once`` until the medians of successive windows look alike; says how that went.

    A window is at least ``window_runs`` calls and 50 ms. Steady means that two windows in a row differ from the one
    before by at most 5 %, not before ``least_s``; after ``most_s`` (and three windows) it gives up and says so.
    """
    begin = time.perf_counter()
    previous, alike, runs, windows = None, 0, 0, 0
    while True:
        samples: list[float] = []
        start = time.perf_counter()
        while len(samples) < window_runs or time.perf_counter() - start < _WINDOW_S:
            before = time.perf_counter()
            once()
            samples.append(time.perf_counter() - before)
        runs, windows = runs + len(samples), windows + 1
        now = median(samples)
        alike = alike + 1 if previous is not None and abs(now / previous - 1) <= TOLERANCE else 0
        previous = now
        seconds = time.perf_counter() - begin
        steady = alike >= _ALIKE and seconds >= least_s
        if steady or (seconds >= most_s and windows > _ALIKE):
            return {"runs": runs, "seconds": round(seconds, 4), "steady": steady}
