"""Several labels a sample, held against scikit-learn: what the answers are, and what is said where they do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from harness.spec.tasks import tasks
from harness.tasks.classification import Labels

NAMES = ("f1", "macro_f1", "map", "exact_match")


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[f"accuracy.multilabel_{name}"]
    assert issubclass(found, SampleMetric)
    return found


def figure(name: str, outputs: Outputs) -> float:
    metric(name).check(outputs, "w/mine")
    scores = metric(name).scored(outputs, None, None).scores
    mean = float(np.mean(scores))
    assert "[" in name or metric(name).figure(outputs, None) == pytest.approx(mean)
    return mean


def tagged(seed: int, samples: int = 300, labels: int = 6, noise: float = 1.0, **task: Any) -> Outputs:
    chance = np.random.default_rng(seed)
    right = (chance.random((samples, labels)) < np.linspace(0.05, 0.6, labels)).astype(np.int64)
    logits = ((2 * right - 1) * 1.2 + chance.normal(0, noise, right.shape)).astype(np.float32)
    return Outputs(logits, right, task=task)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_figures_are_scikit_learns(seed: int, threshold: float, kind: str) -> None:
    found = tagged(seed, threshold=threshold)
    shares = 1 / (1 + np.exp(-found.logits.astype(np.float64)))
    if kind == "probabilities":
        found = Outputs(shares, found.labels, task=found.task)
    decided = shares > threshold
    wanted = {
        "f1": sklearn.metrics.f1_score(found.labels, decided, average="micro"),
        "macro_f1": sklearn.metrics.f1_score(found.labels, decided, average="macro"),
        "map": sklearn.metrics.average_precision_score(found.labels, shares, average="macro"),
        "exact_match": sklearn.metrics.accuracy_score(found.labels, decided),
    }
    for name, value in wanted.items():
        assert figure(name, found) == pytest.approx(value, abs=1e-9), name


def test_labels_that_no_sample_has_are_left_out() -> None:
    found = tagged(1)
    logits = np.concatenate([found.logits, np.full((300, 1), -9, np.float32)], axis=1)
    labels = np.concatenate([found.labels, np.zeros((300, 1), np.int64)], axis=1)
    more = Outputs(logits, labels)
    for name in NAMES:
        assert figure(name, more) == pytest.approx(figure(name, found)), name
    assert metric("map").remarks(more, None) == ["1 of 7 labels are of no evaluation sample: 6"]


def test_one_label_alone() -> None:
    found = tagged(2)
    for place in range(6):
        part = Outputs(found.logits[:, place], found.labels[:, place])
        for name in ("f1", "map"):
            assert figure(f"{name}[class={place}]", found) == pytest.approx(figure(name, part)), name
    with pytest.raises(KpiError, match=r'no evaluation sample is of class "9" \(there are 0, 1, 2, 3, 4, 5\)'):
        figure("f1[class=9]", found)


def test_one_label_of_logits_that_look_like_probabilities() -> None:
    """Each label alone may lie between 0 and 1; all of them say what the answers are."""
    found = tagged(2)
    found.logits[:, 0] = np.abs(found.logits[:, 0]) % 1
    part = metric("f1").class_part(found, "0")
    assert part.task["outputs"] == "logits"
    everything = sklearn.metrics.f1_score(found.labels[:, 0], np.ones(300))
    assert figure("f1[class=0]", found) == pytest.approx(everything)


def test_slices_take_the_settings_along() -> None:
    found = tagged(3, threshold=0.9)
    parts = Outputs(found.logits, found.labels, np.where(np.arange(300) < 150, "a", "b"), found.task)
    first = Outputs(found.logits[:150], found.labels[:150], task=found.task)
    assert figure("f1[slice=a]", parts) == pytest.approx(figure("f1", first))


@pytest.mark.parametrize("name", NAMES)
def test_a_drop_is_proven_and_refused(name: str) -> None:
    good, worse = tagged(4, samples=3000), tagged(4, samples=3000, noise=1.4)
    own, other = (metric(name).scored(one, None, None) for one in (worse, good))
    for text, verdict in (("drop <= 30 pp vs fp32", Verdict.PASS), ("drop <= 0.1 pp vs fp32", Verdict.FAIL)):
        judged = metric(name).paired_scores(own.scores, other.scores, own.groups, None)
        bound = parse_bound(text, metric(name).dimension)
        assert judge_samples(bound, judged, 0.97).verdict is verdict, text


WRONG: dict[str, tuple[Outputs, str]] = {
    "class numbers": (Outputs(np.eye(3), np.array([0, 1, 2])), "hold other values than 0 and 1"),
    "another number": (Outputs(np.eye(3), np.eye(3)[:, :2]), r"answers the shape \(3, 3\), the labels have \(3, 2\)"),
    "shares": (Outputs(np.eye(3), np.eye(3) * 0.5), "hold other values than 0 and 1"),
    "all alike": (Outputs(np.zeros((3, 3)), np.eye(3)), "answers the same to all 3 samples"),
    "no probabilities": (Outputs(np.eye(3) * 4, np.eye(3), task={"outputs": "probabilities"}), "no probabilities"),
}


@pytest.mark.parametrize(("outputs", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(outputs: Outputs, said: str) -> None:
    with pytest.raises(KpiError, match=said):
        metric("f1").check(outputs, "w/mine")


def test_samples_without_any_label() -> None:
    with pytest.raises(KpiError, match="no sample has a label"):
        figure("f1", Outputs(np.random.default_rng(0).normal(0, 1, (5, 3)), np.zeros((5, 3), int)))


def test_settings_of_the_task() -> None:
    assert tasks()["multi-label-classification"].options is Labels
    for wrong in (0.0, 1.0, 2.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Labels(threshold=wrong)


def test_labels_with_one_each_are_noted() -> None:
    found = Outputs(np.random.default_rng(0).normal(0, 1, (40, 4)), np.eye(4)[np.arange(40) % 4])
    assert "exactly one label" in metric("f1").remarks(found, None)[0]
