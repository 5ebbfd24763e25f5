"""The generated questions: the same everywhere, answered where they say so, in the shape of SQuAD 2.0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures import question_answering
from fixtures.question_answering.corpus import DIGESTS, SPLITS, digest, paragraphs, squad

SHIPPED = Path(question_answering.__file__).with_name("squad.json")


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_what_its_digest_says(split: str) -> None:
    assert digest(split) == DIGESTS[split]


def test_the_shipped_file_is_the_evaluation_split() -> None:
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == squad("evaluation")


def test_splits_share_no_context() -> None:
    contexts = {split: {p.context for p in paragraphs(split, min(SPLITS[split], 5_000))} for split in SPLITS}
    assert not contexts["evaluation"] & contexts["tuning"]
    for trained in ("training", "fine_tuning"):
        assert not contexts[trained] & (contexts["evaluation"] | contexts["tuning"])


def test_answers_stand_where_they_are_said_to_stand() -> None:
    asked = unanswered = 0
    for paragraph in paragraphs("evaluation"):
        assert paragraph.context.isprintable()
        for question in paragraph.questions:
            asked += 1
            unanswered += not question.answers
            assert not set("[]{}|") & set(question.text + paragraph.context)
            for text, start in question.answers:
                assert text
                assert paragraph.context[start : start + len(text)] == text
    assert asked == SPLITS["evaluation"]
    assert 0.07 < unanswered / asked < 0.13


def test_questions_have_unique_names_and_say_whether_they_are_impossible() -> None:
    content = squad("tuning")
    questions = [q for article in content["data"] for paragraph in article["paragraphs"] for q in paragraph["qas"]]
    assert len({q["id"] for q in questions}) == len(questions) == SPLITS["tuning"]
    assert all(q["is_impossible"] == (not q["answers"]) for q in questions)


def test_a_split_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no split 'test'; it has evaluation, tuning, fine_tuning, training"):
        next(paragraphs("test"))
