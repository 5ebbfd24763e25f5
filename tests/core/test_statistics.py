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

from harness.core.statistics import (
    Look,
    median,
    median_bounds,
    percentile,
    percentile_bounds,
    plan_looks,
    recorded_looks,
    samples_needed,
    wilson,
)
from harness.spec.model import MeasureSettings

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
def test_no_error_that_may_be_spent_is_left(schedule: tuple[int, ...]) -> None:
    # With one more process allowed on the wrong side at any look, more would be spent up to there than may be.
    looks = plan_looks(schedule, 0.97)
    for index, look in enumerate(looks):
        bolder = (*looks[:index], Look(look.processes, look.against + 1))
        assert wrong_decisions(bolder) > (1 - 0.97) * (1 + look.processes / schedule[-1]) / 2


def test_the_default_plan_keeps_error_for_its_last_look() -> None:
    default = MeasureSettings()
    looks = plan_looks(default.looks, default.confidence)
    assert [look.processes for look in looks] == [6, 9, 12, 16, 20, 26, 32, 40]
    assert [look.against for look in looks] == [0, 0, 1, 2, 4, 6, 8, 12]
    assert float(wrong_decisions(looks)) == pytest.approx(0.02873, abs=1e-5)


def test_recorded_looks_are_taken_as_they_were_planned() -> None:
    looks = recorded_looks([6, 10, 16, 26, 40], [0, 1, 3, 6, 10], 0.97, 0.02)
    assert [look.against for look in looks] == [0, 1, 3, 6, 10]
    assert looks[0].margin == pytest.approx(0.017)
    assert recorded_looks([6, 9], [0, 1], 0.97) == plan_looks((6, 9), 0.97)


@pytest.mark.parametrize(
    ("sizes", "against", "said"),
    [
        ([6, 10], [1, 2], "exceptions are wrong 12 % of the time"),
        ([6, 10], [0], "don't fit together"),
        ([10, 6], [0, 0], "don't fit together"),
    ],
)
def test_looks_that_are_no_honest_plan_are_refused(sizes: list[int], against: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recorded_looks(sizes, against, 0.97)


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
