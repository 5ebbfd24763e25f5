"""Two recipes that differ on few samples, or on none: what one sample can do says how far they may be apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.core.bounds import parse_bound
from harness.core.score_bounds import Scores, difference_bounds, ratio_bounds
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.mixed import twice
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from tests.support.replayed import formulas


def metric_of(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


def numbers(n: int) -> Outputs:
    random = np.random.default_rng(n)
    labels = random.normal(0, 3, n)
    return Outputs(labels + random.normal(0, 1, n), labels)  # type: ignore[arg-type]


def classes(n: int) -> Outputs:
    random = np.random.default_rng(n)
    labels = random.integers(0, 4, n)
    return Outputs(np.eye(4)[np.where(random.random(n) < 0.9, labels, (labels + 1) % 4)], labels)


def compared(name: str, own: Outputs, other: Outputs, clusters: list[int] | None = None) -> Scores:
    metric = metric_of(name)
    ours, theirs = (metric.scored(outputs, None, clusters) for outputs in (own, other))
    found = metric.paired_scores(ours.scores, theirs.scores, ours.groups or clusters, None)
    assert found.thin
    return replace(found, effect=metric.effect(other, None, clusters))


def verdict(name: str, bound: str, scores: Scores) -> Verdict:
    metric = metric_of(name)
    return judge_samples(parse_bound(bound, metric.dimension), scores, 0.97, metric.better).verdict


ALIKE = [
    ("accuracy.macro_f1", "drop <= 2 pp vs b", classes),
    ("error.rmse", "drop <= 0.3 vs b", numbers),
    ("error.rmse", "<= 1.3 x b", numbers),
    ("error.mae", "drop <= 0.1 vs b", numbers),
]


@pytest.mark.parametrize(("name", "bound", "made"), ALIKE)
def test_a_conversion_that_changes_nothing_passes_with_enough_samples_alone(
    name: str, bound: str, made: Callable[[int], Outputs]
) -> None:
    many, few = made(1500), made(30)
    assert verdict(name, bound, compared(name, many, many)) is Verdict.PASS
    assert verdict(name, bound, compared(name, few, few)) is Verdict.INCONCLUSIVE


def test_one_answer_in_five_hundred_that_went_wrong_does_not_hinder_it() -> None:
    other = classes(500)
    logits = np.array(other.logits)
    logits[7] = logits[7][::-1]
    scores = compared("accuracy.macro_f1", Outputs(logits, other.labels), other)
    assert verdict("accuracy.macro_f1", "drop <= 3 pp vs b", scores) is Verdict.PASS


@pytest.mark.parametrize("n", [20, 40, 90])
def test_a_model_that_is_broken_fails_on_few_samples(n: int) -> None:
    other = classes(n)
    broken = Outputs(np.roll(other.logits, 1, axis=1), other.labels)
    scores = compared("accuracy.macro_f1", broken, other)
    assert verdict("accuracy.macro_f1", "drop <= 1 pp vs b", scores) is Verdict.FAIL
    assert difference_bounds(replace(scores, effect=math.inf), 0.97) == (-math.inf, math.inf)


def test_the_effect_is_what_the_worst_mixed_up_answer_costs() -> None:
    other = numbers(40)
    both = twice(other)
    assert both is not None
    before, after = np.split(np.abs(both.logits - both.labels), 2)
    assert metric_of("error.mae").effect(other, None, None) == pytest.approx(np.abs(after - before).max() / 40)
    squares, worst = before**2, 0.0
    for place in range(40):
        mixed = squares.copy()
        mixed[place] = after[place] ** 2
        worst = max(worst, abs(math.sqrt(mixed.mean()) - math.sqrt(squares.mean())))
    assert metric_of("error.rmse").effect(other, None, None) == pytest.approx(worst)


def test_no_sample_keeps_its_own_answer() -> None:
    both = twice(Outputs(np.arange(9.0), np.arange(9)))
    assert both is not None
    assert sorted(both.logits[9:]) == sorted(both.logits[:9])
    assert (both.logits[9:] != both.logits[:9]).all()
    assert twice(Outputs(np.zeros(1), np.zeros(1, int))) is None


def test_a_cluster_goes_wrong_as_a_whole() -> None:
    other = numbers(60)
    clusters = [place // 6 for place in range(60)]
    for name in ("error.mae", "error.rmse"):
        alone, together = (metric_of(name).effect(other, None, names) for names in (None, clusters))
        assert together > 1.5 * alone


def test_of_many_samples_those_that_count_most_are_found() -> None:
    labels = np.zeros(1000, int)
    labels[:250], labels[250:500], labels[500:502] = 1, 2, 3
    other = Outputs(np.eye(4)[labels], labels)
    # Half of a class of two samples is a third of its F1, which is a quarter of the whole.
    assert metric_of("accuracy.macro_f1").effect(other, None, None) == pytest.approx(1 / 12, rel=0.02)


@pytest.mark.parametrize("name", ["accuracy.macro_f1", "error.mae", "error.rmse"])
@pytest.mark.parametrize("changed", [0, 3])
def test_a_program_of_a_stranger_finds_the_same_bounds(name: str, changed: int) -> None:
    other = classes(150) if "f1" in name else numbers(150)
    logits = np.array(other.logits)
    logits[:changed] = np.flip(logits[:changed])
    scores = compared(name, Outputs(logits, other.labels), other)
    assert scores.others is not None
    for relation, bounds in (("drop", difference_bounds), ("ratio", ratio_bounds)):
        found = formulas.score_bounds(
            relation,
            scores.own,
            scores.others,
            scores.ends,
            0.97,
            scores.clusters,
            None,
            jackknife=scores.jackknife,
            effect=scores.effect,
        )
        assert found == pytest.approx(bounds(scores, 0.97), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("name", "n"), [("error.mae", 60), ("error.rmse", 800)])
@pytest.mark.parametrize("noise", [1e-7, 1e-3])
def test_rounding_in_each_answer_does_not_hide_that_few_could_go_wrong(name: str, n: int, noise: float) -> None:
    random = np.random.default_rng(5)
    other = numbers(n)
    rounded = Outputs(np.asarray(other.logits) + random.normal(0, noise, n), other.labels)
    metric = metric_of(name)
    least = 3 * metric.effect(other, None, None)
    assert verdict(name, f"drop <= {least} vs b", compared(name, rounded, other)) is Verdict.INCONCLUSIVE
    assert verdict(name, f"drop <= {2 * least} vs b", compared(name, rounded, other)) is Verdict.PASS


def test_labels_that_are_the_answers_of_the_recipe_compared_with_hide_nothing_either() -> None:
    labels = np.random.default_rng(6).normal(0, 3, 100)
    other, rounded = Outputs(labels, labels), Outputs(labels * (1 + 1e-7), labels)
    assert verdict("error.mae", "drop <= 0.01 vs b", compared("error.mae", rounded, other)) is Verdict.INCONCLUSIVE
