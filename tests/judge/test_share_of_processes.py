"""A bound that so many of the processes must keep: read, planned exactly, judged on both sides, refused where few."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from harness.core.bounds import parse_bound
from harness.core.errors import SpecError
from harness.core.statistics import looks_for, plan_looks
from harness.core.units import TIME
from harness.judge.verdict import Decision, Estimate, Verdict, judge_processes
from harness.spec.checks import share_mistake
from harness.spec.model import MeasureSettings
from harness.spec.reader import read_spec

SIZES = MeasureSettings().looks
PROMISE = parse_bound("< 10 ms in 90 % of processes", TIME)


def judge(values: list[float], share: float = 0.9, text: str = "< 10 ms") -> Decision:
    bound = parse_bound(f"{text} in {100 * share:g} % of processes", TIME)
    looks = looks_for(SIZES, 0.97, 0.0, share)
    return judge_processes(bound, [Estimate(v, v, v) for v in values], looks=looks, confidence=0.97)


def test_the_share_is_read() -> None:
    assert (PROMISE.share, PROMISE.limit, PROMISE.upper) == (0.9, 0.01, True)
    assert parse_bound("< 10 ms", TIME).share == 0.5
    assert parse_bound("< 10 ms in 97.5 % of processes", TIME).share == 0.975


@pytest.mark.parametrize("share", ["40", "100", "0"])
def test_a_share_below_half_or_of_all_is_refused(share: str) -> None:
    with pytest.raises(ValueError, match="in 50 % to below 100 % of processes"):
        parse_bound(f"< 10 ms in {share} % of processes", TIME)


def test_half_of_the_processes_is_the_median() -> None:
    assert looks_for(SIZES, 0.97, 0.02, 0.5) == plan_looks(SIZES, 0.97, 0.02)


@pytest.mark.parametrize("share", [0.75, 0.8, 0.9])
def test_both_errors_stay_within_what_is_promised(share: float) -> None:
    # By simulation of whole runs with exactly this share of processes that keep the bound.
    drawn = np.random.default_rng(4).random((4000, SIZES[-1])) < share
    looks = looks_for(SIZES, 0.97, 0.0, share)
    ends = [_end(run, looks) for run in drawn]
    assert ends.count(Verdict.PASS) / 4000 <= 0.03 + 3 * np.sqrt(0.03 * 0.97 / 4000)
    assert ends.count(Verdict.FAIL) / 4000 <= 0.03 + 3 * np.sqrt(0.03 * 0.97 / 4000)


def _end(kept: np.ndarray, looks: tuple[object, ...]) -> Verdict:
    estimates = [Estimate(v, v, v) for v in np.where(kept, 0.009, 0.011).tolist()]
    return judge_processes(PROMISE, estimates, looks=looks, confidence=0.97).verdict  # type: ignore[arg-type]


def test_ninety_per_cent_take_a_clean_run_of_all_processes() -> None:
    assert judge([0.009] * 32).verdict is Verdict.INCONCLUSIVE
    passed = judge([0.009] * 40)
    assert (passed.verdict, passed.high) == (Verdict.PASS, 0.009)
    assert binom.pmf(0, 40, 0.1) <= 0.03 < binom.pmf(0, 32, 0.1)


def test_a_few_slow_starts_fail_early_though_the_median_is_fine() -> None:
    values = [0.009, 0.02] * 6
    failed = judge(values)
    assert failed.verdict is Verdict.FAIL
    assert failed.n < 12
    assert failed.low >= 0.01
    looks = plan_looks(SIZES, 0.97)
    median = judge_processes(
        parse_bound("< 10 ms", TIME), [Estimate(v, v, v) for v in values], looks=looks, confidence=0.97
    )
    assert median.verdict is Verdict.INCONCLUSIVE


def test_a_floor_is_the_mirror() -> None:
    values = [1.0 + n / 100 for n in range(40)]
    ceiling, floor = judge(values, text="< 2 s"), judge([3 - v for v in values], text="> 1 s")
    assert ceiling.verdict is floor.verdict is Verdict.PASS
    assert floor.value == pytest.approx(3 - ceiling.value)
    assert (floor.low, floor.high) == pytest.approx((3 - ceiling.high, 3 - ceiling.low))


def test_the_value_is_the_figure_that_so_many_keep() -> None:
    assert judge([n / 1000 for n in range(1, 41)], text="< 1 s").value == pytest.approx(
        np.quantile(np.arange(1, 41), 0.9) / 1000
    )


def test_looks_that_can_never_prove_it_are_refused() -> None:
    few = parse_bound("< 10 ms in 95 % of processes", TIME)
    said = share_mistake(few, MeasureSettings())
    assert said == "'< 10 ms in 95 % of processes': takes at least 69 processes, looks end at 40; add looks"
    assert not share_mistake(few, MeasureSettings(looks=(6, 40, 80)))
    assert not share_mistake(PROMISE, MeasureSettings())


@pytest.mark.parametrize(
    ("metric", "bound", "said"),
    [
        ("latency.p50", "< 10 ms in 95 % of processes", "takes at least 69 processes"),
        ("size", "< 1 MB in 90 % of processes", "a share of the processes is for a bound on a figure that each"),
        ("latency.p50", "<= 0.5 x fp32 in 90 % of processes", "a share of the processes is for a bound on a figure"),
    ],
)
def test_a_share_where_it_means_nothing_is_one_line(metric: str, bound: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "kpis.toml"
    recipes = "\n".join(
        f'[workload.w.recipe.{name}]\nruntime = "onnxruntime"\npasses = ["onnx"]' for name in ("fp32", "int8")
    )
    file.write_text(
        f'[machine.m]\ndevice = "cpu"\n[workload.w]\ntask = "image-classification"\nfixture = "f"\n{recipes}\n'
        f'[[kpi]]\nname = "k"\nworkload = "w"\nrecipe = "int8"\nmachine = "m"\n'
        f'targets = {{ "{metric}" = "{bound}" }}\n',
        encoding="utf-8",
    )
    with pytest.raises(SpecError) as error:
        read_spec(file)
    (problem,) = (text for text in error.value.problems if "[[kpi]]" in text)
    assert said in problem


def test_all_pairs_of_neighbouring_looks_are_planned_for_the_same_sizes() -> None:
    for earlier, later in itertools.pairwise(looks_for(SIZES, 0.97, 0.02, 0.9)):
        assert earlier.processes < later.processes
        assert earlier.against <= later.against
        assert earlier.most_keeping <= later.most_keeping
