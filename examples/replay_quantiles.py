"""Quantiles of a process's requests, with what they speak for where slow ones follow one another; standard library."""

import math
import operator
from collections.abc import Sequence
from functools import cache


def percentile(values: Sequence[float], quantile: float = 0.5) -> float:
    """A quantile by linear interpolation (Hyndman and Fan 1996, type 7), in the unit of the values."""
    ordered, place = sorted(values), (len(values) - 1) * quantile
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low if low == high else low + (high - low) * (place - math.floor(place))


def tail_correlation(processes: Sequence[Sequence[float]], quantile: float) -> float:
    """The correlation of neighbouring requests' being above their process's quantile, at least 0."""
    together = apart = 0.0
    for samples in processes:
        level = percentile(samples, quantile)
        above = [float(value > level) for value in samples]
        far = [one - sum(above) / len(above) for one in above]
        together, apart = together + math.fsum(map(operator.mul, far, far[1:])), apart + math.fsum(a * a for a in far)
    return max(0.0, together / apart) if apart else 0.0


def tail_bounds(
    ordered: Sequence[float], quantile: float, confidence: float, correlation: float
) -> tuple[float, float]:
    """Bounds of a quantile from order statistics, of as many requests as the correlated ones are worth."""
    n = len(ordered)
    worth = math.floor(n * (1 - correlation) / (1 + correlation))
    low, high = binomial_quantile(1 - confidence, worth, quantile), binomial_quantile(confidence, worth, quantile)
    most = ordered[n - 1 - (worth - high - 1) * n // worth] if high < worth else math.inf
    return ordered[low * n // worth - 1] if low > 0 else -math.inf, most


@cache
def binomial_quantile(share: float, n: int, chance: float) -> int:
    """The fewest of ``n``, each coming with a ``chance``, that are not exceeded with a probability of ``share``."""
    k, total = -1, 0.0
    while total < share and k < n:
        k += 1
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(ways + k * math.log(chance) + (n - k) * math.log1p(-chance))
    return k
