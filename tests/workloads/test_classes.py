"""Classes: what answers and labels must be before they are scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.measure.records import Outputs
from harness.workloads import classes

RANDOM = np.random.default_rng(2)
LABELS = RANDOM.integers(0, 4, 40)
LOGITS = RANDOM.normal(size=(40, 4)) + 6 * np.eye(4)[LABELS]


def test_several_columns_decide_by_the_largest_the_first_of_equal_ones() -> None:
    assert classes.decisions(np.array([[1, 3, 2], [5, 5, 0], [0, 0, 0]])).tolist() == [1, 0, 0]


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_a_single_column_decides_at_zero(shape: Any) -> None:
    assert classes.decisions(np.array([-2.0, 0.0, 1e-3, 7.0]).reshape(shape)).tolist() == [0, 0, 1, 1]


def test_a_healthy_classifier_has_no_fault() -> None:
    made = Outputs(LOGITS, LABELS)
    classes.check_outputs(made, "w/fp32")
    classes.check_better_than_guessing(made, "w/fp32")
    assert classes.remarks(made) == []


@pytest.mark.parametrize("logits", [LOGITS[:, :1] - 3, LOGITS[:, 0] - 3])
def test_a_single_logit_is_a_classifier_of_two(logits: Any) -> None:
    classes.check_outputs(Outputs(logits, LABELS % 2), "w/fp32")


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (LOGITS, LABELS + 1, r"w/int8 answers: sample \d+ has 4, allowed are 0 to 3"),
        (LOGITS, LABELS - 1, r"has -1, allowed are 0 to 3"),
        (LOGITS, np.eye(4, dtype=int)[LABELS], "one-hot"),
        (LOGITS, LABELS * 1.5, "of type float64, class numbers are needed"),
        (LOGITS, LABELS.astype(float), "class numbers are needed"),
        (LOGITS, LABELS.astype(str), "class numbers are needed"),
        (LOGITS, LABELS[:30], r"the shape \(30,\), the samples are 40"),
        (LOGITS[:, :, None], LABELS, "a classifier answers"),
        (1 / (1 + np.exp(-LOGITS[:, :1])), LABELS % 2, "as probabilities are"),
        (LOGITS[:, :1] - 3, LABELS, "not among the 2 classes"),
        (np.zeros((40, 4)), LABELS, "answers the same to all 40 samples"),
        (np.tile(LOGITS[:1], (40, 1)), LABELS, "answers the same to all 40 samples"),
    ],
)
def test_what_can_not_be_scored_is_named(logits: Any, labels: Any, said: str) -> None:
    with pytest.raises(KpiError, match=said) as caught:
        classes.check_outputs(Outputs(logits, labels), "w/int8")
    assert caught.value.remedy


@pytest.mark.parametrize("share", [0.0, 0.25, 0.3])
def test_a_reference_that_guesses_proves_nothing(share: float) -> None:
    random = np.random.default_rng(7)
    labels = random.integers(0, 4, 400)
    right = random.random(400) < share
    decided = np.where(right, labels, (labels + random.integers(1, 4, 400)) % 4)
    with pytest.raises(KpiError, match=r"w/fp32 is right on .* proves nothing"):
        classes.check_better_than_guessing(Outputs(np.eye(4)[decided], labels), "w/fp32")


def test_a_frequent_class_is_what_guessing_is_measured_by() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    with pytest.raises(KpiError, match="right on 90 % of the samples, always the most frequent class would be on 90 %"):
        classes.check_better_than_guessing(Outputs(np.eye(2)[[0] * 100], labels), "w/fp32")


def test_classes_without_a_sample_are_named() -> None:
    assert classes.remarks(Outputs(LOGITS, np.minimum(LABELS, 2))) == [
        "1 of 4 classes have no evaluation sample: 3",
    ]


def test_answers_that_are_no_better_than_one_class_are_noted() -> None:
    """A bound below what always the same class gets is kept by a model that knows nothing."""
    labels = np.array([0] * 70 + [1] * 30)
    nearly = np.column_stack([np.ones(100), np.linspace(0, 0.5, 100)])
    assert classes.remarks(Outputs(nearly, labels)) == [
        "right on 70 % of the samples, always the most frequent class would be on 70 %"
    ]
    assert classes.remarks(Outputs(np.eye(2)[labels], labels)) == []
