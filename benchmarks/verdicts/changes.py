"""How often two runs of one and the same artifact are called changed: the real comparison over simulated worlds.

Usage: PYTHONPATH=. python benchmarks/verdicts/changes.py [--runs 4000]

Two runs are drawn from the same world, each as long as its own verdict takes with the bound exactly on the true median:
a run ends when it looks good, or bad, which is hard on a later comparison. The second one is a factor of 1 + ``drift``
slower or faster as a whole. Prints a Markdown table: what was called a change of these, and how often a true change of
5, 10 and 20 % was. The exit code is 1 when more than the promised share was called changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from runs import FALSE, error_of, first_decision, told
from worlds import WORLDS, World

from harness.core.bounds import parse_bound
from harness.core.statistics import plan_looks
from harness.core.units import NUMBER
from harness.evidence.history.change import CHANGED, State, between_runs, process_change, state
from harness.judge.machine_ratio import Side
from harness.spec.model import MeasureSettings

SETTINGS = MeasureSettings()
CHANGES = (0.05, 0.10, 0.20)


@dataclass(frozen=True)
class Row:
    """Shares of pairs of runs: called changed when alike, when the machine drifted, when a true change was there."""

    world: str
    runs: int
    alike: float
    drifted: float
    right: dict[float, float]

    def misses(self) -> Iterator[str]:
        """The goal that was not reached, beyond three standard errors of the simulation."""
        error = error_of(self.runs)
        for name, share in (("alike", self.alike), ("drifted", self.drifted)):
            if share > FALSE + error:
                yield f"{self.world}, {name}: {100 * share:.1f} % called changed"


def one_run(world: World, random: np.random.Generator, centre: float, factor: float) -> Side:
    """A run that ends when its verdict is reached, the bound on ``centre``."""
    looks = plan_looks(SETTINGS.looks, SETTINGS.confidence, SETTINGS.drift)
    bound = parse_bound(f"< {centre:.12f}", NUMBER)
    drawn = world.draw(random, 1, SETTINGS.looks[-1])
    flags = world.flag(random, drawn) if world.flag else np.zeros(drawn.shape, bool)
    values, spoilt = (factor * drawn[0]).tolist(), flags[0].tolist()
    _, seen = first_decision(bound, values, looks, SETTINGS.confidence, spoilt)
    return Side(values[:seen], spoilt[:seen])


def called(world: World, runs: int, seed: int, centre: float, factor: float) -> tuple[float, float]:
    """Shares of pairs that were called changed, and called slower, the second run ``factor`` times as slow."""
    random = np.random.default_rng(seed)
    states = []
    for _ in range(runs):
        base, new = one_run(world, random, centre, 1.0), one_run(world, random, centre, factor)
        states.append(state(process_change(base, new, SETTINGS.confidence), "lower", between_runs(SETTINGS.drift)))
    return sum(found in CHANGED for found in states) / runs, sum(found is State.WORSE for found in states) / runs


def study(number: int, runs: int) -> Row:
    """One world of the list, by number."""
    world = WORLDS[number]
    centre = world.truth(SETTINGS.looks[-1])
    alike, _ = called(world, runs, 1, centre, 1.0)
    drifts = (1 + SETTINGS.drift, 1 / (1 + SETTINGS.drift))
    drifted = max(called(world, runs // 2, 2 + place, centre, factor)[0] for place, factor in enumerate(drifts))
    right = {change: called(world, runs // 4, 9, centre, 1 + change)[1] for change in CHANGES}
    return Row(world.name, runs // 2, alike, drifted, right)


def main() -> int:
    """Prints the table, then the goals that were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    chosen = parser.parse_args()
    heads = " | ".join(f"slower by {100 * change:.0f} %" for change in CHANGES)
    print(f"| world | alike | machine off by {100 * SETTINGS.drift:g} % | {heads} |")
    print(f"|---|--:|--:|{'--:|' * len(CHANGES)}")
    print(f"| *goal* | ≤ {100 * FALSE:.0f} % | ≤ {100 * FALSE:.0f} % | {'| ' * len(CHANGES)}")
    missed: list[str] = []
    with ProcessPoolExecutor() as pool:
        for row in pool.map(partial(study, runs=chosen.runs), range(len(WORLDS))):
            right = " | ".join(f"{100 * row.right[change]:.1f} %" for change in CHANGES)
            print(f"| {row.world} | {100 * row.alike:.1f} % | {100 * row.drifted:.1f} % | {right} |", flush=True)
            missed += row.misses()
    return told(missed)


if __name__ == "__main__":
    sys.exit(main())
