"""Metrics of a part of the samples: their scores, their verdicts, what is said where there are too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples, too_small
from harness.measure.records import Outputs
from harness.spec.checks import target_labels

COUNT = 400
NIGHT = np.arange(COUNT) % 4 == 0


def outputs(right: float, at_night: float, seed: int = 0) -> Outputs:
    """Decisions that are right so often by day, so often at night."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 3, COUNT)
    hit = chance.random(COUNT) < np.where(NIGHT, at_night, right)
    logits = np.zeros((COUNT, 3), np.float32)
    logits[np.arange(COUNT), np.where(hit, labels, (labels + 1) % 3)] = 1
    return Outputs(logits, labels, np.where(NIGHT, "night", "day"))


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


def test_scores_are_those_of_the_slice() -> None:
    given = outputs(0.9, 0.5)
    everything = np.array(metric("accuracy.top1").scores(given, None))
    assert metric("accuracy.top1[slice=night]").scores(given, None) == everything[NIGHT].tolist()
    assert metric("accuracy.top1[class=2]").scores(given, None) == everything[given.labels == 2].tolist()


def test_the_slice_fails_where_the_mean_passes() -> None:
    given, found = outputs(0.97, 0.5), {}
    for name in ("accuracy.top1", "accuracy.top1[slice=night]"):
        scores = metric(name).paired_scores(metric(name).scores(given, None), None, None, None)
        found[name] = judge_samples(parse_bound(">= 80 %", metric(name).dimension), scores, 0.97).verdict
    assert found == {"accuracy.top1": Verdict.PASS, "accuracy.top1[slice=night]": Verdict.FAIL}


def test_too_few_samples_decide_nothing() -> None:
    given = outputs(1.0, 1.0)
    slices = np.where(np.arange(COUNT) < 29, "rare", "common")
    few = Outputs(given.logits, given.labels, slices)
    found = metric("accuracy.top1[slice=rare]")
    scores = found.paired_scores(found.scores(few, None), None, None, None)
    bound = parse_bound(">= 80 %", found.dimension)
    judged = judge_samples(bound, scores, 0.97)
    assert judged.verdict is Verdict.INCONCLUSIVE
    (note,) = too_small(bound, judged, scores, found.dimension)
    assert "29 samples are too few" in note
    assert "at least 30" in note


def test_clusters_follow_into_the_slice() -> None:
    given = outputs(0.9, 0.5)
    clusters = [row // 8 for row in range(COUNT)]
    scored = metric("accuracy.top1[slice=night]").scored(given, None, clusters)
    assert scored.groups == [cluster for row, cluster in enumerate(clusters) if NIGHT[row]]
    # Where each sample of the slice is its own cluster, it counts as one.
    alone = metric("accuracy.top1[slice=night]").scored(given, None, [row // 4 for row in range(COUNT)])
    assert alone.groups is None


def test_parity_compares_the_same_samples() -> None:
    given, other = outputs(0.9, 0.5), outputs(0.9, 0.5, seed=1)
    whole = np.array(metric("parity.agreement").scores(given, other))
    assert metric("parity.agreement[slice=night]").scores(given, other) == whole[NIGHT].tolist()


def test_a_class_may_be_called_by_its_name() -> None:
    given = replace(outputs(0.9, 0.5), classes=("cat", "dog", "2"))
    by_number, by_name = metric("accuracy.top1[class=1]"), metric("accuracy.top1[class=dog]")
    assert by_name.scores(given, None) == by_number.scores(given, None)
    with pytest.raises(KpiError, match=r'no evaluation sample is of class "cow"'):
        metric("accuracy.top1[class=cow]").scores(given, None)


def test_what_is_not_there_is_named() -> None:
    given = outputs(0.9, 0.5)
    with pytest.raises(KpiError, match=r'no evaluation sample is of slice "fog".*there are day, night'):
        metric("accuracy.top1[slice=fog]").scores(given, None)
    with pytest.raises(KpiError, match=r'no evaluation sample is of class "3".*there are 0, 1, 2'):
        metric("accuracy.top1[class=3]").scores(given, None)
    with pytest.raises(KpiError, match="the data name no slices"):
        metric("accuracy.top1[slice=night]").scores(Outputs(given.logits, given.labels), None)


@pytest.mark.parametrize(
    "name", ["latency.p50[slice=night]", "accuracy.wer[slice=a]", "accuracy.top1[by=a]", "x[class=1]"]
)
def test_only_scores_of_evaluate_have_slices(name: str) -> None:
    assert name not in metrics()


def test_labels_keep_the_name_of_the_slice() -> None:
    dimension = metric("accuracy.top1").dimension
    promises = [
        ("accuracy.top1", parse_bound(">= 80 %", dimension)),
        ("accuracy.top1[slice=v1.2]", parse_bound(">= 70 %", dimension)),
    ]
    assert target_labels(promises) == ["top1", "top1[slice=v1.2]"]
