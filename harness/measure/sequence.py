"""Whether the processes of a subject were independent: where they stood in the run, and how alike neighbours are."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.core.statistics import median

_FEWEST = 6
_MOST_ALIKE = 0.99


@dataclass(frozen=True, slots=True)
class Within:
    """Of the requests of a process, for a tail: how many, how far slow ones follow one another, what they are worth.

    ``needed`` are the independent ones that the tail takes.
    """

    samples: float
    correlation: float
    effective: float
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """Where the processes, or pairs, of a target stood in the run, and how alike neighbours are.

    ``back_to_back`` counts those that directly followed one of their own; ``runs_test`` is the probability of so few
    runs above and below the median, ``correlation`` that of neighbours' ranks; None of few values.
    """

    places: tuple[int, ...]
    back_to_back: int
    runs_test: float | None
    correlation: float | None
    within: Within | None = None


def order_of(spans: Sequence[tuple[int, int]], values: Sequence[float], within: Within | None = None) -> Order:
    """What the evidence keeps of an order.

    ``spans`` are the first and the last place in the run of each process, or of each pair, in the order in which they
    ran; ``values`` are their figures.
    """
    return Order(
        places=tuple(first for first, _ in spans),
        back_to_back=sum(later == earlier + 1 for (_, earlier), (later, _) in pairwise(spans)),
        runs_test=_rounded(runs_test(values)),
        correlation=_rounded(correlation(values)),
        within=within,
    )


def back_to_back(order: Order) -> Iterator[str]:
    """Says so where most processes directly followed one of their own."""
    followed, count = order.back_to_back, len(order.places)
    if count > 1 and 2 * followed >= count:
        yield (
            f"{followed + 1} of {count} ran back to back: nothing else was measured in between, so that neighbours may "
            "resemble each other, and the verdict is less sure than it says"
        )


def too_alike(order: Order) -> Iterator[str]:
    """Says so where slow requests follow one another so often that a tail has no upper bound."""
    inside = order.within
    if inside is not None and inside.effective < inside.needed:
        kept = min(inside.correlation, _MOST_ALIKE)
        enough = math.ceil(inside.needed * (1 + kept) / (1 - kept))
        yield (
            f"slow requests follow one another (correlation {inside.correlation:.2f}): the {inside.samples:g} of "
            f"a process are worth {inside.effective:.0f} independent ones, and this tail needs {inside.needed}; "
            f"samples = {enough} in [measure] would do"
        )


def runs_test(values: Sequence[float]) -> float | None:
    """The probability of as few runs above and below the median, if the order were random; None of few values.

    Small where the machine stayed in a state for several processes. Exact; values on the median are left out.
    Source: Wald and Wolfowitz 1940.
    """
    middle = median(values) if values else 0.0
    above = [value > middle for value in values if value != middle]
    first, second = sum(above), len(above) - sum(above)
    if len(above) < _FEWEST or not (first and second):
        return None
    seen = 1 + sum(a != b for a, b in pairwise(above))
    few = sum(_orders(runs, first, second) for runs in range(2, seen + 1))
    return few / math.comb(first + second, first)


def _orders(runs: int, first: int, second: int) -> int:
    """In how many orders of two kinds there are exactly so many runs."""
    half = runs // 2
    if runs % 2 == 0:
        return 2 * math.comb(first - 1, half - 1) * math.comb(second - 1, half - 1)
    more = math.comb(first - 1, half) * math.comb(second - 1, half - 1)
    return more + math.comb(first - 1, half - 1) * math.comb(second - 1, half)


def correlation(values: Sequence[float]) -> float | None:
    """The correlation of neighbours, of ranks, so that one outlier does not hide it; None of few or equal values."""
    if len(values) < _FEWEST or len(set(values)) < 2:  # noqa: PLR2004 - a correlation needs two
        return None
    ordered = sorted(values)
    ranks = [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]
    mean = sum(ranks) / len(ranks)
    apart = [rank - mean for rank in ranks]
    return sum(a * b for a, b in pairwise(apart)) / sum(a * a for a in apart)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
