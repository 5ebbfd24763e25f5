"""The sequential sign test of a replay: its plan of looks, and what a look says; standard library alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from replay_quantiles import percentile

if TYPE_CHECKING:
    from replay_formulas import Estimate, Judged

Look = tuple[int, int, int, float]
"""Processes, exceptions for PASS, exceptions for FAIL, margin."""


def spread(alive: dict[int, float], steps: int, chance: float) -> dict[int, float]:
    """The distribution of a count after more steps, each of which adds 1 with the probability ``chance``."""
    for _ in range(steps):
        counts = range(max(alive, default=-1) + 2)
        alive = {k: alive.get(k, 0.0) * (1 - chance) + alive.get(k - 1, 0.0) * chance for k in counts}
    return alive


def false_decisions(sizes: Sequence[int], against: Sequence[int]) -> float:
    """The probability that fair coins ever show so few heads at one of the looks."""
    alive, seen, spent = {0: 1.0}, 0, 0.0
    for size, most in zip(sizes, against, strict=True):
        alive, seen = spread(alive, size - seen, 0.5), size
        spent += sum(alive.pop(k) for k in list(alive) if k <= most)
    return spent


def plan(sizes: Sequence[int], confidence: float, chance: float) -> list[int]:
    """The exceptions at each look: half of the error may be spent at once, the rest in proportion to the processes."""
    alive, seen, spent, against = {0: 1.0}, 0, 0.0, [-1]
    for size in sizes:
        alive, seen = spread(alive, size - seen, chance), size
        most, allowed = against[-1], (1 - confidence) * (1 + size / sizes[-1]) / 2
        for count in sorted(alive):
            if spent + alive[count] > allowed + 1e-12:
                break
            spent += alive.pop(count)
            most = count
        against.append(most)
    return against[1:]


def looks_of(sizes: Sequence[int], passing: Sequence[int], failing: Sequence[int], drift: float) -> list[Look]:
    """The planned looks; one before the last keeps a margin for what was not seen yet."""
    planned = zip(sizes, passing, failing, strict=True)
    return [(size, most, least, drift * (1 - size / sizes[-1])) for size, most, least in planned]


def sign_test(
    holds: Callable[[float], bool],
    upper: bool,  # noqa: FBT001 - which side the bound is on
    share: float,
    estimates: Sequence[Estimate],
    disturbed: Sequence[bool],
    looks: Sequence[Look],
) -> Judged:
    """Look after look: PASS on all processes, FAIL on the undisturbed ones."""
    last: Look = (len(estimates), -1, -1, 0.0)
    for look in itertools.takewhile(lambda look: look[0] <= len(estimates), looks):
        last, seen = look, estimates[: look[0]]
        clean = [one for one, spoilt in zip(seen, disturbed, strict=False) if not spoilt]
        for verdict, used, tried in (("PASS", seen, [look]), ("FAIL", clean, looks)):
            for other in tried:
                # A process speaks against PASS where its worst end misses the bound, against FAIL where its best holds.
                high = upper is (verdict == "PASS")
                ends = [one[2] * (1 + other[3]) if high else one[1] / (1 + other[3]) for one in used[: other[0]]]
                most = other[1] if verdict == "PASS" else other[2]
                if len(ends) == other[0] and sum(holds(end) is (verdict == "FAIL") for end in ends) <= most:
                    return figure_of(verdict, upper, share, used[: other[0]], other)
    return figure_of("INCONCLUSIVE", upper, share, estimates[: last[0]], last)


def figure_of(verdict: str, upper: bool, share: float, seen: Sequence[Estimate], look: Look) -> Judged:  # noqa: FBT001
    """The figure that the share of the processes keeps, with the order statistics that a look supports."""
    _, passing, failing, margin = look
    value = percentile([one[0] for one in seen], share if upper else 1 - share) if seen else math.nan
    below, above = (failing, passing) if upper else (passing, failing)
    low, high = sorted(one[1] / (1 + margin) for one in seen), sorted(one[2] * (1 + margin) for one in seen)
    return (
        verdict,
        value,
        low[below] if 0 <= below < len(seen) else -math.inf,
        high[-1 - above] if 0 <= above < len(seen) else math.inf,
        len(seen),
    )
