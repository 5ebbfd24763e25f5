"""How often verdicts about scores are wrong: the real decision code over simulated evaluation sets of every size.

Usage: PYTHONPATH=. python benchmarks/verdicts/scores.py [--runs 4000]

The truth lies exactly on the bound, so that PASS and FAIL are both wrong. Prints a Markdown table: false PASS / false
FAIL in percent for each number of samples. The exit code is 1 when a cell is above 3 % by more than three standard
errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from runs import FALSE, error_of, told
from score_worlds import WORLDS

from harness.core.bounds import parse_bound
from harness.core.units import NUMBER, SHARE
from harness.judge.verdict import Verdict, judge_samples
from harness.spec.model import MeasureSettings

CONFIDENCE = MeasureSettings().confidence
SIZES = (5, 20, 50, 100, 200, 300, 500, 1000, 2000, 3347, 10_000)


def cell(number: int, n: int, runs: int) -> tuple[float, float]:
    """Shares of runs that end with PASS and with FAIL, both wrong."""
    world, random = WORLDS[number], np.random.default_rng([number, n])
    bound = parse_bound(world.bound, NUMBER if " x " in world.bound else SHARE)
    verdicts = Counter(
        judge_samples(bound, world.draw(random, n), CONFIDENCE, world.better).verdict for _ in range(runs)
    )
    return verdicts[Verdict.PASS] / runs, verdicts[Verdict.FAIL] / runs


def row(number: int, runs: int) -> list[tuple[int, float, float]]:
    """The cells of one world, large sets with fewer runs."""
    return [(n, *cell(number, n, _fewer(runs, n))) for n in SIZES]


def _fewer(runs: int, n: int) -> int:
    return max(200, runs // 4) if n > 2000 else runs


def _misses(name: str, cells: list[tuple[int, float, float]], runs: int) -> Iterator[str]:
    for n, *wrong in cells:
        error = error_of(_fewer(runs, n))
        for what, share in zip(("PASS", "FAIL"), wrong, strict=True):
            if share > FALSE + error:
                yield f"{name}, {n} samples: {100 * share:.1f} % false {what}"


def main(runs: int) -> int:
    """Prints the table, then the cells that are above the goal."""
    print(f"| scores: false PASS / FAIL in % | {' | '.join(map(str, SIZES))} |")
    print(f"|---|{'--:|' * len(SIZES)}")
    missed: list[str] = []
    with ProcessPoolExecutor() as pool:
        for world, cells in zip(WORLDS, pool.map(partial(row, runs=runs), range(len(WORLDS))), strict=True):
            said = " | ".join(f"{100 * a:.1f} / {100 * b:.1f}" for _, a, b in cells)
            print(f"| {world.name}; {world.bound} | {said} |", flush=True)
            missed += _misses(world.name, cells, runs)
    return told(missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    sys.exit(main(parser.parse_args().runs))
