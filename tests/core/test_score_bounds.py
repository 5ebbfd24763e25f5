"""Bounds of scores hold at every number of samples: by exact enumeration, against their definitions, and in words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from harness.core.bounds import parse_bound
from harness.core.score_bounds import LEAST, Scores, difference_bounds, mean_bounds, ratio_bounds, tango
from harness.core.statistics import wilson
from harness.core.units import POINTS, SHARE
from harness.judge.verdict import Verdict, flips, judge_samples, samples_that_decide, too_small

UNIT = (0.0, 1.0)
Z = float(norm.ppf(0.97))
scores = st.floats(0, 1)


def flipped(n: int, broke: int, mended: int) -> Scores:
    """Of ``n`` samples some that only the other recipe, or only this one, is right on."""
    own = [0.0] * broke + [1.0] * (n - broke)
    return Scores(own, [1.0] * (n - mended) + [0.0] * mended, UNIT)


def wrong(n: int, broke: float, mended: float) -> tuple[float, float]:
    """The exact probabilities that the true difference lies above, or below, the bounds."""
    either, truth = broke + mended, mended - broke
    above = below = 0.0
    few, many = int(binom.ppf(1e-7, n, either)), int(binom.ppf(1 - 1e-7, n, either))
    for count in range(few, many + 1):
        for worse in range(count + 1):
            share = float(binom.pmf(count, n, either) * binom.pmf(worse, count, broke / either))
            if share > 1e-6:
                low, high = tango(n, count - worse, worse, 0.97)
                above += share * (high < truth)
                below += share * (low > truth)
    return above, below


@pytest.mark.parametrize(("broke", "mended"), [(0.01, 0), (0.015, 0.005), (0.03, 0), (0.04, 0.03), (0.002, 0.001)])
@pytest.mark.parametrize("n", [5, 20, 100, 300])
def test_a_difference_of_paired_shares_is_wrong_at_most_as_often_as_promised(
    n: int, broke: float, mended: float
) -> None:
    assert max(wrong(n, broke, mended)) <= 0.0302  # what is rarer than 1e-6 was left out


def test_tangos_own_interval_would_be_wrong_more_often() -> None:
    # What the correction is for: 16 of 1000 flipped, the truth being 1 %.
    low, _ = tango(1000, 0, 16, 0.97)
    assert binom.sf(15, 1000, 0.01) > 0.045
    _, high = tango(1000, 0, 16, 0.97)
    assert high > -0.01 > low


@given(st.integers(1, 300), st.data())
def test_bounds_of_a_difference_are_mirrored_and_hold_the_value(n: int, data: st.DataObject) -> None:
    better = data.draw(st.integers(0, n))
    worse = data.draw(st.integers(0, n - better))
    low, high = tango(n, better, worse, 0.97)
    assert -1 - 1e-9 <= low <= (better - worse) / n + 1e-9
    assert (better - worse) / n - 1e-9 <= high <= 1 + 1e-9
    assert tango(n, worse, better, 0.97) == pytest.approx((-high, -low), abs=1e-9)
    assert tango(4 * n, 4 * better, 4 * worse, 0.97)[0] >= low - 1e-9


@given(st.integers(10, 400))
def test_where_nothing_flips_the_bound_is_about_that_of_a_single_share(n: int) -> None:
    _, high = difference_bounds(flipped(n, 0, 0), 0.97)
    assert high == pytest.approx(wilson(0, n, 0.97)[1], rel=0.3)
    assert (1 - high) ** n <= 0.03  # an exact bound on what was never seen


@given(st.lists(st.tuples(scores, scores), min_size=2, max_size=60))
def test_bounds_of_scores_with_ends_hold_the_value(pairs: list[tuple[float, float]]) -> None:
    found = Scores([a for a, _ in pairs], [b for _, b in pairs], UNIT)
    value = sum(a - b for a, b in pairs) / len(pairs)
    low, high = difference_bounds(found, 0.97)
    assert -1 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= 1
    least, most = mean_bounds(found, 0.97)
    assert 0 <= least <= sum(found.own) / len(pairs) + 1e-9 <= most + 2e-9


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_scores_that_happen_to_be_shares_get_about_the_same_bounds(n: int) -> None:
    # The same answers, once known to be right or wrong, once only known to lie between 0 and 1.
    known = flipped(n, n // 10, n // 30)
    vague = replace(known, clusters=list(range(n)))
    for bounds in (difference_bounds, ratio_bounds):
        assert bounds(vague, 0.97) == pytest.approx(bounds(known, 0.97), abs=0.25 / math.sqrt(n) * 0.5)


def test_a_ratio_is_refused_exactly_where_its_difference_is() -> None:
    found = Scores([0.3, 0.5, 0.8, 0.4] * 20, [0.4, 0.5, 0.9, 0.6] * 20, UNIT)
    for bound in ratio_bounds(found, 0.97):
        rest = [a - bound * b for a, b in zip(found.own, found.others or (), strict=True)]
        judged = mean_bounds(Scores(rest, ends=(-bound, 1.0), clusters=list(range(80))), 0.97)
        assert min(map(abs, judged)) == pytest.approx(0, abs=1e-9)


def test_a_cluster_counts_once() -> None:
    random = np.random.default_rng(3)
    one = (random.random(60) < 0.9).astype(float)
    alone = Scores(one.tolist(), [1.0] * 60, UNIT, list(range(60)))
    copied = Scores(np.repeat(one, 5).tolist(), [1.0] * 300, UNIT, np.repeat(np.arange(60), 5).tolist())
    assert difference_bounds(copied, 0.97) == pytest.approx(difference_bounds(alone, 0.97))
    assert copied.units == 60
    blind = difference_bounds(replace(copied, clusters=None), 0.97)
    low, high = difference_bounds(copied, 0.97)
    assert blind[1] - blind[0] < 0.6 * (high - low)


def test_a_sample_of_more_weight_counts_more() -> None:
    weights = [0.5] * 50 + [1.5] * 50
    light = Scores([0.5] * 5 + [0.0] * 95, [0.0] * 100, UNIT, None, weights)
    heavy = Scores([0.0] * 95 + [1.5] * 5, [0.0] * 100, UNIT, None, weights)
    assert difference_bounds(heavy, 0.97)[1] > 2 * difference_bounds(light, 0.97)[1]


def test_scores_without_ends_say_nothing_where_few_differ() -> None:
    few = Scores([1.0] * (LEAST - 1) + [0.0] * 900, [0.0] * (LEAST + 899), (0.0, math.inf))
    assert difference_bounds(few, 0.97) == (-math.inf, math.inf)
    enough = Scores([1.0] * LEAST + [0.0] * 900, [0.0] * (LEAST + 900), (0.0, math.inf))
    assert 0 < difference_bounds(enough, 0.97)[0] < LEAST / (LEAST + 900) < difference_bounds(enough, 0.97)[1]


def test_scores_without_ends_and_without_skew_get_students_interval() -> None:
    from scipy.stats import t

    values = np.concatenate([np.linspace(-1, 3, 101)])
    low, high = mean_bounds(Scores(values.tolist()), 0.97)
    half = t.ppf(0.97, 101 / 4) * values.std() / math.sqrt(101)
    assert (low, high) == pytest.approx((1 - half, 1 + half))


@pytest.mark.parametrize("n", [5, 20, 100])
def test_a_small_drop_is_not_proven_by_few_samples_that_are_alike(n: int) -> None:
    bound = parse_bound("drop <= 0.1 pp vs fp32", SHARE)
    equal = Scores([1.0] * n, [1.0] * n, UNIT)
    judged = judge_samples(bound, equal, 0.97)
    assert judged.verdict is Verdict.INCONCLUSIVE
    count, holds = samples_that_decide(bound, equal, 0.97) or (0, False)
    assert holds
    said = list(too_small(bound, judged, equal, POINTS))
    assert said == [f"{n} samples are too few for drop <= 0.1 pp vs fp32: about {count:,} like these would prove it"]
    # Computed by the method in force: so many decide, one fewer does not.
    assert judge_samples(bound, Scores([1.0] * count, [1.0] * count, UNIT), 0.97).verdict is Verdict.PASS
    fewer = Scores([1.0] * (count - 1), [1.0] * (count - 1), UNIT)
    assert judge_samples(bound, fewer, 0.97).verdict is Verdict.INCONCLUSIVE


def test_a_drop_on_its_bound_is_decided_by_no_number() -> None:
    bound = parse_bound("drop <= 5 pp vs fp32", SHARE)
    found = flipped(100, 5, 0)
    judged = judge_samples(bound, found, 0.97)
    assert samples_that_decide(bound, found, 0.97) is None
    said = "100 samples can't decide it, nor would 1000 times as many: the figure is at its bound"
    assert list(too_small(bound, judged, found, POINTS)) == [said]


def test_what_a_drop_can_not_keep_would_be_refuted() -> None:
    bound = parse_bound("drop <= 1 pp vs fp32", SHARE)
    found = flipped(200, 5, 0)
    assert judge_samples(bound, found, 0.97).verdict is Verdict.INCONCLUSIVE
    count, holds = samples_that_decide(bound, found, 0.97) or (0, True)
    assert not holds
    assert 200 < count < 2000


def test_flips_are_told() -> None:
    bound = parse_bound("drop <= 1 pp vs fp32", SHARE)
    said = "against fp32, of 200 samples 12 broke and 9 mended"
    assert list(flips(bound, flipped(200, 12, 9))) == [said]
    assert not list(flips(bound, Scores([0.5], [0.7], UNIT)))
    assert not list(flips(parse_bound(">= 90 %", SHARE), Scores([1.0], None, UNIT)))


def test_clusters_are_what_is_counted() -> None:
    bound = parse_bound("drop <= 3 pp vs fp32", SHARE)
    found = Scores([1.0] * 100, [1.0] * 100, UNIT, [n // 5 for n in range(100)])
    judged = judge_samples(bound, found, 0.97)
    assert (judged.verdict, judged.n, judged.of) == (Verdict.INCONCLUSIVE, 20, "paired clusters of samples")
    assert next(too_small(bound, judged, found, POINTS)).startswith("20 clusters of samples are too few for drop")


def test_a_figure_that_no_sample_changes_is_not_said_to_be_at_its_bound() -> None:
    equal = Scores([0.5] * 36, [0.5] * 36, jackknife=True)
    bound = parse_bound("drop <= 1 pp vs fp32", SHARE)
    (said,) = too_small(bound, judge_samples(bound, equal, 0.97), equal, POINTS)
    assert "must differ on 100 or more" in said
    assert "at its bound" not in said
