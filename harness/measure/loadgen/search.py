"""Looks for the largest load that a server still bears: doubling, then bisection."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """``best``: the largest rate that was borne, 0 when none was; ``tried`` in order: (rate, borne).

    ``stopped`` is why the search ended without having come close, empty when it did.
    """

    best: float
    tried: tuple[tuple[float, bool], ...]
    stopped: str = ""


def largest(
    bears: Callable[[float], bool], start: float, *, precision: float = 0.1, most: int = 16, budget_s: float = 300.0
) -> Found:
    """The largest rate that ``bears`` accepts, to a share of ``precision``; at most ``most`` tries.

    From ``start`` the rate doubles while it is borne, or halves while it is not; then the gap is halved. A rate is
    tried once: near the limit chance decides, and the precision says how near that is.
    """
    tried: list[tuple[float, bool]] = []
    low, high, rate, begin = 0.0, float("inf"), start, time.monotonic()
    while True:
        if len(tried) == most:
            return Found(low, tuple(tried), f"after {most} tries")
        if time.monotonic() - begin > budget_s:
            return Found(low, tuple(tried), f"after {budget_s:g} s")
        borne = bears(rate)
        tried.append((rate, borne))
        low, high = (rate, high) if borne else (low, rate)
        if high <= low * (1 + precision):
            return Found(low, tuple(tried))
        if high == float("inf"):
            rate = 2 * low
        elif low == 0:
            rate = high / 2
        else:
            rate = (low + high) / 2
