"""Figures of the whole evaluation set: exact on the set, known by groups beyond it, the same for the replay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from harness import SetMetric
from harness.core.bounds import parse_bound
from harness.core.score_bounds import LEAST_GROUPS, Scores, difference_bounds, mean_bounds
from harness.core.units import SHARE
from harness.judge.metrics.mixed import sample_groups
from harness.judge.verdict import Basis, Verdict, judge_samples
from tests.support.replayed import formulas


class F1(SetMetric):
    """The F1 of a class among two; outputs are answers and labels."""

    name = "test.f1"
    title = "F1"
    dimension = SHARE
    better = "higher"

    @classmethod
    def of(cls, outputs: Any, reference: Any, places: Sequence[int]) -> float:
        del reference
        answers, labels = outputs[0][list(places)], outputs[1][list(places)]
        right = float((answers & labels).sum())
        return 2 * right / float(answers.sum() + labels.sum())

    @classmethod
    def count(cls, outputs: Any) -> int:
        return len(outputs[1])


def answers(n: int, wrong: float, seed: int = 1) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = random.random(n) < 0.5
    return labels ^ (random.random(n) < wrong), labels


@pytest.mark.parametrize("n", [7, 150, 1000, 1003])
def test_the_mean_of_the_scores_is_the_figure(n: int) -> None:
    outputs = answers(n, 0.1)
    scored = F1.scored(outputs, None, None)
    assert math.fsum(scored.scores) / n == pytest.approx(F1.of(outputs, None, range(n)), rel=1e-12)
    assert scored.groups is not None
    assert len(set(scored.groups)) == min(n, F1.most_groups)
    assert F1.scores(outputs, None) == list(scored.scores)


def test_groups_are_the_same_for_every_recipe_and_keep_clusters_together() -> None:
    clusters = [place // 3 for place in range(900)]
    groups = sample_groups(900, clusters, 200)
    assert groups == sample_groups(900, clusters, 200)
    assert len(set(groups)) == 200
    assert all(len({groups[place] for place in range(900) if clusters[place] == name}) == 1 for name in range(300))
    sizes = np.bincount(sample_groups(1000, None, 200))
    assert set(sizes.tolist()) == {5}


def compared(n: int, better: float, worse: float) -> Scores:
    own, other = answers(n, worse), answers(n, better)
    ours, theirs = F1.scored(own, None, None), F1.scored(other, None, None)
    return F1.paired_scores(ours.scores, theirs.scores, ours.groups, None)


def test_a_real_drop_is_refuted_and_a_bearable_one_proven() -> None:
    scores = compared(4000, 0.05, 0.15)
    assert judge_samples(parse_bound("drop <= 2 pp vs other", SHARE), scores, 0.97).verdict is Verdict.FAIL
    judged = judge_samples(parse_bound("drop <= 20 pp vs other", SHARE), scores, 0.97)
    assert (judged.verdict, judged.of, judged.n) == (Verdict.PASS, Basis.PAIRED_CLUSTERS, 200)
    assert judged.value == pytest.approx(0.1, abs=0.03)


def test_a_set_on_which_few_answers_differ_proves_nothing() -> None:
    own = answers(2000, 0.05)
    flipped = own[0].copy()
    flipped[:5] ^= True
    ours, theirs = F1.scored((flipped, own[1]), None, None), F1.scored(own, None, None)
    scores = F1.paired_scores(ours.scores, theirs.scores, ours.groups, None)
    assert difference_bounds(scores, 0.97) == (-math.inf, math.inf)
    judged = judge_samples(parse_bound("drop <= 1 pp vs other", SHARE), scores, 0.97)
    assert judged.verdict is Verdict.INCONCLUSIVE
    # A plain bound is about this very set.
    alone = F1.paired_scores(ours.scores, None, ours.groups, None)
    assert judge_samples(parse_bound(">= 90 %", SHARE), alone, 0.97).verdict is Verdict.PASS


def test_few_groups_say_nothing_of_other_data() -> None:
    scored = F1.scored(answers(LEAST_GROUPS - 1, 0.3), None, None)
    assert mean_bounds(F1.paired_scores(scored.scores, None, scored.groups, None), 0.97) == (-math.inf, math.inf)


def test_a_program_of_a_stranger_finds_the_same_bounds() -> None:
    for n, better, worse in ((300, 0.2, 0.3), (4000, 0.05, 0.15), (1000, 0.05, 0.05)):
        scores = compared(n, better, worse)
        assert scores.others is not None
        found = formulas.score_bounds(
            "drop", scores.own, scores.others, scores.ends, 0.97, scores.clusters, None, jackknife=True
        )
        assert found == pytest.approx(difference_bounds(scores, 0.97), rel=1e-7, abs=1e-9)


def test_how_often_a_bound_is_wrong() -> None:
    """The true difference is within its bounds as often as they say, but for the error of 150 simulated sets."""
    truth, wrong, sets = 0.0, [0, 0], 150
    for seed in range(sets):
        random = np.random.default_rng(seed)
        labels = random.random(1500) < 0.5
        own, other = (labels ^ (random.random(1500) < 0.15) for _ in range(2))
        ours, theirs = (F1.scored((said, labels), None, None) for said in (own, other))
        low, high = difference_bounds(F1.paired_scores(ours.scores, theirs.scores, ours.groups, None), 0.97)
        wrong[0] += low > truth
        wrong[1] += high < truth
    assert max(wrong) <= sets * 0.03 + 3 * math.sqrt(sets * 0.03)
