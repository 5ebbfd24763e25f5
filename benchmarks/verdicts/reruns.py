"""How often somebody who runs an undecided target again and again ends with PASS, the true median on the bound.

Usage: PYTHONPATH=. python benchmarks/verdicts/reruns.py [--runs 2000]

Each attempt is judged by the real decision code on new processes, at the confidence that ``attempts`` gives it.
Prints a Markdown table of false PASS after 1, 2, 5 and 10 attempts. Exit code 1 when "spent" is above 3 % by more than
three standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from runs import FALSE, error_of, first_decision, told

from harness.core.attempts import CHOICES, SPENT, confidence_of
from harness.core.bounds import parse_bound
from harness.core.statistics import plan_looks
from harness.core.units import NUMBER
from harness.judge.verdict import Verdict
from harness.spec.model import MeasureSettings

SETTINGS = MeasureSettings()
SHOWN = (1, 2, 5, 10)


def passes_at(random: np.random.Generator, attempts: str) -> int | None:
    """The attempt that ends with PASS; None when ten do not."""
    bound = parse_bound("< 1", NUMBER)
    for attempt in range(1, SHOWN[-1] + 1):
        confidence = confidence_of(attempt, SETTINGS.confidence, attempts)
        # Without a margin the whole of the error is spent: the worst case.
        looks = plan_looks(SETTINGS.looks, confidence)
        drawn = np.exp(random.normal(0, 0.01, SETTINGS.looks[-1])).tolist()
        if first_decision(bound, drawn, looks, confidence)[0] is Verdict.PASS:
            return attempt
    return None


def main(runs: int) -> int:
    """Prints the table, then what missed the goal."""
    print(f"| false PASS after attempts | {' | '.join(map(str, SHOWN))} |")
    print(f"|---|{'--:|' * len(SHOWN)}")
    worst = 0.0
    for attempts in CHOICES:
        random = np.random.default_rng(5)
        ends = [passes_at(random, attempts) for _ in range(runs)]
        shares = [sum(end is not None and end <= shown for end in ends) / runs for shown in SHOWN]
        print(f"| `{attempts}` | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")
        worst = shares[-1] if attempts == SPENT else worst
    over = worst > FALSE + error_of(runs)
    return told([f"{100 * worst:.1f} % false PASS after {SHOWN[-1]} attempts"] if over else [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    sys.exit(main(parser.parse_args().runs))
