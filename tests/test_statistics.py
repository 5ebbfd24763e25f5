"""The bounds that verdicts rest on keep what they promise: checked exactly, by enumeration, and against SciPy."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.spec import MeasureSettings
from harness.statistics import (
    Look,
    bootstrap_mean,
    bootstrap_ratio,
    median,
    median_bounds,
    percentile,
    percentile_bounds,
    plan_looks,
    samples_needed,
    wilson,
)

SCHEDULES = [(5,), (6, 9), (5, 8, 12, 20), (6, 9, 14, 20, 28), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (1, 50), (7, 8, 100)]
CONFIDENCES = [0.5, 0.9, 0.95, 0.97, 0.99, 0.999]
numbers = st.floats(-1e9, 1e9)


@given(st.lists(numbers, min_size=1, max_size=60), st.floats(0, 1))
def test_percentile_is_numpys(samples: list[float], quantile: float) -> None:
    scale = max(map(abs, samples))
    assert percentile(samples, quantile) == pytest.approx(np.quantile(samples, quantile), rel=1e-9, abs=1e-9 * scale)
    assert min(samples) - 1e-9 * scale <= percentile(samples, quantile) <= max(samples) + 1e-9 * scale
    assert percentile(samples, 0) == min(samples)
    assert percentile(samples, 1) == max(samples)


@given(st.lists(numbers, min_size=1, max_size=60))
def test_median_is_numpys(samples: list[float]) -> None:
    assert median(samples) == pytest.approx(np.median(samples), abs=1e-9 * max(map(abs, samples)))


@pytest.mark.parametrize(
    ("samples", "middle"), [([math.inf], math.inf), ([1, 2, math.inf], 2), ([1, math.inf], math.inf)]
)
def test_an_infinite_sample_is_a_sample(samples: list[float], middle: float) -> None:
    assert median(samples) == middle


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("quantile", "confidence", "count"), [(0.99, 0.95, 299), (0.99, 0.99, 459), (0.95, 0.95, 59), (0.5, 0.75, 2)]
)
def test_as_many_samples_as_the_literature_says(quantile: float, confidence: float, count: int) -> None:
    assert samples_needed(quantile, confidence) == count


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.9999))
def test_no_sample_fewer_would_do(quantile: float, confidence: float) -> None:
    count = samples_needed(quantile, confidence)
    assert quantile**count <= (1 - confidence) * (1 + 1e-9)
    assert quantile ** (count - 1) > (1 - confidence) * (1 - 1e-9)


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("confidence", [0.9, 0.97, 0.99])
@pytest.mark.parametrize("n", [1, 2, 5, 20, 58, 59, 60, 298, 299, 300, 458, 459, 1000])
def test_quantile_bounds_are_the_tightest_that_cover(n: int, confidence: float, quantile: float) -> None:
    # Of the samples 1..n each order statistic is its own rank, whose coverage the binomial distribution gives exactly.
    low, high = percentile_bounds(range(1, n + 1), quantile, confidence)

    def below(count: float) -> float:
        return float(stats.binom.cdf(count, n, quantile))

    if math.isinf(high):
        assert below(n - 1) < confidence  # even the largest sample would not do
        assert n < samples_needed(quantile, confidence)
    else:
        assert below(high - 1) >= confidence
        assert high == 1 or below(high - 2) < confidence
        assert n >= samples_needed(quantile, confidence)
    if math.isinf(low):
        assert below(0) > 1 - confidence - 1e-12
    else:
        assert below(low - 1) <= 1 - confidence + 1e-12
        assert below(low) > 1 - confidence - 1e-12  # one rank more would not cover
    assert low <= high


@pytest.mark.parametrize(("quantile", "n"), [(0.5, 40), (0.95, 100), (0.99, 500)])
def test_quantile_bounds_cover_as_often_as_they_promise(quantile: float, n: int) -> None:
    random, confidence, repeats = np.random.default_rng(1), 0.95, 1500
    truth = math.exp(stats.norm.ppf(quantile))
    bounds = [percentile_bounds(random.lognormal(size=n).tolist(), quantile, confidence) for _ in range(repeats)]
    margin = 4 * math.sqrt(confidence * (1 - confidence) / repeats)
    assert np.mean([high >= truth for _, high in bounds]) >= confidence - margin
    assert np.mean([low <= truth for low, _ in bounds]) >= confidence - margin


def wrong_decisions(looks: tuple[Look, ...]) -> Fraction:
    """The exact probability of ever deciding wrongly at the bound itself, from binomial steps between the looks."""
    alive, seen, wrong = {0: Fraction(1)}, 0, Fraction(0)
    for look in looks:
        step = look.processes - seen
        grown: dict[int, Fraction] = {}
        for (count, share), more in itertools.product(alive.items(), range(step + 1)):
            grown[count + more] = grown.get(count + more, Fraction(0)) + share * math.comb(step, more) / 2**step
        wrong += sum((share for count, share in grown.items() if count <= look.against), Fraction(0))
        alive = {count: share for count, share in grown.items() if count > look.against}
        seen = look.processes
    return wrong


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_error_spent_over_all_looks_stays_within_its_budget(schedule: tuple[int, ...], confidence: float) -> None:
    looks = plan_looks(schedule, confidence)
    assert [look.processes for look in looks] == list(schedule)
    assert wrong_decisions(looks) <= 1 - confidence + 1e-11
    against = [look.against for look in looks]
    assert against == sorted(against)
    assert all(look.against < look.processes / 2 for look in looks)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_no_error_budget_is_wasted(schedule: tuple[int, ...]) -> None:
    # With one more process allowed on the wrong side at any look, too much would be spent up to there.
    looks = plan_looks(schedule, 0.97)
    for index, look in enumerate(looks):
        bolder = (*looks[:index], Look(look.processes, look.against + 1))
        assert wrong_decisions(bolder) > 1 - 0.97


@pytest.mark.parametrize("schedule", [(5,), (6, 9), (5, 8, 12), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (4, 16)], ids=str)
@pytest.mark.parametrize("confidence", [0.9, 0.97])
def test_no_sequence_of_processes_was_forgotten(schedule: tuple[int, ...], confidence: float) -> None:
    # Every sequence of right and wrong sides there is, each as likely as the next.
    n, looks = schedule[-1], plan_looks(schedule, confidence)
    sides = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    decided = np.zeros(2**n, bool)
    for look in looks:
        decided |= sides[:, : look.processes].sum(1) <= look.against
    assert Fraction(int(decided.sum()), 2**n) == wrong_decisions(looks)
    assert decided.mean() <= 1 - confidence


def test_the_default_looks_can_decide_at_the_first() -> None:
    default = MeasureSettings()
    looks = plan_looks(default.looks, default.confidence)
    assert looks[0].against == 0
    assert looks[-1].against > 0


@given(st.lists(numbers, min_size=1, max_size=30), st.integers(-1, 12))
def test_the_interval_of_the_median_leaves_out_as_many_as_allowed(values: list[float], against: int) -> None:
    low, high = median_bounds(values, against)
    if against < 0 or against >= len(values):
        assert (low, high) == (-math.inf, math.inf)
        return
    # A bound is outside the interval exactly when at most `against` values miss it.
    for bound in values:
        assert (high < bound) == (sum(value >= bound for value in values) <= against)
        assert (low > bound) == (sum(value <= bound for value in values) <= against)


@given(st.integers(1, 400), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n, 0.975)
    expected = stats.binomtest(successes, n).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


@pytest.mark.parametrize("kind", ["few distinct values", "many distinct values"])
def test_bootstrap_of_a_mean_is_scipys(kind: str) -> None:
    random = np.random.default_rng(2)
    scores = (
        random.choice([-1.0, 0.0, 1.0], 300, p=[0.05, 0.85, 0.1]) if kind.startswith("few") else random.normal(size=300)
    )
    low, high = bootstrap_mean(scores.tolist(), 0.975)
    expected = stats.bootstrap(
        (scores,), np.mean, confidence_level=0.95, method="percentile", n_resamples=10_000, rng=np.random.default_rng(3)
    ).confidence_interval
    spread = expected.high - expected.low
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.05 * spread)
    assert low < scores.mean() < high
    assert bootstrap_mean(scores.tolist(), 0.975) == (low, high)  # the same evidence gives the same verdict


@pytest.mark.parametrize("kind", ["few distinct values", "many distinct values"])
def test_bootstrap_of_a_ratio_is_scipys(kind: str) -> None:
    random = np.random.default_rng(4)
    others = (random.random(300) < 0.9).astype(float) if kind.startswith("few") else random.lognormal(size=300)
    scores = np.where(random.random(300) < 0.05, 0.0, others)
    low, high = bootstrap_ratio(scores.tolist(), others.tolist(), 0.975)
    expected = stats.bootstrap(
        (scores, others),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        confidence_level=0.95,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    spread = expected.high - expected.low
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.06 * spread)
    assert low < scores.mean() / others.mean() < high


@given(numbers, st.integers(1, 100))
def test_scores_that_are_all_the_same_leave_no_doubt(score: float, n: int) -> None:
    assert bootstrap_mean([score] * n, 0.97) == pytest.approx((score, score), rel=1e-12)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no scores"):
        bootstrap_mean([], 0.97)
