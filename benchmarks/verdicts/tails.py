"""How often the upper bound of a p99 is above the truth where slow requests follow one another.

Usage: PYTHONPATH=. python benchmarks/verdicts/tails.py [RUNS]

A run is six processes of 698 requests, as many as a process that is asked for a p99 gives. A world with a goal is one
in which the bound must hold; bursts that a process may not see at all are shown without one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from harness.core.statistics import percentile_bounds, tail_correlation

Samples = npt.NDArray[np.float64]
World = Callable[[np.random.Generator, int, int], Samples]
REQUESTS, PROCESSES, QUANTILE, CONFIDENCE = 698, 6, 0.99, 0.97


def chained(rho: float) -> World:
    """Each request resembles the one before it."""

    def world(random: np.random.Generator, rows: int, n: int) -> Samples:
        steps = random.standard_normal((rows, n)) * math.sqrt(1 - rho * rho)
        steps[:, 0] /= math.sqrt(1 - rho * rho)
        found: Samples = lfilter([1.0], [1.0, -rho], steps, axis=1)
        return found

    return world


def bursts(share: float, length: float) -> World:
    """So many of all requests are slow, so many in a row on average."""

    def world(random: np.random.Generator, rows: int, n: int) -> Samples:
        end, begin = 1 / length, share / (1 - share) / length
        slow, now = np.zeros((rows, n), bool), random.random(rows) < share
        for place in range(n):
            slow[:, place] = now
            chance = random.random(rows)
            now = np.where(now, chance > end, chance < begin)
        return slow * 1.5 + random.standard_normal((rows, n)) * 0.3

    return world


WORLDS: Sequence[tuple[str, World, bool]] = (
    ("independent", chained(0.0), True),
    ("each like the one before, 0.5", chained(0.5), True),
    ("each like the one before, 0.9", chained(0.9), True),
    ("two slow ones in a row, 2 % of all", bursts(0.02, 2), True),
    ("five slow ones in a row, 0.5 % of all", bursts(0.005, 5), False),
    ("five slow ones in a row, 1 % of all", bursts(0.01, 5), False),
)


def covered(world: World, runs: int) -> tuple[float, float, float, float]:
    """The mean correlation of slow requests; how often the bound holds without it, with it, and is infinite."""
    random = np.random.default_rng(1)
    truth = float(np.quantile(world(random, 400, 20_000), QUANTILE))
    alike, alone, kept, without = [], 0, 0, 0
    for _ in range(runs):
        processes = world(random, PROCESSES, REQUESTS).tolist()
        r = tail_correlation(processes, QUANTILE)
        alike.append(r)
        for samples in processes:
            high = percentile_bounds(samples, QUANTILE, CONFIDENCE, r)[1]
            alone += percentile_bounds(samples, QUANTILE, CONFIDENCE)[1] >= truth
            kept += high >= truth
            without += math.isinf(high)
    total = runs * PROCESSES
    return float(np.mean(alike)), alone / total, kept / total, without / total


def main(runs: int) -> int:
    """Prints the table; 1 where a world with a goal misses it by more than the simulation's own error."""
    runs = max(100, runs // 7)
    missed = 0
    print("| requests | r of slow ones | taken as independent | with r | without an upper bound |")
    print("|---|--:|--:|--:|--:|")
    for name, world, goal in WORLDS:
        alike, alone, kept, without = covered(world, runs)
        error = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / (runs * PROCESSES))
        missed |= goal and kept < CONFIDENCE - 3 * error
        print(
            f"| {name} | {alike:.2f} | {100 * alone:.1f} % | {100 * kept:.1f} % | {100 * without:.0f} % |", flush=True
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 4000))
