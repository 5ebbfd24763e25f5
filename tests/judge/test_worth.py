"""A drop from a reference that knows nothing proves nothing: each family of tasks refuses one that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.worth import check_can_fail
from harness.measure.records import Outputs

COUNT = 200
CHANCE = np.random.default_rng(0)
TAGS = {"tags": ["O", "B-PER", "B-LOC"]}
QUANTILES = {"quantiles": [0.1, 0.5, 0.9]}


def boxes(*, found: bool) -> Outputs:
    """A box of one of three classes in each picture; found where it is, or anywhere."""
    drawn: Any
    drawn, said = np.full((COUNT, 1, 7), np.nan), np.full((COUNT, 4, 6), np.nan)
    corners = CHANCE.uniform(0, 60, (COUNT, 2))
    kinds = CHANCE.integers(0, 3, COUNT)
    drawn[:, 0] = np.column_stack([corners, np.full((COUNT, 2), 20), kinds, np.full(COUNT, 400), np.zeros(COUNT)])
    own, kind = (corners, kinds) if found else (CHANCE.uniform(0, 60, (COUNT, 2)), CHANCE.integers(0, 3, COUNT))
    said[:, 0] = np.column_stack([own, np.full((COUNT, 2), 20), CHANCE.random(COUNT), kind])
    return Outputs(said, drawn)


def several(*, found: bool) -> Outputs:
    labels = CHANCE.integers(0, 2, (COUNT, 4))
    return Outputs((labels if found else 0) * 2 + CHANCE.normal(0, 0.5, labels.shape), labels)


def numbers(*, found: bool) -> Outputs:
    labels: Any = CHANCE.normal(5, 2, COUNT)
    return Outputs((labels if found else 5) + CHANCE.normal(0, 0.3, COUNT), labels)


def quantiles(*, found: bool) -> Outputs:
    given = numbers(found=found)
    return Outputs(given.logits[:, None] + np.array([-0.4, 0, 0.4]), given.labels, task=QUANTILES)


def vectors(*, found: bool) -> Outputs:
    who = np.repeat(np.arange(COUNT // 4), 4)
    return Outputs(CHANCE.normal(0, 1, (COUNT, 8)) + (4 * np.eye(COUNT // 4)[who, :8] if found else 0), who)


def words(*, found: bool) -> Outputs:
    labels = CHANCE.choice(3, (COUNT, 6), p=[0.8, 0.1, 0.1])
    return Outputs(
        (np.eye(3)[labels] if found else np.eye(3)[0]) + CHANCE.normal(0, 0.1, (COUNT, 6, 3)), labels, None, TAGS
    )


CASES = {
    "accuracy.map": boxes,
    "accuracy.map50": boxes,
    "accuracy.map50[class=1]": boxes,
    "accuracy.multilabel_f1": several,
    "accuracy.multilabel_f1[class=1]": several,
    "accuracy.multilabel_macro_f1": several,
    "accuracy.multilabel_map": several,
    "accuracy.multilabel_exact_match": several,
    "error.mae": numbers,
    "error.mae[class=1]": numbers,
    "error.rmse": numbers,
    "error.r2": numbers,
    "error.pinball": quantiles,
    "error.mae of quantiles": quantiles,
    "accuracy.recall_at_1": vectors,
    "accuracy.recall_at_5": vectors,
    "accuracy.tokens": words,
    "accuracy.entity_f1": words,
    "parity.tags": words,
}


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_knows_nothing_is_refused_as_a_reference(name: str) -> None:
    of = metric(name.removesuffix(" of quantiles"))
    of.check_compared(CASES[name](found=True), "w/reference")
    with pytest.raises(KpiError, match=r"w/reference .*proves nothing"):
        of.check_compared(CASES[name](found=False), "w/reference")


def test_a_tagger_whose_classes_were_permuted_is_refused() -> None:
    """It finds entities where there are some, with a wrong class for nearly all other words."""
    given = words(found=True)
    permuted = Outputs(given.logits[..., [1, 0, 2]], given.labels, None, TAGS)
    assert metric("accuracy.entity_f1").figure(permuted, None) > 0.1
    with pytest.raises(KpiError, match="always the most frequent class"):
        metric("accuracy.entity_f1").check_compared(permuted, "w/reference")


def test_few_samples_are_not_shuffled() -> None:
    given = boxes(found=False)
    metric("accuracy.map").check_compared(Outputs(given.logits[:10], given.labels[:10]), "w/reference")


def test_the_same_boxes_in_all_pictures_are_refused() -> None:
    given = boxes(found=True)
    same = Outputs(np.repeat(given.logits[:1], COUNT, axis=0), given.labels)
    with pytest.raises(KpiError, match="w/mine answers the same to all 200 samples"):
        metric("accuracy.map").check(same, "w/mine")
    nothing = Outputs(np.full_like(given.logits, np.nan), given.labels)
    metric("accuracy.map").check(nothing, "w/mine")  # finds nothing, and gets what that is worth
    assert metric("accuracy.map").figure(nothing, None) == 0
    alike = Outputs(same.logits, np.repeat(given.labels[:1], COUNT, axis=0))
    metric("accuracy.map").check(alike, "w/mine")


@pytest.mark.parametrize("name", ["parity.relative_error", "parity.close", "parity.output_cosine"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_reference_that_ignores_its_input_is_refused(name: str, value: float) -> None:
    same = Outputs(np.full((50, 4), value), np.zeros(50, int))
    with pytest.raises(KpiError, match="answers the same to all 50 samples"):
        metric(name).check_compared(same, "w/reference")
    # However small the values are: only their differences count.
    metric(name).check_compared(Outputs(CHANCE.normal(0, 1e-9, (50, 4)), same.labels), "w/reference")


@pytest.mark.parametrize(
    ("name", "bound", "mean", "refused"),
    [
        ("accuracy.map", "drop <= 1 pp vs fp32", 0.009, True),
        ("accuracy.map", "drop <= 1 pp vs fp32", 0.01, True),
        ("accuracy.map", "drop < 1 pp vs fp32", 0.01, False),
        ("accuracy.map", "drop <= 1 pp vs fp32", 0.4, False),
        ("accuracy.map", "gain >= 1 pp vs fp32", 0.005, False),
        ("accuracy.map", ">= 99 % of fp32", 0.005, False),
        ("error.eer", "drop <= 10 pp vs fp32", 0.95, True),
        ("error.mae", "drop <= 100 vs fp32", 5.0, False),
        ("accuracy.map[class=1]", "drop <= 1 pp vs fp32", 0.005, False),
    ],
)
def test_a_drop_that_nothing_could_miss_is_refused(name: str, bound: str, mean: float, refused: Any) -> None:
    of, parsed = metric(name), parse_bound(bound, metric(name).dimension)
    if not refused:
        check_can_fail(of, parsed, "w/fp32", mean)
        return
    with pytest.raises(KpiError, match=r"w/fp32 has .* no artifact could miss"):
        check_can_fail(of, parsed, "w/fp32", mean)


def test_outputs_are_looked_at_once_for_all_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target of every class has one metric for each: what is known of the whole set holds for all of them."""
    given, of = several(found=True), metric("accuracy.multilabel_f1")
    of.check_compared(given, "w/reference")
    monkeypatch.setattr(of, "figure", None)
    of.check_compared(given, "w/reference")
    metric("accuracy.multilabel_f1[class=2]").check_compared(given, "w/reference")
