"""What is called a change: exact where it is exact, at the promised rate where it is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from harness.core.score_bounds import Scores
from harness.evidence.history.change import (
    Change,
    State,
    exact_change,
    exceptions,
    paired_change,
    process_change,
    state,
    unpaired_change,
)
from harness.judge.machine_ratio import Side
from tests.support.studies import run_study


def side(values: list[float], *disturbed: int) -> Side:
    return Side(values, [place in disturbed for place in range(len(values))])


@pytest.mark.parametrize(("first", "second"), [(4, 4), (6, 6), (6, 10), (16, 10), (40, 7)])
def test_the_interval_leaves_1_out_exactly_when_the_rank_sum_test_rejects(first: int, second: int) -> None:
    drawn = np.random.default_rng(first * second)
    for shift in (0.0, 0.05, 0.1):
        for _ in range(100):
            a = np.exp(drawn.normal(0, 0.05, first)).tolist()
            b = np.exp(drawn.normal(shift, 0.05, second)).tolist()
            found = process_change(side(a), side(b), 0.97)
            rejected = mannwhitneyu(a, b, method="exact").pvalue <= 0.03
            assert (found.low > 1 or found.high < 1) == rejected
            assert found.low <= found.value <= found.high


def test_too_few_processes_say_nothing() -> None:
    assert exceptions(3, 3, 0.97) == -1
    assert exceptions(0, 6, 0.97) == -1
    found = process_change(side([1.0, 1.0, 1.0]), side([9.0, 9.0, 9.0]), 0.97)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert state(found, "lower", 0.02) is State.UNCLEAR


def test_a_disturbance_of_either_run_is_no_change() -> None:
    quiet = [1.0 + n / 1000 for n in range(8)]
    noisy = [*quiet[:4], *(value * 3 for value in quiet[4:])]
    assert state(process_change(side(quiet), side(noisy, 4, 5, 6, 7), 0.97), "lower", 0.02) is not State.WORSE
    assert state(process_change(side(noisy, 4, 5, 6, 7), side(quiet), 0.97), "lower", 0.02) is not State.BETTER
    slower = [value * 3 for value in quiet]
    assert state(process_change(side(quiet), side(slower), 0.97), "lower", 0.02) is State.WORSE
    assert state(process_change(side(quiet), side(slower), 0.97), "higher", 0.02) is State.BETTER


def test_what_the_machine_may_drift_is_no_change() -> None:
    assert state(Change(1.03, 1.021, 1.04, ratio=True), "lower", 0.02) is State.WORSE
    assert state(Change(1.03, 1.019, 1.04, ratio=True), "lower", 0.02) is State.UNCLEAR
    assert state(Change(1.0, 0.99, 1.01, ratio=True), "lower", 0.02) is State.SAME
    assert state(Change(0.9, 0.89, 0.97, ratio=True), "lower", 0.02) is State.BETTER


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=12),
    st.lists(st.floats(0, 1e6), min_size=1, max_size=12),
    st.floats(0.5, 0.999),
)
@example([0.0], [1.0], 0.5)
def test_any_figures_give_an_interval(base: list[float], new: list[float], confidence: float) -> None:
    found = process_change(side(base), side(new), confidence)
    assert found.low <= found.high
    assert not any(math.isnan(number) for number in (found.value, found.low, found.high))


def test_failures_that_stay_at_none_are_the_same() -> None:
    none = side([0.0] * 8)
    assert process_change(none, none, 0.97) == Change(1.0, 1.0, 1.0, ratio=True)
    worse = process_change(none, side([0.1] * 8), 0.97)
    assert worse.low == math.inf
    assert state(worse, "lower", 0.02) is State.WORSE


def test_exact_figures_differ_or_do_not() -> None:
    assert state(exact_change(1000, 1000), "lower") is State.SAME
    assert state(exact_change(1000, 1001), "lower") is State.WORSE
    assert state(exact_change(0, 3), "lower") is State.WORSE
    assert state(exact_change(0.9, 0.8), "higher") is State.WORSE


def right(scores: list[float]) -> Scores:
    return Scores(scores, ends=(0.0, 1.0))


def test_few_flipped_answers_are_no_change() -> None:
    base = [1.0] * 500
    found = paired_change(right(base), right([0.0] * 5 + [1.0] * 495), 0.97)
    assert found.value == pytest.approx(-0.01)
    assert state(found, "higher") is State.UNCLEAR  # 5 of 5: 6 % by chance
    assert state(paired_change(right(base), right([0.0] * 8 + [1.0] * 492), 0.97), "higher") is State.WORSE


def test_recipes_that_are_alike_are_called_changed_at_most_at_the_promised_rate() -> None:
    drawn = np.random.default_rng(5)
    runs, called = 400, 0
    for _ in range(runs):
        flips = int(drawn.poisson(7))
        base = np.ones(300)
        new = np.ones(300)
        for place in range(flips):
            (base if drawn.random() < 0.5 else new)[place] = 0
        called += state(
            paired_change(right(base.tolist()), right(new.tolist()), 0.97), "higher"
        ) is not State.SAME and (
            state(paired_change(right(base.tolist()), right(new.tolist()), 0.97), "higher") is not State.UNCLEAR
        )
    assert called / runs <= 0.03 + 3 * math.sqrt(0.03 * 0.97 / runs)


def test_other_data_are_held_against_each_other_as_a_whole() -> None:
    chance = np.random.default_rng(1)
    base = (chance.random(800) < 0.9).astype(float).tolist()
    new = (chance.random(700) < 0.5).astype(float).tolist()
    assert state(unpaired_change(right(base), right(new), 0.97), "higher") is State.WORSE
    assert state(unpaired_change(right(base), right(base[:700]), 0.97), "higher") is State.UNCLEAR


def test_identical_artifacts_are_called_changed_at_most_at_the_promised_rate() -> None:
    done = run_study("changes.py", "", 120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("| ")]) > 15


@pytest.mark.long
def test_the_study_notices_a_comparison_that_gets_it_wrong() -> None:
    pooled = (
        "import harness.evidence.history.change as change\n"
        "change.exceptions = lambda first, second, confidence: first * second // 2 - 1\n"
    )
    done = run_study("changes.py", pooled, 60)
    assert done.returncode == 1, done.stderr
    assert "called changed" in done.stdout


@pytest.mark.parametrize(("better", "called"), [("higher", State.BETTER), ("lower", State.WORSE)])
def test_scores_between_two_ends_that_rise_are_better_where_more_is(better: str, called: State) -> None:
    """Of right or wrong answers the ends of an interval are Python's numbers, of these they are NumPy's."""
    chance = np.random.default_rng(0)
    base, new = chance.uniform(0, 0.4, 300), chance.uniform(0.6, 1, 300)
    before, after = (Scores(values.tolist(), ends=(0.0, 1.0)) for values in (base, new))
    assert state(paired_change(before, after, 0.97), better) is called
    assert state(unpaired_change(before, after, 0.97), better) is called
