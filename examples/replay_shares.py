"""Bounds of what is right or wrong: shares, their differences and their ratios; standard library alone."""

import math
from collections.abc import Callable

Bounds = tuple[float, float]
TINY = 1e-9


def crossing(holds: Callable[[float], bool]) -> float:
    """The place between 0 and 1 from which on ``holds`` does, by halving."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def wilson(right: float, n: int, z: float) -> Bounds:
    """Wilson's bounds of a share."""
    half = z * math.sqrt(right * (1 - right / n) + z * z / 4)
    low, high = ((right + z * z / 2 + side * half) / (n + z * z) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


def tango(n: int, better: float, worse: float, z: float) -> Bounds:
    """Tango's bounds of the difference of two paired shares, corrected."""

    def apart(truth: float, whole: float) -> float:
        b = (2 * n - better + worse) * truth - better - worse
        flips = (math.sqrt(max(b * b + 8 * n * worse * truth * (1 - truth), 0.0)) - b) / (2 * n) + truth
        third = n * (truth - 3 * truth * flips + 2 * truth**3)
        return corrected(better - worse - n * truth - whole, n * (flips - truth**2), third, z)

    low = crossing(lambda place: apart(2 * place - 1, 0.5) <= z)
    high = crossing(lambda place: apart(2 * place - 1, -0.5) < -z)
    return 2 * low - 1, 2 * high - 1


def paired_ratio(n: int, both: float, only: float, other: float, ratio: float, z: float) -> Bounds:
    """How far, in standard errors, both bounds of own - ratio x others are from 0 (Tang, Tang and Chan 2003)."""
    some, b = (both + only + other) / n, (both + other) * ratio * ratio - (both + only + 2 * other)
    root = math.sqrt(max(b * b - 4 * n * (1 + ratio) * other * (1 - ratio) * some, 0.0))
    worse = (root - b) / (2 * n * (1 + ratio))
    alike = (some - (1 + ratio) * worse) / ratio if ratio else 0.0
    variance = n * ((1 + ratio) * worse + some * (ratio - 1))
    third = n * (alike * (1 - ratio) ** 3 + some - alike - worse - ratio**3 * worse)
    apart = both + only - (both + other) * ratio
    return corrected(apart - 0.5, variance, third, z) - z, corrected(apart + 0.5, variance, third, z) + z


def corrected(distance: float, variance: float, third: float, z: float) -> float:
    """A distance in standard errors, less its skewness (Cornish and Fisher 1938)."""
    if variance > 0:
        return (distance - (z * z - 1) / 6 * third / variance) / math.sqrt(variance)
    return math.copysign(math.inf, distance) if abs(distance) > TINY else 0.0
