"""Metrics of classifiers, of regression and of any tensors, held against the libraries that people trust."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from harness.workloads.torchvision_compat import import_torchvision


def figure(name: str, outputs: Outputs, reference: Outputs | None = None) -> float:
    metric = metrics()[name]
    assert issubclass(metric, SampleMetric)
    metric.check(outputs, "mine")
    scores = metric.scored(outputs, reference, None).scores
    assert all(np.isfinite(scores))
    return float(np.mean(scores))


def classifier(seed: int, samples: int = 240, kinds: int = 7) -> Outputs:
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, kinds, samples)
    labels[:kinds] = range(kinds)
    logits = chance.normal(0, 1, (samples, kinds)).astype(np.float32)
    logits[np.arange(samples), labels] += 1.5
    return Outputs(logits, labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@given(st.integers(0, 10_000))
@settings(max_examples=4, deadline=None)
def test_classifiers_as_scikit_learn_has_it(seed: int) -> None:
    given_outputs = classifier(seed)
    logits, labels = given_outputs.logits, given_outputs.labels
    shares = softmax(logits)
    wanted = {
        "accuracy.macro_f1": sklearn.metrics.f1_score(labels, logits.argmax(axis=1), average="macro"),
        "accuracy.auc": sklearn.metrics.roc_auc_score(labels, shares, multi_class="ovr"),
        "accuracy.top5": sklearn.metrics.top_k_accuracy_score(labels, logits, k=5),
        "accuracy.top1": sklearn.metrics.accuracy_score(labels, logits.argmax(axis=1)),
    }
    for name, value in wanted.items():
        assert figure(name, given_outputs) == pytest.approx(value, abs=1e-9), name
    # Probabilities in place of logits are the same model.
    probable = Outputs(shares.astype(np.float32), labels)
    for name in ("accuracy.auc", "calibration.error", "accuracy.macro_f1"):
        assert figure(name, probable) == pytest.approx(figure(name, given_outputs), abs=1e-6), name


def test_calibration_as_torchmetrics_has_it() -> None:
    import_torchvision()  # torchmetrics looks at it
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    given_outputs = classifier(3, samples=2000)
    wanted = multiclass_calibration_error(
        torch.tensor(softmax(given_outputs.logits)), torch.tensor(given_outputs.labels), num_classes=7, n_bins=15
    )
    assert figure("calibration.error", given_outputs) == pytest.approx(float(wanted), abs=1e-4)


@pytest.mark.parametrize("columns", [1, 2])
def test_one_decision_has_a_curve_too(columns: int) -> None:
    chance = np.random.default_rng(5)
    labels = chance.integers(0, 2, 300)
    logit = (labels * 2 - 1) * 0.7 + chance.normal(0, 1, 300)
    logits = np.stack([np.zeros(300), logit], axis=1)[:, -columns:].astype(np.float32)
    wanted = sklearn.metrics.roc_auc_score(labels, logit)
    assert figure("accuracy.auc", Outputs(logits, labels)) == pytest.approx(wanted, abs=1e-6)


def test_missing_classes_have_no_curve() -> None:
    given_outputs = classifier(1)
    few = given_outputs.labels < 3
    metric = metrics()["accuracy.auc"]
    assert issubclass(metric, SampleMetric)
    with pytest.raises(KpiError, match="of 7 classes 3 have samples"):
        metric.scored(Outputs(given_outputs.logits[few], given_outputs.labels[few]), None, None)


def test_five_classes_have_no_top_5() -> None:
    with pytest.raises(KpiError, match="five classes or fewer"):
        figure("accuracy.top5", classifier(1, kinds=5))


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 3)])
def test_regression_as_scikit_learn_has_it(shape: tuple[int, ...]) -> None:
    chance = np.random.default_rng(2)
    labels = chance.normal(3, 2, shape)
    answers = (labels + chance.normal(0.1, 0.5, shape)).astype(np.float32)
    given_outputs = Outputs(answers.reshape(200, -1), labels)
    rows = labels.reshape(200, -1), answers.reshape(200, -1).astype(float)
    assert figure("error.mae", given_outputs) == pytest.approx(sklearn.metrics.mean_absolute_error(*rows))
    assert figure("error.rmse", given_outputs) == pytest.approx(sklearn.metrics.mean_squared_error(*rows) ** 0.5)
    assert figure("error.r2", given_outputs) == pytest.approx(sklearn.metrics.r2_score(*rows))


def test_a_drop_of_the_root_mean_square_is_decided() -> None:
    chance, metric = np.random.default_rng(0), metrics()["error.rmse"]
    labels = chance.normal(0, 1, 600)
    base = Outputs((labels + chance.normal(0, 0.1, 600)).astype(np.float32)[:, None], labels)
    found = {}
    for name, answers in (("negated", -base.logits), ("as good", base.logits + np.float32(0.001))):
        assert issubclass(metric, SampleMetric)
        own, other = (metric.scored(outputs, None, None) for outputs in (Outputs(answers, labels), base))
        scores = metric.paired_scores(own.scores, other.scores, own.groups, None)
        found[name] = judge_samples(parse_bound("drop <= 0.1 vs base", metric.dimension), scores, 0.97, "lower").verdict
    assert found == {"negated": Verdict.FAIL, "as good": Verdict.PASS}


def test_labels_that_do_not_fit_are_told() -> None:
    with pytest.raises(KpiError, match="the model answers 3 numbers for each of 4 samples, the labels have 2"):
        figure("error.mae", Outputs(np.zeros((4, 3), np.float32), np.zeros((4, 2))))
    for name in ("error.mae", "error.rmse", "error.r2"):
        with pytest.raises(KpiError, match="the label of sample 1 is NaN"):
            figure(name, Outputs(np.zeros((2, 1), np.float32), np.array([0, np.nan])))
    with pytest.raises(KpiError, match="the same for all samples"):
        figure("error.r2", Outputs(np.zeros((200, 1), np.float32), np.zeros(200)))


def test_parity_of_any_tensors() -> None:
    chance = np.random.default_rng(4)
    other = Outputs(chance.normal(0, 1, (50, 3, 4)).astype(np.float32), np.zeros(50))
    own = Outputs(other.logits * np.float32(1.1), other.labels)
    assert figure("parity.relative_error", own, other) == pytest.approx(0.1, abs=1e-6)
    assert figure("parity.largest_error", own, other) == pytest.approx(0.1, abs=1e-6)
    assert figure("parity.output_cosine", own, other) == pytest.approx(1)
    assert figure("parity.close", own, other) == 0
    assert figure("parity.close", other, other) == 1
    zero = Outputs(np.zeros_like(other.logits), other.labels)
    assert figure("parity.relative_error", zero, zero) == 0
    assert figure("parity.relative_error", other, zero) == 1
    assert figure("parity.output_cosine", zero, zero) == 1
    assert figure("parity.output_cosine", other, zero) == -1
    with pytest.raises(KpiError, match="the outputs have the shape"):
        figure("parity.close", Outputs(other.logits[:, :2], other.labels), other)
