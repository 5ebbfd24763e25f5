"""A verdict says no more than its samples support: decided on the right side, at planned looks only, never by NaN."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.bounds import Bound, parse_bound
from harness.core.score_bounds import Scores
from harness.core.statistics import Look, plan_looks
from harness.core.units import BYTES, SAMPLE_RATE, SHARE, TIME
from harness.judge.verdict import (
    Decision,
    Estimate,
    Verdict,
    judge_exact,
    judge_processes,
    judge_samples,
    least_to_pass,
    too_near,
    too_small,
)

SIZES = (6, 9, 14, 20, 28)  # not the default: nothing here depends on it
LOOKS = plan_looks(SIZES, 0.97)
CEILING = parse_bound("< 3 s", TIME)
FLOOR = parse_bound("> 3 fps", SAMPLE_RATE)
values = st.floats(0.1, 10)
UNIT = (0.0, 1.0)
MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def points(numbers: Sequence[float]) -> list[Estimate]:
    return [Estimate(number, number, number) for number in numbers]


def decide(bound: Bound, seen: Sequence[Estimate], looks: Sequence[Look] = LOOKS) -> Decision:
    return judge_processes(bound, seen, looks=looks, confidence=0.97)


def judge(bound: Bound, numbers: Sequence[float]) -> Decision:
    return decide(bound, points(numbers))


# Every order of a value, its bounds and the limit of 3, ties included.
ESTIMATES = [
    Estimate(float(value), float(low), float(high))
    for low, value, high in itertools.combinations_with_replacement(range(1, 6), 3)
]


def alike(count: int) -> st.SearchStrategy[list[Estimate]]:
    """So many estimates; often most of them on the same side, so that something is decided."""
    some = st.sampled_from(ESTIMATES) | st.sampled_from(ESTIMATES[:15])
    return st.lists(some, min_size=count, max_size=count) | st.lists(
        st.sampled_from(ESTIMATES[:5]), min_size=count, max_size=count
    )


estimates = st.lists(st.sampled_from(ESTIMATES), max_size=30) | st.lists(st.sampled_from(ESTIMATES[:15]), max_size=30)


def test_all_processes_inside_pass_at_the_first_look() -> None:
    found = judge(CEILING, [1.0, 2.0, 1.5, 1.2, 1.1, 2.9])
    assert (found.verdict, found.n, found.of, found.confidence) == (Verdict.PASS, 6, "processes", 0.97)
    assert (found.low, found.value, found.high) == (1.0, 1.35, 2.9)


def test_all_processes_outside_fail_at_the_first_look() -> None:
    found = judge(CEILING, [4.0, 5.0, 3.0, 3.1, 9.0, 3.2])
    assert (found.verdict, found.n) == (Verdict.FAIL, 6)
    assert found.low == 3.0  # the bound itself is not below the bound


def test_processes_on_both_sides_decide_nothing_yet() -> None:
    found = judge(CEILING, [1.0, 4.0, 1.0, 4.0, 1.0, 1.0])
    assert (found.verdict, found.n) == (Verdict.INCONCLUSIVE, 6)
    assert found.low < CEILING.limit < found.high


def test_a_later_look_decides_what_the_first_left_open() -> None:
    found = judge(CEILING, [4.0] + [1.0] * 13)
    assert (found.verdict, found.n) == (Verdict.PASS, 14)
    assert judge(CEILING, [4.0] + [1.0] * 12).verdict is Verdict.INCONCLUSIVE


def test_the_budget_ends_before_a_coin_decides() -> None:
    found = judge(CEILING, [1.0, 4.0] * 14)
    assert (found.verdict, found.n) == (Verdict.INCONCLUSIVE, 28)


@pytest.mark.parametrize(("bound", "inside"), [(CEILING, 2.97), (FLOOR, 3.03)])
def test_an_early_look_leaves_room_for_what_was_not_seen_yet(bound: Bound, inside: float) -> None:
    # One per cent inside the bound: the machine may drift by more than that before the run would have ended.
    looks = plan_looks((6, 40), 0.97, 0.02)
    assert [look.margin for look in looks] == pytest.approx([0.02 * 34 / 40, 0])
    early = decide(bound, points([inside] * 6), looks)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert early.low < bound.limit < early.high
    assert decide(bound, points([inside] * 40), looks).verdict is Verdict.PASS
    outside = 2 * bound.limit - inside
    assert decide(bound, points([outside] * 6), looks).verdict is Verdict.INCONCLUSIVE
    assert decide(bound, points([outside] * 40), looks).verdict is Verdict.FAIL


@pytest.mark.parametrize("count", range(6))
def test_fewer_processes_than_the_first_look_decide_nothing(count: int) -> None:
    found = judge(CEILING, [1.0] * count)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isnan(found.value) == (count == 0)


@given(st.sampled_from(SIZES).flatmap(alike), st.lists(values, max_size=10))
def test_processes_beyond_a_look_change_nothing(seen: list[Estimate], more: list[float]) -> None:
    found = decide(CEILING, seen)
    assert found.n in SIZES
    assert decide(CEILING, seen[: found.n]) == found
    if found.verdict is not Verdict.INCONCLUSIVE:
        assert decide(CEILING, [*seen, *points(more)]) == found


@pytest.mark.parametrize(("first", "later", "verdict"), [(4.0, 1.0, Verdict.FAIL), (1.0, 4.0, Verdict.PASS)])
def test_a_verdict_at_an_early_look_is_final(first: float, later: float, verdict: Verdict) -> None:
    # Measuring on for another target must not turn what a look has decided.
    looks, early = plan_looks((6, 60), 0.97), points([first] * 6)
    assert decide(CEILING, early, looks).verdict is verdict
    assert decide(CEILING, [*early, *points([later] * 54)], looks).verdict is verdict


@given(st.lists(st.tuples(values, st.booleans()), max_size=30))
def test_disturbed_processes_count_for_the_artifact_never_against_it(seen: list[tuple[float, bool]]) -> None:
    everyone = points([number for number, _ in seen])
    clean = points([number for number, disturbed in seen if not disturbed])
    flags = [disturbed for _, disturbed in seen]
    found = judge_processes(CEILING, everyone, looks=LOOKS, confidence=0.97, disturbed=flags)
    if found.verdict is Verdict.PASS:
        # No process was thrown away on the way to PASS: the same look decides with all of them counted.
        assert decide(CEILING, everyone[: found.n]).verdict is Verdict.PASS
    elif found.verdict is Verdict.FAIL:
        assert decide(CEILING, clean).verdict is Verdict.FAIL
    else:
        # Undisturbed processes that came after the last look are not looked at yet.
        last = max((look.processes for look in LOOKS if look.processes <= len(seen)), default=0)
        looked_at = points([number for number, disturbed in seen[:last] if not disturbed])
        assert decide(CEILING, looked_at).verdict is not Verdict.FAIL
    relieved = judge_processes(CEILING, everyone, looks=LOOKS, confidence=0.97, disturbed=[True] * len(seen))
    assert relieved.verdict is not Verdict.FAIL


def test_a_disturbed_machine_fails_nothing() -> None:
    slow = points([4.0] * 28)
    flags = [False] * 5 + [True] * 23
    found = judge_processes(CEILING, slow, looks=LOOKS, confidence=0.97, disturbed=flags)
    assert found.verdict is Verdict.INCONCLUSIVE


@given(estimates, st.sampled_from(["< 3 s", "<= 3 s"]))
def test_ceilings_and_floors_mirror_each_other(seen: list[Estimate], text: str) -> None:
    op = text.partition(" ")[0]
    mirrored = [Estimate(-e.value, -e.high, -e.low) for e in seen]
    found = decide(parse_bound(text, TIME), seen)
    other = decide(parse_bound(f"{MIRROR[op]} -3 s", TIME), mirrored)
    assert (found.verdict, found.n) == (other.verdict, other.n)
    assert (found.low, found.high) == (-other.high, -other.low)


@given(estimates, st.sampled_from(["< 3 s", "<= 3 s", "> 3 s", ">= 3 s"]))
def test_the_verdict_follows_from_the_bounds_that_are_kept(seen: list[Estimate], text: str) -> None:
    # What a stranger's program recomputes from the evidence.
    bound = parse_bound(text, TIME)
    found = decide(bound, seen)
    worst, best = (found.high, found.low) if bound.upper else (found.low, found.high)
    assert (found.verdict is Verdict.PASS) == bound.holds(worst)
    assert (found.verdict is Verdict.FAIL) == (not bound.holds(best))
    assert found.low <= found.high


@given(estimates, st.floats(1.0, 3.0))
def test_a_stricter_bound_never_passes_more(seen: list[Estimate], limit: float) -> None:
    strict = decide(parse_bound(f"< {limit} s", TIME), seen[:6])
    if strict.verdict is Verdict.PASS:
        assert decide(CEILING, seen[:6]).verdict is Verdict.PASS


@given(st.lists(st.sampled_from([1.0, 4.0, math.nan]), max_size=28), st.sampled_from([CEILING, FLOOR]))
def test_not_a_number_counts_as_a_miss(numbers: list[float], bound: Bound) -> None:
    good, bad = (1.0, 4.0) if bound.upper else (4.0, 1.0)
    found = judge(bound, numbers)
    replaced = judge(bound, [bad if math.isnan(number) else number for number in numbers])
    assert (found.verdict is Verdict.PASS) == (replaced.verdict is Verdict.PASS)
    assert judge(bound, [math.nan] * 28).verdict is not Verdict.PASS
    assert judge(bound, [good] * 28).verdict is Verdict.PASS


@pytest.mark.parametrize("bound", [CEILING, FLOOR])
def test_processes_that_can_promise_nothing_decide_nothing(bound: Bound) -> None:
    unknown = Estimate(1.0, -math.inf, math.inf)
    assert decide(bound, [unknown] * 28).verdict is Verdict.INCONCLUSIVE
    ratio = parse_bound("<= 0.5 x fp32" if bound.upper else ">= 2 x fp32", TIME)
    assert decide(ratio, [unknown.over(unknown)] * 28).verdict is Verdict.INCONCLUSIVE


def test_at_the_bound_itself_a_wrong_pass_is_as_rare_as_promised() -> None:
    # Simulated processes whose true median is the bound: the worst case that still is a miss.
    random, repeats = np.random.default_rng(1), 3000
    limit = math.exp(0.4)
    bound = Bound("", CEILING.relation, "<", limit, None)
    runs = random.lognormal(0.4, 0.5, size=(repeats, SIZES[-1]))
    verdicts = [judge(bound, run.tolist()).verdict for run in runs]
    margin = 4 * math.sqrt(0.03 * 0.97 / repeats)
    assert verdicts.count(Verdict.PASS) / repeats <= 0.03 + margin
    assert verdicts.count(Verdict.FAIL) / repeats <= 0.03 + margin


@given(values, values, values, values, values, values)
def test_a_ratio_covers_every_ratio_of_what_its_parts_cover(  # two estimates of three numbers each
    a: float, b: float, c: float, d: float, e: float, f: float
) -> None:
    (low, middle, high), (under, other, over) = sorted([a, b, c]), sorted([d, e, f])
    ratio = Estimate(middle, low, high).over(Estimate(other, under, over))
    assert ratio.value == middle / other
    assert (ratio.low, ratio.high) == (low / over, high / under)
    assert ratio.low <= ratio.value <= ratio.high


def test_a_ratio_to_nothing_is_infinite() -> None:
    assert Estimate(1.0, 0.5, 2.0).over(Estimate(0.0, 0.0, 0.0)).value == math.inf


@pytest.mark.parametrize(("confidence", "least"), [(0.5, 2), (0.7, 2), (0.95, 5), (0.97, 6), (0.99, 7), (0.999, 10)])
def test_a_plain_bound_passes_where_a_sign_test_could(confidence: float, least: int) -> None:
    assert least_to_pass(confidence) == least
    bound = parse_bound(">= 50 %", SHARE)
    for count in range(1, least):
        scores = Scores([1.0] * count, ends=UNIT)
        found = judge_samples(bound, scores, confidence)
        assert found.verdict is Verdict.INCONCLUSIVE
        (said,) = too_small(bound, found, scores, SHARE)
        assert f"{count} samples keep the bound, and are too few to pass: at least {least} are needed" in said
        assert judge_samples(bound, Scores([0.0] * count, ends=UNIT), confidence).verdict is Verdict.FAIL
    assert judge_samples(bound, Scores([1.0] * least, ends=UNIT), confidence).verdict is Verdict.PASS


def test_copies_of_one_sample_are_one_sample() -> None:
    copies = Scores([1.0] * 100, ends=UNIT, clusters=[0] * 100)
    assert judge_samples(parse_bound(">= 50 %", SHARE), copies, 0.97).verdict is Verdict.INCONCLUSIVE


# ---- scores of samples --------------------------------------------------------------------------------------------

scores = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60)


@given(scores, st.integers(0, 100))
def test_a_plain_bound_is_about_this_very_set(own: list[float], percent: int) -> None:
    bound = parse_bound(f">= {percent} %", SHARE)
    found = judge_samples(bound, Scores(own, ends=UNIT), 0.97)
    right = 100 * sum(own) >= percent * len(own)  # in whole numbers
    assert found.verdict is (
        Verdict.FAIL if not right else Verdict.PASS if len(own) >= 6 else Verdict.INCONCLUSIVE  # of 6 samples on
    )
    assert found.value == sum(own) / len(own)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert (found.n, found.of) == (len(own), "samples")


@pytest.mark.parametrize(
    ("text", "own", "other", "verdict", "value"),
    [
        ("drop <= 5 pp vs fp32", [1.0] * 100, [1.0] * 100, Verdict.PASS, 0.0),
        ("drop <= 1 pp vs fp32", [1.0] * 100, [1.0] * 100, Verdict.INCONCLUSIVE, 0.0),
        ("drop <= 1 pp vs fp32", [0.0] * 50 + [1.0] * 50, [1.0] * 100, Verdict.FAIL, 0.5),
        ("drop <= 10 pp vs fp32", [0.0] * 10 + [1.0] * 90, [1.0] * 100, Verdict.INCONCLUSIVE, 0.1),
        ("drop <= 1 pp vs fp32", [1.0] * 100, [0.0] * 50 + [1.0] * 50, Verdict.PASS, -0.5),
        ("gain >= 20 pp vs fp32", [1.0] * 100, [0.0] * 50 + [1.0] * 50, Verdict.PASS, 0.5),
        ("gain >= 20 pp vs fp32", [1.0] * 100, [1.0] * 100, Verdict.FAIL, 0.0),
        ("gain >= 20 pp vs fp32", [1.0] * 100, [0.0] * 20 + [1.0] * 80, Verdict.INCONCLUSIVE, 0.2),
        (">= 95 % of fp32", [1.0] * 100, [1.0] * 100, Verdict.PASS, 1.0),
        (">= 98 % of fp32", [0.0] * 50 + [1.0] * 50, [1.0] * 100, Verdict.FAIL, 0.5),
        (">= 90 % of fp32", [0.0] * 10 + [1.0] * 90, [1.0] * 100, Verdict.INCONCLUSIVE, 0.9),
        (">= 0.95 x fp32", [1.0] * 100, [1.0] * 100, Verdict.PASS, 1.0),
    ],
)
def test_a_comparison_is_decided_by_its_interval(
    text: str, own: list[float], other: list[float], verdict: Verdict, value: float
) -> None:
    found = judge_samples(parse_bound(text, SHARE), Scores(own, other, UNIT), 0.97)
    assert found.verdict is verdict
    assert found.value == pytest.approx(value)
    assert (found.n, found.of, found.confidence) == (100, "paired samples", 0.97)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60))
def test_what_one_recipe_loses_the_other_gains(pairs: list[tuple[float, float]]) -> None:
    own, other = [a for a, _ in pairs], [b for _, b in pairs]
    drop = judge_samples(parse_bound("drop <= 5 pp vs b", SHARE), Scores(own, other, UNIT), 0.97)
    gain = judge_samples(parse_bound("gain >= 5 pp vs a", SHARE), Scores(other, own, UNIT), 0.97)
    assert (drop.value, drop.low, drop.high) == pytest.approx((gain.value, gain.low, gain.high), abs=1e-9)


@given(st.sampled_from(["drop <= 1 pp vs a", "gain >= 1 pp vs a", ">= 98 % of a", ">= 98 %"]), st.integers(1, 50))
def test_a_score_that_is_not_a_number_never_passes(text: str, n: int) -> None:
    own = [1.0] * n
    own[n // 2] = math.nan
    others = None if text.endswith("%") else [1.0] * n
    assert judge_samples(parse_bound(text, SHARE), Scores(own, others, UNIT), 0.97).verdict is not Verdict.PASS


@pytest.mark.parametrize(("own", "verdict"), [(0.0, Verdict.INCONCLUSIVE), (1.0, Verdict.PASS)])
def test_a_share_of_nothing_is_no_number_to_fail_by(own: float, verdict: Verdict) -> None:
    # 0 of 0 says nothing; something instead of nothing is more than any share of it.
    found = judge_samples(parse_bound(">= 98 % of fp32", SHARE), Scores([own] * 20, [0.0] * 20, UNIT), 0.97)
    assert found.verdict is verdict


def test_scores_of_different_sets_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 and 2 scores can't be paired"):
        judge_samples(parse_bound("drop <= 1 pp vs a", SHARE), Scores([1.0] * 3, [1.0] * 2, UNIT), 0.97)


# ---- exact figures ------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_an_exact_figure_is_decided_by_itself(size: int, other: int) -> None:
    found = judge_exact(parse_bound("< 5 MB", BYTES), float(size))
    assert found.verdict is (Verdict.PASS if size < 5_000_000 else Verdict.FAIL)
    assert found.low == found.value == found.high == size
    compared = judge_exact(parse_bound("<= 0.5 x fp32", BYTES), float(size), float(other))
    assert compared.verdict is (Verdict.PASS if size / other <= 0.5 else Verdict.FAIL)
    assert (compared.value, compared.n, compared.confidence) == (size / other, 1, None)


@pytest.mark.parametrize("text", ["< 5 MB", "> 5 MB", "<= 0.5 x fp32", ">= 0.5 x fp32"])
def test_an_unknown_figure_never_passes(text: str) -> None:
    bound = parse_bound(text, BYTES)
    assert judge_exact(bound, math.nan).verdict is Verdict.FAIL
    assert judge_exact(bound, math.nan, 3.0).verdict is Verdict.FAIL


def test_looks_are_a_plan_and_no_more() -> None:
    # A look that can't decide yet doesn't, however clear the picture.
    found = decide(CEILING, points([1.0] * 9), (Look(6, -1), Look(9, 1)))
    assert (found.verdict, found.n) == (Verdict.PASS, 9)


# ---- a bound that is too near -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.98, "decided after 6 processes, 2.0 % from the bound"), (1.05, "5.0 % from the bound"), (0.85, ""), (1.2, "")],
)
def test_a_bound_too_near_to_the_figure_is_named(value: float, said: str) -> None:
    bound = parse_bound("< 1 s", TIME)
    found = decide(bound, points([value] * 6), (Look(6, 0),))
    notes = list(too_near(bound, found))
    assert len(notes) == bool(said)
    assert said in " ".join(notes)


def test_an_undecided_target_is_named_as_such_and_an_exact_one_never() -> None:
    bound = parse_bound("< 1 s", TIME)
    undecided = decide(bound, points([0.95, 0.95, 1.04, 1.05, 0.96, 1.01]), (Look(6, 0),))
    assert next(iter(too_near(bound, undecided))).startswith("undecided after 6 processes")
    size = parse_bound("< 5 MB", BYTES)
    assert not list(too_near(size, judge_exact(size, 4.99e6)))
