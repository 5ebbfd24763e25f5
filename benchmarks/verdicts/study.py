"""How often the gate's verdicts are wrong: the real decision code over simulated worlds.

Usage: python benchmarks/verdicts/study.py [--runs 4000] [--seconds 1.2]

Prints a Markdown table: false PASS and false FAIL with the true median exactly on the bound, what was decided rightly
at 2, 5, 10 and 20 % from it, how many processes that took.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np
from worlds import PAIRS, WORLDS, World, truth

from harness.spec import MeasureSettings
from harness.statistics import plan_looks
from harness.targets import parse_promise
from harness.units import NUMBER
from harness.verdict import Estimate, Verdict, judge_processes

SETTINGS = MeasureSettings()
OFFSETS = (0.02, 0.05, 0.10, 0.20)


@dataclass(frozen=True)
class Row:
    """What the study found about one world; shares, and mean processes at each offset."""

    world: World
    false_pass: float
    false_fail: float
    right: dict[float, float]
    wrong: dict[float, float]
    processes: dict[float, float]


def decide(world: World, limit: float, runs: int, seed: int) -> tuple[Counter[Verdict], float]:
    """Verdicts of many runs against one bound, with the mean number of processes."""
    most = SETTINGS.looks[-1]
    looks = plan_looks(SETTINGS.looks, SETTINGS.confidence)
    promise = parse_promise(f"< {limit:.12f}", NUMBER)
    drawn = world.draw(np.random.default_rng(seed), runs, most)
    verdicts: Counter[Verdict] = Counter()
    used = 0
    for run in drawn:
        estimates = [Estimate(value, value, value) for value in run.tolist()]
        judged = judge_processes(promise, estimates, looks=looks, confidence=SETTINGS.confidence)
        verdicts[judged.verdict] += 1
        used += judged.n
    return verdicts, used / runs


def study(world: World, runs: int, seed: int = 1) -> Row:
    """Judges the world on the bound, then from both sides of it."""
    centre = truth(world, SETTINGS.looks[-1])
    on, _ = decide(world, centre, runs, seed)
    right, wrong, processes = {}, {}, {}
    for number, offset in enumerate(OFFSETS):
        inside, a = decide(world, centre * (1 + offset), runs // 2, seed + 10 * number + 1)
        outside, b = decide(world, centre * (1 - offset), runs // 2, seed + 10 * number + 2)
        right[offset] = (inside[Verdict.PASS] + outside[Verdict.FAIL]) / (2 * (runs // 2))
        wrong[offset] = (inside[Verdict.FAIL] + outside[Verdict.PASS]) / (2 * (runs // 2))
        processes[offset] = (a + b) / 2
    return Row(world, on[Verdict.PASS] / runs, on[Verdict.FAIL] / runs, right, wrong, processes)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=1.2, help="of one process, for the last column")
    chosen = parser.parse_args()
    heads = [f"right at {100 * offset:.0f} %" for offset in OFFSETS]
    print(f"| world | false PASS | false FAIL | {' | '.join(heads)} | processes at 20 % / 5 % | seconds |")
    print(f"|---|--:|--:|{'--:|' * len(OFFSETS)}--:|--:|")
    for world in (*WORLDS, PAIRS):
        row = study(world, chosen.runs)
        right = " | ".join(f"{100 * row.right[offset]:.1f} %" for offset in OFFSETS)
        far, near = row.processes[0.20], row.processes[0.05]
        took = f"{far * chosen.seconds:.0f} / {near * chosen.seconds:.0f}"
        print(
            f"| {world.name} | {100 * row.false_pass:.1f} % | {100 * row.false_fail:.1f} % | {right} "
            f"| {far:.1f} / {near:.1f} | {took} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
