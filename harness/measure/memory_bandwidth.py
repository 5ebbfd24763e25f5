"""Whether a language model waits for memory while it generates: bytes moved against what copying achieves."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.core.statistics import median
from harness.measure.machine.quota import quota
from harness.measure.records import ProcessRecord

_COPIED = 32_000_000
MEMORY_BOUND = 0.6
"""Share of the copy bandwidth from which work is called memory-bound: chosen by judgement."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """``bytes_s``: weights read per second of generating; ``copy_bytes_s``: what copying moved on the same machine."""

    bytes_s: float
    copy_bytes_s: float

    @property
    def share(self) -> float:
        """Of the copy bandwidth."""
        return self.bytes_s / self.copy_bytes_s

    @property
    def bound(self) -> str:
        """What the work waits for."""
        return "memory-bound" if self.share >= MEMORY_BOUND else "compute-bound"


def traffic(processes: Sequence[ProcessRecord]) -> Traffic | None:
    """Of a measurement under the scenario ``generate``; None where a figure is missing.

    A token takes every weight once: bytes of the network's constants / median time per token. The embedding counts
    though only a row of it is read, so that the figure is an upper bound.
    """
    known = [p for p in processes if p.series.get("tpot_s") and p.proof.details.get("constants")]
    if not known or not all(p.details.get("copy_bytes_s") for p in known):
        return None
    per_token = median([median(p.series["tpot_s"]) for p in known])
    weights = sum(known[0].proof.details["constants"].values())
    return Traffic(weights / per_token, median([p.details["copy_bytes_s"] for p in known]))


def copy_bandwidth() -> float:
    """Bytes per second that all processors which this process may use read and write together when they copy."""
    import numpy as np

    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # More threads than a quota allows would be stopped, and each takes memory.
    count = quota().cores(visible)
    blocks = [(np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)) for _ in range(count)]
    times = []
    with ThreadPoolExecutor(count) as pool:
        for _ in range(4):
            start = time.perf_counter()
            list(pool.map(lambda block: np.copyto(block[1], block[0]), blocks))
            times.append(time.perf_counter() - start)
    # The first round touches the memory for the first time.
    return float(round(2 * count * _COPIED / median(times[1:])))
