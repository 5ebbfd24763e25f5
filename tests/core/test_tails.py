"""The bound of a tail holds where slow requests follow one another, as they do; simulated, and by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from harness.core.statistics import effective_samples, percentile_bounds, tail_correlation

Samples = npt.NDArray[np.float64]
LOOK = 6
"""Processes that say how far slow requests follow one another."""


def chained(rho: float, processes: int, n: int, random: np.random.Generator) -> Samples:
    """Times of which each resembles the one before it: an AR(1) series, (processes, n)."""
    steps = random.standard_normal((processes, n)) * math.sqrt(1 - rho * rho)
    steps[:, 0] /= math.sqrt(1 - rho * rho)
    return np.exp(lfilter([1.0], [1.0, -rho], steps, axis=1))


def covered(rho: float, n: int, *, as_independent: bool) -> float:
    """How often the upper bound of a p99 at 97 % is above it."""
    random, truth = np.random.default_rng(7), math.exp(2.3263478740408408)
    found = []
    for _ in range(120):
        processes = chained(rho, LOOK, n, random)
        alike = 0.0 if as_independent else tail_correlation(processes.tolist(), 0.99)
        found += [percentile_bounds(samples.tolist(), 0.99, 0.97, alike)[1] >= truth for samples in processes]
    return float(np.mean(found))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_bound_covers_a_tail_whose_requests_follow_one_another(rho: float) -> None:
    # 720 bounds: one standard error of 97 % is 0.6 points.
    assert covered(rho, 1400, as_independent=False) >= 0.97 - 3 * 0.0064


def test_taken_as_independent_it_does_not() -> None:
    assert covered(0.9, 1400, as_independent=True) < 0.9


def test_the_correlation_is_that_of_being_slow_not_of_the_times() -> None:
    # Times that resemble each other, but a slow one comes alone: every hundredth.
    waves = [1.0 + 0.4 * math.sin(i / 20) + 5.0 * (i % 100 == 50) for i in range(1000)]
    assert tail_correlation([waves], 0.99) == 0.0
    assert np.corrcoef(np.minimum(waves, 2)[:-1], np.minimum(waves, 2)[1:])[0, 1] > 0.5
    # Ten slow ones in a row: nine of ten are followed by another.
    block = [1.0] * 495 + [5.0 + i for i in range(10)] + [1.0] * 495
    assert tail_correlation([block], 0.99) == pytest.approx(0.9, abs=0.02)
    # A process counts by how many of its requests are slow; each has a quantile of its own.
    slower = [10 * value for value in waves]
    assert tail_correlation([block, waves], 0.99) == pytest.approx(0.45, abs=0.02)
    assert tail_correlation([waves, slower], 0.99) == 0.0
    assert tail_correlation([], 0.99) == tail_correlation([[]], 0.99) == tail_correlation([[1.0] * 500], 0.99) == 0.0


def test_what_requests_are_worth() -> None:
    assert effective_samples(698, 0.0) == effective_samples(698, -0.5) == 698
    assert effective_samples(698, 1 / 3) == pytest.approx(349)
    assert effective_samples(698, 1.0) == 0


def test_bounds_of_correlated_samples_are_order_statistics_at_the_same_share() -> None:
    ranks = [float(rank) for rank in range(1, 1201)]
    assert percentile_bounds(ranks, 0.9, 0.97, 0.0) == percentile_bounds(ranks, 0.9, 0.97)
    low, high = percentile_bounds(ranks, 0.9, 0.97, 0.5)
    few_low, few_high = percentile_bounds([float(rank) for rank in range(1, 401)], 0.9, 0.97)
    # Of 1,200 that are worth 400, three take the place of one; what is cut is cut away from the quantile.
    assert low == 3 * few_low
    assert high == 1200 - 3 * (400 - few_high)
    assert percentile_bounds(ranks, 0.99, 0.97, 0.9)[1] == math.inf
    assert percentile_bounds(ranks, 0.99, 0.97, 1.0) == (-math.inf, math.inf)
