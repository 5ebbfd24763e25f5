"""The statistics of a verdict: distribution-free bounds over processes, exact quantile bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

from harness.core.numbers import in_order


def percentile(samples: Sequence[float], quantile: float) -> float:
    """The ``quantile`` (0 to 1) of ``samples`` by linear interpolation (Hyndman and Fan 1996, type 7).

    Samples may be infinite, as the factor from nothing to something is.
    """
    if not samples:
        raise ValueError("a percentile of no samples")
    ordered = in_order(samples)
    position = (len(ordered) - 1) * quantile
    below = math.floor(position)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    share = position - below
    return low if not share or low == high else low + (high - low) * share


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    return percentile(values, 0.5)


def samples_needed(quantile: float, confidence: float) -> int:
    """The fewest samples of which the largest is above the ``quantile`` with ``confidence``.

    Formula: the smallest n with quantile^n <= 1 - confidence (299 for p99 at 95 %, 459 at 99 %).
    """
    return math.ceil(math.log(1 - confidence) / math.log(quantile))


def percentile_bounds(
    samples: Sequence[float], quantile: float, confidence: float, correlation: float = 0.0
) -> tuple[float, float]:
    """One-sided bounds (low, high) of a quantile, each with ``confidence``, from order statistics.

    The number of samples below the quantile is binomial (n, quantile), whatever the distribution; ``high`` is the
    smallest order statistic that is not below it with the confidence, infinite when there are too few samples.
    Source: Hahn and Meeker, Statistical Intervals, 5.2. Samples whose excesses follow one another (``correlation``,
    see ``tail_correlation``) count as ``effective_samples``: the order statistics are those at the same share.
    """
    ordered = in_order(samples)
    n = len(ordered)
    worth = math.floor(effective_samples(n, correlation))
    if worth < 1:
        return -math.inf, math.inf
    low_rank, rank = _ranks(worth, quantile, confidence)
    high = ordered[n - 1 - (worth - rank) * n // worth] if rank <= worth else math.inf
    low = ordered[low_rank * n // worth - 1] if low_rank > 0 else -math.inf
    return low, high


@lru_cache(maxsize=4096)
def _ranks(n: int, quantile: float, confidence: float) -> tuple[int, int]:
    """The order statistics of ``n`` samples that bound a quantile: 0, or n + 1, where there is none."""
    # scipy.stats has these under better names, and takes three times as long to import.
    from scipy.special import bdtr, bdtrik

    def most(probability: float) -> int:
        """The smallest count that at most so many samples below the quantile reach with this probability."""
        count: int = max(0, math.ceil(bdtrik(probability, n, quantile)))
        return count - 1 if count and bdtr(count - 1, n, quantile) >= probability else count

    # P(X(r) > quantile) = P(at most r - 1 samples are below it): the largest r that keeps it within 1 - confidence.
    low = most(1 - confidence)
    while low > 0 and bdtr(low - 1, n, quantile) > 1 - confidence:
        low -= 1
    return low, most(confidence) + 1


def effective_samples(n: int, correlation: float) -> float:
    """How many independent samples ``n`` are worth whose neighbours correlate. Formula: n (1 - r) / (1 + r), r >= 0."""
    kept = max(0.0, correlation)
    return n * (1 - kept) / (1 + kept)


def tail_correlation(processes: Sequence[Sequence[float]], quantile: float) -> float:
    """How far slow requests follow one another: the correlation of neighbours' being above the quantile, at least 0.

    ``processes`` are samples in the order in which they were taken; each process has a quantile of its own, and all
    share one correlation, since a process has few requests above it. What a tail's bound rests on is this, not the
    correlation of the times themselves, which is larger. 0 where nothing is above.
    """
    together = apart = 0.0
    for samples in processes:
        if not samples:
            continue
        level = percentile(samples, quantile)
        above = [float(value > level) for value in samples]
        mean = math.fsum(above) / len(above)
        together += math.fsum((a - mean) * (b - mean) for a, b in pairwise(above))
        apart += math.fsum((a - mean) ** 2 for a in above)
    return max(0.0, together / apart) if apart else 0.0


_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look at the data: after ``processes`` of them, at most ``against`` may miss the bound for PASS.

    Every process is counted a factor of 1 + ``margin`` worse than it was. For FAIL at most ``keeping`` may keep the
    bound: as many, where nothing else is said, as it is for a median.
    """

    processes: int
    against: int
    margin: float = 0.0
    keeping: int | None = None

    @property
    def most_keeping(self) -> int:
        """How many may keep the bound for FAIL."""
        return self.against if self.keeping is None else self.keeping


