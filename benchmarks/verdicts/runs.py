"""What the studies share: a run that ends as the suite ends it, and what is too often wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.core.bounds import Bound
from harness.core.statistics import Look
from harness.judge.verdict import Estimate, Verdict, judge_processes

FALSE = 0.03
"""Goal: at most this share of false verdicts of each kind, at the bound."""


def first_decision(
    bound: Bound, values: Sequence[float], looks: Sequence[Look], confidence: float, disturbed: Sequence[bool] = ()
) -> tuple[Verdict, int]:
    """The verdict on the figures of processes, look by look until decided, and how many processes that took."""
    estimates = [Estimate(value, value, value) for value in values]
    for look in looks:
        seen = look.processes
        judged = judge_processes(
            bound, estimates[:seen], looks=looks, confidence=confidence, disturbed=disturbed[:seen]
        )
        if judged.verdict is not Verdict.INCONCLUSIVE:
            break
    return judged.verdict, seen


def error_of(runs: int) -> float:
    """Three standard errors of a simulated share that is at the goal."""
    return 3 * math.sqrt(FALSE * (1 - FALSE) / runs)


def told(missed: Iterable[str]) -> int:
    """Prints the goals that were missed; the exit code."""
    lines = [f"missed: {line}" for line in missed]
    if lines:
        print("\n".join(lines))
    return 1 if lines else 0
