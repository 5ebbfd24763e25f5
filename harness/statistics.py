"""The statistics of a verdict: distribution-free bounds over processes, exact quantile bounds, paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache


def percentile(samples: Sequence[float], quantile: float) -> float:
    """The ``quantile`` (0 to 1) of ``samples`` by linear interpolation (Hyndman and Fan 1996, type 7).

    Samples may be infinite, as the factor from nothing to something is.
    """
    if not samples:
        raise ValueError("a percentile of no samples")
    ordered = sorted(samples)
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


def percentile_bounds(samples: Sequence[float], quantile: float, confidence: float) -> tuple[float, float]:
    """One-sided bounds (low, high) of a quantile, each with ``confidence``, from order statistics.

    The number of samples below the quantile is binomial (n, quantile), whatever the distribution; ``high`` is the
    smallest order statistic that is not below it with the confidence, infinite when there are too few samples.
    Source: Hahn and Meeker, Statistical Intervals, 5.2. Valid for independent samples.
    """
    from scipy.stats import binom

    ordered = sorted(samples)
    n = len(ordered)
    rank = int(binom.ppf(confidence, n, quantile)) + 1
    high = ordered[rank - 1] if rank <= n else math.inf
    # P(X(r) > quantile) = P(at most r - 1 samples are below it): the largest r that keeps it within 1 - confidence.
    low_rank = int(binom.ppf(1 - confidence, n, quantile))
    while low_rank > 0 and binom.cdf(low_rank - 1, n, quantile) > 1 - confidence:
        low_rank -= 1
    low = ordered[low_rank - 1] if low_rank > 0 else -math.inf
    return low, high


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look at the data: after ``processes`` of them, at most ``against`` may stand on the wrong side.

    Every process is counted a factor of 1 + ``margin`` worse than it was.
    """

    processes: int
    against: int
    margin: float = 0.0


@cache
def plan_looks(sizes: tuple[int, ...], confidence: float, drift: float = 0.0) -> tuple[Look, ...]:
    """A sequential sign test for the median over processes, its error spent over the looks.

    At the bound itself each process falls on either side with probability 1/2 (for a continuous distribution of any
    shape). For each look the largest number of processes "against" is chosen such that the probability of ever
    deciding wrongly, over this look and all earlier ones, stays within 1 - ``confidence``; it is computed exactly, by
    propagating the distribution of the count between the looks. ``against`` is -1 where a look can't decide.

    A look before the last has not seen the rest of the run, where the machine may be faster or slower: its ``margin``
    is ``drift`` times the share of the processes that are still to come.
    """
    alpha = 1 - confidence
    alive = {0: 1.0}
    spent, seen = 0.0, 0
    looks: list[Look] = []
    for size in sizes:
        for _ in range(size - seen):
            grown: dict[int, float] = {}
            for count, probability in alive.items():
                grown[count] = grown.get(count, 0.0) + probability / 2
                grown[count + 1] = grown.get(count + 1, 0.0) + probability / 2
            alive = grown
        seen = size
        against = -1
        for count in sorted(alive):
            if spent + alive[count] > alpha + 1e-12:
                break
            spent += alive.pop(count)
            against = count
        if against < 0 and looks:
            against = looks[-1].against
        looks.append(Look(size, against, drift * (1 - size / sizes[-1])))
    return tuple(looks)


def median_bounds(values: Sequence[float], against: int) -> tuple[float, float]:
    """The interval (low, high) of the median that a look with ``against`` allowed exceptions supports.

    ``high`` is the (against + 1)-th largest value, ``low`` the (against + 1)-th smallest: the test against a bound
    decides exactly when the bound lies outside.
    """
    if against < 0 or against >= len(values):
        return -math.inf, math.inf
    ordered = sorted(values)
    return ordered[against], ordered[-1 - against]


def wilson(successes: float, n: int, confidence: float) -> tuple[float, float]:
    """One-sided Wilson score bounds (low, high) of a proportion, each with ``confidence``."""
    from scipy.stats import norm

    z = float(norm.ppf(confidence))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def bootstrap_mean(scores: Sequence[float], confidence: float, resamples: int = 10_000) -> tuple[float, float]:
    """Bounds (low, high) of the mean, each one-sided with ``confidence``: percentile bootstrap, fixed seed.

    For a paired comparison pass the per-sample differences. Source: Efron and Tibshirani 1993, chapter 13. Scores of
    few distinct values (right or wrong, and their differences) are resampled as multinomial counts, which is the
    same distribution.
    """
    import numpy as np

    data = np.asarray(scores, dtype=np.float64)
    if not len(data):
        raise ValueError("a bootstrap of no scores")
    random = np.random.default_rng(20240229)
    values, counts = np.unique(data, return_counts=True)
    n = len(data)
    if len(values) <= 64:  # noqa: PLR2004 - beyond this a multinomial is no cheaper
        means = random.multinomial(n, counts / n, size=resamples) @ values / n
    else:
        means = np.concatenate([data[random.integers(0, n, size=(100, n))].mean(1) for _ in range(resamples // 100)])
    low, high = np.quantile(means, [1 - confidence, confidence])
    return float(low), float(high)


def bootstrap_ratio(
    scores: Sequence[float], others: Sequence[float], confidence: float, resamples: int = 10_000
) -> tuple[float, float]:
    """Bounds (low, high) of mean(scores) / mean(others), paired, each one-sided with ``confidence``; fixed seed."""
    import numpy as np

    pairs = np.stack([np.asarray(scores, np.float64), np.asarray(others, np.float64)])
    n = pairs.shape[1]
    random = np.random.default_rng(20240229)
    values, counts = np.unique(pairs, axis=1, return_counts=True)
    if values.shape[1] <= 64:  # noqa: PLR2004 - beyond this a multinomial is no cheaper
        sums = random.multinomial(n, counts / n, size=resamples) @ values.T
    else:
        chunks = [pairs[:, random.integers(0, n, size=(100, n))].sum(2).T for _ in range(resamples // 100)]
        sums = np.concatenate(chunks)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = sums[:, 0] / sums[:, 1]
    # 0 / 0 may be anything; infinities can't be interpolated between.
    low = np.quantile(np.where(np.isnan(ratios), -np.inf, ratios), 1 - confidence, method="inverted_cdf")
    high = np.quantile(np.where(np.isnan(ratios), np.inf, ratios), confidence, method="inverted_cdf")
    return float(low), float(high)
