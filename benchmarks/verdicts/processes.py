"""How often the gate's verdicts are wrong: the real decision code over simulated worlds.

Usage: PYTHONPATH=. python benchmarks/verdicts/processes.py [--runs 4000] [--seconds 1.2]

Prints a Markdown table: false PASS and false FAIL with the true median exactly on the bound, what was decided rightly
at 2, 5, 10 and 20 % from it, how many processes that took. What misses its goal is marked; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from runs import FALSE, error_of, first_decision, told
from worlds import BACK_TO_BACK, WORLDS, World

from harness.core.bounds import parse_bound
from harness.core.statistics import plan_looks
from harness.core.units import NUMBER
from harness.judge.verdict import Verdict
from harness.spec.model import MeasureSettings

SETTINGS = MeasureSettings()
OFFSETS = (0.02, 0.05, 0.10, 0.20)
POWER, POWER_SPREAD = 0.90, 0.02
"""Goal: at least this share decided rightly at 5 % off the bound, where the spread is at most the second."""


@dataclass(frozen=True)
class Row:
    """What the study found about one world; shares, and mean processes at each offset."""

    world: str
    spread: float | None
    flagged: bool
    runs: int
    false_pass: float
    false_fail: float
    right: dict[float, float]
    wrong: dict[float, float]
    processes: dict[float, float]

    def misses(self) -> Iterator[str]:
        """The goals that were not reached, beyond three standard errors of the simulation."""
        error = error_of(self.runs)
        if max(self.false_pass, self.false_fail) > FALSE + error:
            yield f"{self.world}: more than {100 * FALSE:.0f} % false verdicts at the bound"
        if max(self.wrong.values()) > FALSE + 2 * error:
            yield f"{self.world}: more than {100 * FALSE:.0f} % false verdicts off the bound"
        if self.spread is not None and self.spread <= POWER_SPREAD:
            if self.right[0.05] < POWER:
                yield f"{self.world}: less than {100 * POWER:.0f} % decided rightly at 5 % off"
            if not self.flagged and self.processes[0.20] > SETTINGS.looks[0] + 0.05:
                yield f"{self.world}: a clear case takes more than the fewest processes"


def decide(world: World, limit: float, runs: int, seed: int) -> tuple[Counter[Verdict], float]:
    """Verdicts of many runs against one bound, with the mean number of processes."""
    looks = plan_looks(SETTINGS.looks, SETTINGS.confidence, SETTINGS.drift)
    bound = parse_bound(f"< {limit:.12f}", NUMBER)
    random = np.random.default_rng(seed)
    drawn = world.draw(random, runs, SETTINGS.looks[-1])
    flags = world.flag(random, drawn) if world.flag else np.zeros(drawn.shape, bool)
    verdicts: Counter[Verdict] = Counter()
    used = 0
    for run, disturbed in zip(drawn.tolist(), flags.tolist(), strict=True):
        verdict, seen = first_decision(bound, run, looks, SETTINGS.confidence, disturbed)
        verdicts[verdict] += 1
        used += seen
    return verdicts, used / runs


def study(world: World, runs: int, seed: int = 1) -> Row:
    """Judges the world on the bound, then from both sides of it."""
    centre = world.truth(SETTINGS.looks[-1])
    on, _ = decide(world, centre, runs, seed)
    right, wrong, processes = {}, {}, {}
    half = runs // 2
    for number, offset in enumerate(OFFSETS):
        inside, a = decide(world, centre * (1 + offset), half, seed + 10 * number + 1)
        outside, b = decide(world, centre * (1 - offset), half, seed + 10 * number + 2)
        right[offset] = (inside[Verdict.PASS] + outside[Verdict.FAIL]) / (2 * half)
        wrong[offset] = max(inside[Verdict.FAIL], outside[Verdict.PASS]) / half
        processes[offset] = (a + b) / 2
    false_pass, false_fail = on[Verdict.PASS] / runs, on[Verdict.FAIL] / runs
    flagged = world.flag is not None
    return Row(world.name, world.spread, flagged, runs, false_pass, false_fail, right, wrong, processes)


def study_by_number(number: int, runs: int) -> Row:
    """One world of the list: draws are functions within functions, which don't travel between processes."""
    return study(WORLDS[number], runs)


def main(runs: int, seconds: float = 1.2) -> int:
    """Prints the table, then the goals that were missed; ``seconds`` of one process are for the last column."""
    heads = [f"right at {100 * offset:.0f} %" for offset in OFFSETS]
    print(f"| world | false PASS | false FAIL | {' | '.join(heads)} | processes at 5 % / 20 % | seconds |")
    print(f"|---|--:|--:|{'--:|' * len(OFFSETS)}--:|--:|")
    goals = f"≤ {100 * FALSE:.0f} % | ≤ {100 * FALSE:.0f} % | | ≥ {100 * POWER:.0f} % where spread ≤ 2 % | | | "
    print(f"| *goal* | {goals}- / {SETTINGS.looks[0]} | |")
    missed: list[str] = []
    with ProcessPoolExecutor() as pool:
        for row in pool.map(partial(study_by_number, runs=runs), range(len(WORLDS))):
            right = " | ".join(f"{100 * row.right[offset]:.1f} %" for offset in OFFSETS)
            near, far = row.processes[0.05], row.processes[0.20]
            print(
                f"| {row.world} | {100 * row.false_pass:.1f} % | {100 * row.false_fail:.1f} % | {right} "
                f"| {near:.1f} / {far:.1f} | {near * seconds:.0f} / {far * seconds:.0f} |",
                flush=True,
            )
            missed += row.misses()
    print("\n| back to back | false PASS | false FAIL |\n|---|--:|--:|")
    for world in BACK_TO_BACK:
        on, _ = decide(world, world.truth(SETTINGS.looks[-1]), runs, 1)
        print(f"| {world.name} | {100 * on[Verdict.PASS] / runs:.1f} % | {100 * on[Verdict.FAIL] / runs:.1f} % |")
    return told(missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=1.2, help="of one process, for the last column")
    chosen = parser.parse_args()
    sys.exit(main(chosen.runs, chosen.seconds))
