"""What two runs say of a change: pure decisions over raw samples, with an interval for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from harness.core.score_bounds import Scores, difference_bounds, mean_bounds
from harness.core.statistics import median, median_bounds
from harness.judge.machine_ratio import Side


class State(StrEnum):
    """What can be said of a target in two runs; BETTER and WORSE alone are called changes."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNCLEAR = "unclear"
    MACHINE = "machine"
    SHOWN = "shown"


CHANGED = (State.BETTER, State.WORSE)


@dataclass(frozen=True, slots=True)
class Change:
    """From one run to the other: a factor (``ratio``) or a difference in the target's base unit.

    ``low`` and ``high`` are bounds of the change, together at the confidence; -inf and inf where data are too few.
    """

    value: float
    low: float
    high: float
    ratio: bool

    @property
    def neutral(self) -> float:
        """What no change at all is."""
        return 1.0 if self.ratio else 0.0


IMMATERIAL = 0.001
"""Exact figures that differ by less than this share are the same: a comment in a file is not a change of its size."""


def state(change: Change, better: str, margin: float = 0.0) -> State:
    """What the interval says: a change where it lies beyond a factor of 1 + ``margin``, whichever way.

    SAME where it lies within, UNCLEAR where it reaches from within to beyond. A difference knows no margin.
    """
    top = 1 + margin if change.ratio else 0.0
    bottom = 1 / top if change.ratio else 0.0
    if change.low > top or change.high < bottom:
        # Ends may be NumPy's numbers, whose comparisons are never the same object as True.
        return State.BETTER if bool(change.low > top) is (better == "higher") else State.WORSE
    return State.SAME if bottom <= change.low and change.high <= top else State.UNCLEAR


def between_runs(drift: float) -> float:
    """What is left to the machine between two runs, as a margin: each of them may be off by ``drift``."""
    return (1 + drift) ** 2 - 1


def exact_change(base: float, new: float) -> Change:
    """Of figures without noise: any difference is real, and called a change from one in a thousand on."""
    if base > 0:
        return Change(new / base, new / base, new / base, ratio=True)
    return Change(new - base, new - base, new - base, ratio=False)


def process_change(base: Side, new: Side, confidence: float) -> Change:
    """The factor by which a process of the new run differs from one of the old, and its bounds.

    The estimate is the median of all ratios of a new process to an old one (Hodges and Lehmann 1963); the bounds are
    order statistics of these ratios, whose ranks come from the exact distribution of the rank sum (Mann and Whitney
    1947; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.3). Of two runs alike, of any
    distribution, the interval misses 1 with a probability of 1 - ``confidence`` at most; ties make it wider.

    A disturbance only slows, and either run may have had more of it: what all processes of the one say against the
    undisturbed of the other, and the other way round, must both lie within the interval.
    """
    pairs: list[tuple[Sequence[float], Sequence[float]]] = [(base.clean, new.clean)]
    if any(base.disturbed) or any(new.disturbed):
        pairs += [(base.values, new.clean), (base.clean, new.values)]
    bounds = [_ratio_bounds(old, fresh, confidence) for old, fresh in pairs]
    old, fresh = (base.clean or base.values, new.clean or new.values)
    value = median(_ratios(old, fresh)) if old and fresh else math.nan
    return Change(value, min(low for low, _ in bounds), max(high for _, high in bounds), ratio=True)


def _ratio_bounds(base: Sequence[float], new: Sequence[float], confidence: float) -> tuple[float, float]:
    return median_bounds(_ratios(base, new), exceptions(len(base), len(new), confidence))


def _ratios(base: Sequence[float], new: Sequence[float]) -> list[float]:
    """Every new value over every old one; of two zeros nothing changed."""
    return [b / a if a else (math.inf if b > 0 else 1.0) for a in base for b in new]


@cache
def exceptions(first: int, second: int, confidence: float) -> int:
    """How many of all ratios may lie outside on each side of the interval; -1 when there are too few processes.

    Formula: the largest k with P(U <= k) <= (1 - confidence) / 2, U the rank sum statistic of two samples alike.
    """
    if not first or not second:
        return -1
    total, spent = math.comb(first + second, first), 0
    for k, count in enumerate(_rank_sums(first, second)):
        spent += count
        if spent > total * (1 - confidence) / 2:
            return k - 1
    return -1


def _rank_sums(first: int, second: int) -> list[int]:
    """How many orders of two samples give each value of U: the Gaussian binomial coefficient, exactly."""
    counts = [1] + [0] * (first * second)
    for i in range(1, first + 1):
        for j in range(first * second, second + i - 1, -1):
            counts[j] -= counts[j - second - i]
        for j in range(i, first * second + 1):
            counts[j] += counts[j - i]
    return counts


def paired_change(base: Scores, new: Scores, confidence: float) -> Change:
    """The difference of the mean scores on one and the same evaluation set, sample by sample."""
    gains = [after - before for before, after in zip(base.own, new.own, strict=True)]
    if not any(gains):
        return Change(0.0, 0.0, 0.0, ratio=False)
    bounds = difference_bounds(replace(new, others=base.own), 1 - (1 - confidence) / 2)
    return Change(math.fsum(gains) / len(gains), *bounds, ratio=False)


def unpaired_change(base: Scores, new: Scores, confidence: float) -> Change:
    """The difference of the mean scores on different evaluation sets: each mean has its own bounds.

    Together they are wider than need be: the error is halved once for the two sides, once for the two means.
    """
    sure = 1 - (1 - confidence) / 4
    (low, high), (other_low, other_high) = mean_bounds(base, sure), mean_bounds(new, sure)
    value = math.fsum(new.own) / len(new.own) - math.fsum(base.own) / len(base.own)
    return Change(value, other_low - high, other_high - low, ratio=False)