@cache
def plan_looks(sizes: tuple[int, ...], confidence: float, drift: float = 0.0, chance: float = 0.5) -> tuple[Look, ...]:
    """A sequential sign test for the median over processes, its error spent over the looks.

    At the bound itself each process falls on either side with probability 1/2 (for a continuous distribution of any
    shape); where another share of the processes is promised, it is "against" with the probability ``chance``. For each
    look the largest number of processes "against" is chosen such that the probability of ever deciding wrongly, over
    this look and all earlier ones, stays within what may be spent by then: half of 1 - ``confidence`` from the start,
    the other half in proportion to the processes. It is computed exactly, by propagating the distribution of the count
    between the looks. ``against`` is -1 where a look can't decide.

    A look before the last has not seen the rest of the run, where the machine may be faster or slower: its ``margin``
    is ``drift`` times the share of the processes that are still to come.
    """
    alpha = 1 - confidence
    alive = {0: 1.0}
    spent, seen = 0.0, 0
    looks: list[Look] = []
    for size in sizes:
        alive, seen = _grown(alive, size - seen, chance), size
        against = looks[-1].against if looks else -1
        allowed = alpha * (1 + size / sizes[-1]) / 2
        for count in sorted(alive):
            if spent + alive[count] > allowed + _ROUNDING:
                break
            spent += alive.pop(count)
            against = count
        looks.append(Look(size, against, _margin(size, sizes[-1], drift)))
    return tuple(looks)


@cache
def looks_for(sizes: tuple[int, ...], confidence: float, drift: float = 0.0, share: float = 0.5) -> tuple[Look, ...]:
    """The looks of a bound that a ``share`` of all processes must keep; of a half, the median does."""
    if share == 0.5:  # noqa: PLR2004 - the median
        return plan_looks(sizes, confidence, drift)
    passing = plan_looks(sizes, confidence, drift, 1 - share)
    failing = plan_looks(sizes, confidence, drift, share)
    return tuple(replace(look, keeping=other.against) for look, other in zip(passing, failing, strict=True))


def recorded_looks(
    sizes: Sequence[int], against: Sequence[int], confidence: float, drift: float = 0.0
) -> tuple[Look, ...]:
    """The looks that evidence records, which may have been planned by another rule.

    Raises ValueError where they don't fit together, or spend more than 1 - ``confidence``.
    """
    return _recorded(tuple(sizes), tuple(against), confidence, drift)


@lru_cache(maxsize=256)
def _recorded(sizes: tuple[int, ...], against: tuple[int, ...], confidence: float, drift: float) -> tuple[Look, ...]:
    if len(sizes) != len(against) or list(sizes) != sorted({*sizes}):
        raise ValueError(f"looks at {list(sizes)} with {list(against)} exceptions don't fit together")
    spent, seen, alive = 0.0, 0, {0: 1.0}
    for size, most in zip(sizes, against, strict=True):
        alive, seen = _grown(alive, size - seen), size
        for count in [count for count in alive if count <= most]:
            spent += alive.pop(count)
    if spent > 1 - confidence + _ROUNDING:
        raise ValueError(f"looks with {list(against)} exceptions are wrong {100 * spent:.2g} % of the time")
    planned = zip(sizes, against, strict=True)
    return tuple(Look(size, most, _margin(size, sizes[-1], drift)) for size, most in planned)


def _margin(size: int, last: int, drift: float) -> float:
    """What a look must leave for the part of the run that it has not seen."""
    return drift * (1 - size / last)


def _grown(alive: dict[int, float], steps: int, chance: float = 0.5) -> dict[int, float]:
    """The distribution of a count after more steps, each of which adds 1 with the probability ``chance``."""
    for _ in range(steps):
        grown: dict[int, float] = {}
        for count, probability in alive.items():
            grown[count] = grown.get(count, 0.0) + probability * (1 - chance)
            grown[count + 1] = grown.get(count + 1, 0.0) + probability * chance
        alive = grown
    return alive


def median_bounds(values: Sequence[float], against: int) -> tuple[float, float]:
    """The interval (low, high) of the median that a look with ``against`` allowed exceptions supports.

    ``high`` is the (against + 1)-th largest value, ``low`` the (against + 1)-th smallest: the test against a bound
    decides exactly when the bound lies outside.
    """
    if against < 0 or against >= len(values):
        return -math.inf, math.inf
    ordered = sorted(values)
    return ordered[against], ordered[-1 - against]


@cache
def normal_quantile(probability: float) -> float:
    """The value that a standard normal variable stays below with ``probability``."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def wilson(successes: float, n: float, confidence: float) -> tuple[float, float]:
    """One-sided Wilson score bounds (low, high) of a proportion, each with ``confidence``."""
    z = normal_quantile(confidence)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
