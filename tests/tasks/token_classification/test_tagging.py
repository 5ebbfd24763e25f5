"""Metrics of taggers, held against seqeval and a count by hand; the settings of the task."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2, IOBES

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError, Unavailable
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from harness.tasks.token_classification import Tagging

IOB = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
FULL = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES"))


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


def tagged(seed: int, tags: tuple[str, ...] = IOB, wrong: float = 0.3, n: int = 120, **options: Any) -> Outputs:
    """Random tags of sentences of several lengths, each token's word at every second place."""
    chance = np.random.default_rng(seed)
    labels = np.full((n, 16), -100)
    logits = chance.normal(0, 1e-3, (n, 16, len(tags))).astype(np.float32)
    for row in range(n):
        words = int(chance.integers(1, 9))
        right = chance.integers(0, len(tags), words)
        labels[row, : 2 * words : 2] = right
        said = np.where(chance.random(words) < wrong, chance.integers(0, len(tags), words), right)
        logits[row, np.arange(0, 2 * words, 2), said] += 1
        # As where lengths vary: no label is behind.
        logits[row, 2 * words :] = np.nan
    return Outputs(logits, labels, task={"tags": list(tags), **options})


def sentences(outputs: Outputs) -> tuple[list[list[str]], list[list[str]]]:
    tags = outputs.task["tags"]
    wanted, found = [], []
    for labels, logits in zip(outputs.labels, outputs.logits, strict=True):
        places = np.flatnonzero(labels != -100)
        wanted.append([tags[label] for label in labels[places]])
        found.append([tags[int(np.argmax(logits[place]))] for place in places])
    return wanted, found


@given(st.integers(0, 10_000), st.sampled_from([IOB, FULL]))
@settings(max_examples=20, deadline=None)
def test_entities_as_seqeval_has_them(seed: int, tags: tuple[str, ...]) -> None:
    scheme, kind = ("IOB2", IOB2) if tags is IOB else ("BIOES", IOBES)
    given_outputs = tagged(seed, tags, scheme=scheme)
    found = metric("accuracy.entity_f1")
    assert found.figure(given_outputs, None) == pytest.approx(f1_score(*sentences(given_outputs)))
    strict = tagged(seed, tags, scheme=scheme, strict=True)
    wanted = f1_score(*sentences(strict), mode="strict", scheme=kind)
    assert found.figure(strict, None) == pytest.approx(wanted)
    scores = found.scored(strict, None, None).scores
    assert np.mean(scores) == pytest.approx(wanted)


def test_entities_by_hand() -> None:
    # B-PER I-PER O against B-PER O O; then B-LOC B-PER against B-LOC B-PER: one of three is missed in its bounds.
    labels = np.array([[1, 2, 0], [3, 1, -100]])
    logits = np.eye(5, dtype=np.float32)[np.array([[1, 0, 0], [3, 1, 0]])]
    outputs = Outputs(logits, labels, task={"tags": list(IOB)})
    assert metric("accuracy.entity_f1").figure(outputs, None) == pytest.approx(2 * 2 / (3 + 3))
    assert np.mean(metric("accuracy.tokens").scores(outputs, None)) == pytest.approx(4 / 5)
    # What continues nothing begins an entity, unless that is forbidden.
    loose = Outputs(np.eye(5, dtype=np.float32)[[[2]]], np.array([[1]]), task={"tags": list(IOB)})
    assert metric("accuracy.entity_f1").figure(loose, None) == 1
    strict = Outputs(loose.logits, loose.labels, task={"tags": list(IOB), "strict": True})
    assert metric("accuracy.entity_f1").figure(strict, None) == 0


def test_a_share_of_words_counts_words_and_clusters_are_sentences() -> None:
    outputs, other = tagged(3), tagged(4)
    wanted, found = sentences(outputs)
    right = [a == b for x, y in zip(wanted, found, strict=True) for a, b in zip(x, y, strict=True)]
    scored = metric("accuracy.tokens").scored(outputs, None, None)
    assert np.mean(scored.scores) == pytest.approx(np.mean(right))
    assert scored.weights is not None
    assert sum(scored.weights) == pytest.approx(len(outputs.labels))
    assert max(score - weight for score, weight in zip(scored.scores, scored.weights, strict=True)) < 1e-9
    # Another recipe, of the same labels.
    reference = Outputs(np.where(np.isnan(other.logits), 0, other.logits), outputs.labels, task=outputs.task)
    same = metric("parity.tags").scores(outputs, reference)
    pairs = zip(sentences(outputs)[1], sentences(reference)[1], strict=True)
    assert np.mean(same) == pytest.approx(np.mean([a == b for x, y in pairs for a, b in zip(x, y, strict=True)]))


def test_a_drop_of_the_f1_is_decided() -> None:
    found, verdicts = metric("accuracy.entity_f1"), {}
    base = tagged(1, wrong=0.2, n=1500)
    better, worse = tagged(1, wrong=0.05, n=1500), tagged(1, wrong=0.5, n=1500)
    for name, outputs in (("better", better), ("worse", worse)):
        own, other = (found.scored(one, None, None) for one in (outputs, base))
        scores = found.paired_scores(own.scores, other.scores, own.groups, None)
        verdicts[name] = judge_samples(parse_bound("drop <= 2 pp vs base", found.dimension), scores, 0.97).verdict
    assert verdicts == {"better": Verdict.PASS, "worse": Verdict.FAIL}


def test_slices_are_of_sentences() -> None:
    given_outputs = tagged(5)
    slices = np.where(np.arange(len(given_outputs.labels)) % 2, "news", "chat")
    outputs = Outputs(given_outputs.logits, given_outputs.labels, slices, given_outputs.task)
    part = Outputs(outputs.logits[1::2], outputs.labels[1::2], task=outputs.task)
    for name in ("accuracy.tokens", "accuracy.entity_f1"):
        found = metric(f"{name}[slice=news]").scored(outputs, None, None)
        assert np.mean(found.scores) == pytest.approx(metric(name).figure(part, None))
    with pytest.raises(KpiError, match="samples have several labels each"):
        metric("accuracy.tokens[class=1]").scored(outputs, None, None)


WRONG: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "no tokens": ((4, 5), (4, 6), r"answers \(5,\) for each sample, expected \(tokens, 5\)"),
    "other classes": ((4, 6, 7), (4, 6), "answers 7 classes for each token, tags names 5"),
    "a label a text": ((4, 6, 5), (4,), r'the labels have the shape \(4,\).*words = "tokens"'),
    "other tokens": ((4, 6, 5), (4, 8), r"answers 6 tokens for each sample, the labels have the shape \(4, 8\)"),
}


@pytest.mark.parametrize(("logits", "labels", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(logits: tuple[int, ...], labels: tuple[int, ...], said: str) -> None:
    outputs = Outputs(np.zeros(logits, np.float32), np.zeros(labels, np.int64), task={"tags": list(IOB)})
    for name in ("accuracy.tokens", "accuracy.entity_f1"):
        with pytest.raises(KpiError, match=said):
            metric(name).check(outputs, "mine")


def test_what_no_figure_can_be_of_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    none = Outputs(np.zeros((4, 6, 5), np.float32), np.full((4, 6), -100), task={"tags": list(IOB)})
    with pytest.raises(KpiError, match="no word has a label"):
        metric("accuracy.tokens").check(none, "mine")
    speech = tagged(1, ("NOUN", "VERB"), scheme="none")
    metric("accuracy.tokens").check(speech, "mine")
    with pytest.raises(KpiError, match=r"use accuracy\.tokens"):
        metric("accuracy.entity_f1").check(speech, "mine")
    plain = Outputs(np.zeros((1, 1, 5), np.float32), np.zeros((1, 1), np.int64), task={"tags": list(IOB)})
    assert metric("accuracy.entity_f1").remarks(plain, None) == ["the evaluation samples hold no entity"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "seqeval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(Unavailable, match="pip install seqeval"):
        metric("accuracy.entity_f1").figure(plain, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tags": ["O"]}, "two classes at least"),
        ({"tags": ["O", "B-A", "B-A"]}, 'names "B-A" twice'),
        ({"tags": ["O", "PER"]}, 'tag "PER" is not of the scheme IOB2'),
        ({"tags": ["O", "E-PER"]}, 'tag "E-PER" is not of the scheme IOB2'),
        ({"tags": ["O", "X-PER"], "scheme": "BIOES"}, "which has O, B-NAME, I-NAME, E-NAME, S-NAME"),
    ],
)
def test_tags_must_fit_the_scheme(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tagging(**options)
    assert Tagging(tags=["NOUN", "VERB"], scheme="none").class_names == ("NOUN", "VERB")
