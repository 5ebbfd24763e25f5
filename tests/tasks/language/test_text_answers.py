"""Text becomes the same tokens everywhere, and outputs that are no answers are counted."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError
from harness.judge.metrics.base import SampleMetric
from harness.tasks.language.metrics.task import AccuracyTask
from harness.tasks.language.metrics.text import Bleu, Chrf, Kl, Meteor, Nll
from harness.tasks.language.scenarios.answer import Answers, scored_part
from harness.tasks.language.scoring import answers, overlap, tokens

texts = st.text(max_size=12)
references = texts.filter(tokens.tokenize)


# Tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("1,000.5 3rd 10km v2", ["1,000.5", "3rd", "10km", "v2"]),
        ("Don\u2019t, o'clock 'x'", ["don't", ",", "o'clock", "'", "x", "'"]),
        ("well-known", ["well", "-", "known"]),
        ("e\u0301te\u0301 ÉTÉ", ["été", "été"]),
        ("wel\u00adcome\u200b\ufeff", ["welcome"]),
        ("नमस्ते דָּג", ["नमस्ते", unicodedata.normalize("NFC", "דָּג")]),
        ("東京です", ["東京です"]),
        ("❤️ 👍🏽 €5", ["❤️", "👍", "🏽", "€", "5"]),
        (" \t\n\u3000", []),
    ],
)
def test_text_is_split_into_words_numbers_and_signs(text: str, expected: list[str]) -> None:
    assert tokens.tokenize(text) == expected


@given(st.text())
def test_tokens_split_again_stay_as_they_are(text: str) -> None:
    once = tokens.tokenize(text)
    assert tokens.tokenize(" ".join(once)) == once
    assert all(token and not any(map(str.isspace, token)) for token in once)


def test_no_mark_lies_where_it_is_not_looked_for() -> None:
    for prefix in ("M", "Cf"):
        everywhere = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c).startswith(prefix)]
        assert tokens._of_category(prefix) == everywhere


@pytest.mark.parametrize("empty", ["", "  \n", "\u200b"])
def test_an_empty_reference_is_named_by_its_index(empty: str) -> None:
    for score in (overlap.chrf, overlap.sentence_bleu, overlap.corpus_bleu, tokens.check_pairs):
        with pytest.raises(ValueError, match="reference 1 is empty"):
            score(["a", "b"], ["a", empty])


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="2 outputs do not pair with 1 references"):
        tokens.check_pairs(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="not one string"):
        tokens.check_pairs("ab", "ab")


# Answers


def checked(outputs: list[str], references: list[str], unfinished: int = 0) -> answers.Answers:
    count = len(outputs)
    prompts = [f"prompt {index}" for index in range(count)]
    return answers.check_answers(prompts, outputs, references, [index < unfinished for index in range(count)])


HUNDRED = [f"the answer number {index} is here" for index in range(100)]


def test_honest_answers_break_nothing() -> None:
    found = checked(HUNDRED, HUNDRED)
    assert found == answers.Answers(100, 0, 0, 0, 0, 0, 0)
    assert found.violations() == []


def test_each_way_to_cheat_is_told_in_one_line() -> None:
    assert checked([" ", "\u200b", *HUNDRED[2:]], HUNDRED).violations() == [
        "2 of 100 outputs (2.0%) are empty; at most 1.0% may"
    ]
    assert checked(HUNDRED, HUNDRED, unfinished=3).violations() == [
        "3 of 100 outputs (3.0%) hit the token limit before they ended; at most 1.0% may"
    ]
    lengths = [f"x{i}" if i < 4 else f"{text} {text} {text} ." if i < 7 else text for i, text in enumerate(HUNDRED)]
    assert checked(lengths, HUNDRED).violations() == [
        (
            "7 of 100 outputs (7.0%) have less than 0.3 or more than 3 times the tokens of their reference; "
            "at most 5.0% may"
        )
    ]
    assert checked(["I do not know the answer"] * 4 + HUNDRED[4:], HUNDRED).violations() == [
        (
            "3 of 100 outputs (3.0%) repeat the answer to another prompt, beyond what the references repeat; "
            "at most 2.0% may"
        )
    ]


def test_at_the_limit_is_allowed() -> None:
    found = checked(["", *HUNDRED[1:]], HUNDRED, unfinished=1)
    assert (found.empty, found.unfinished, found.violations()) == (1, 1, [])
    assert len(found.violations(answers.Limits(empty=0, unfinished=0))) == 2
    ten = " ".join("abcdefghij")
    edges = checked([ten[:5], " ".join([ten] * 3), ten[:3], f"{ten} {ten} {ten} k"], [ten] * 4)
    assert (edges.short, edges.long) == (1, 1)
    with pytest.raises(ValueError, match="empty is a share"):
        answers.Limits(empty=2)


def test_repeats_count_only_where_the_references_do_not() -> None:
    thanks = ["Thank you very much."] * 50
    found = checked(["thank you very much ."] * 50, thanks)
    assert (found.repeated, found.references_repeated, found.violations()) == (49, 49, [])
    # The same prompt asked twice is answered twice.
    again = answers.check_answers(["same"] * 9, ["yes"] * 9, [f"r{index}" for index in range(9)], [False] * 9)
    assert (again.repeated, again.violations(answers.Limits(repeated=0))) == (0, [])


@given(st.lists(st.tuples(st.text(max_size=2), texts, references, st.booleans()), min_size=1, max_size=20))
def test_counts_stay_within_the_outputs_in_any_order(rows: list[tuple[str, str, str, bool]]) -> None:
    found = answers.check_answers(*zip(*rows, strict=True))
    assert found == answers.check_answers(*zip(*reversed(rows), strict=True))
    assert found.outputs == len(rows) >= found.empty + found.short + found.long
    assert all("\n" not in line for line in found.violations())


@pytest.mark.parametrize(
    ("prompts", "outputs", "flags"), [(["p"], [], []), ([], ["a"], [False]), (["p"], ["a"], []), ([], [], [])]
)
def test_what_does_not_fit_together_is_refused(prompts: list[str], outputs: list[str], flags: list[bool]) -> None:
    with pytest.raises(ValueError, match="output"):
        answers.check_answers(prompts, outputs, outputs, flags)


# What may be scored


def require(**changes: object) -> None:
    """A hundred good answers, some of them changed."""
    numbers = [f"number {n}" for n in range(100)]
    plain: dict[str, Any] = {"prompts": numbers, "outputs": numbers, "references": numbers, "ended": [True] * 100}
    answers.require_answers(**{**plain, **changes}, whose="fp32", option="answer.tokens", tokens=128)


def test_one_answer_in_a_hundred_may_be_none() -> None:
    require()
    numbers = [f"number {n}" for n in range(99)]
    require(ended=[False, *[True] * 99])
    require(outputs=["", *numbers])
    require(outputs=["number 1", *numbers])


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"ended": [False] * 2 + [True] * 98}, "2 of 100 answers of fp32 hit 128 tokens", "raise answer.tokens"),
        ({"outputs": ["", " "] + ["a", "b"] * 49}, "2 of 100 answers of fp32 are empty", "compare them with the "),
        ({"outputs": ["", ""] + ["a"] * 98, "after": "</think>"}, "2 of 100 .* have no text after </think>", "raise "),
        ({"outputs": ["yes"] * 100}, "99 of 100 answers of fp32 repeat the answer to another prompt", "compare them"),
    ],
)
def test_answers_that_are_none_are_not_scored(changes: dict[str, object], message: str, remedy: str) -> None:
    with pytest.raises(KpiError, match=message) as caught:
        require(**changes)
    assert caught.value.remedy.startswith(remedy)


def test_what_the_references_repeat_the_answers_may_repeat() -> None:
    labels = ["yes", "no"] * 50
    require(outputs=labels, references=labels)


@pytest.mark.parametrize("metric", [Meteor, Chrf, Bleu, AccuracyTask])
def test_no_score_of_text_is_taken_of_answers_that_were_cut_off(metric: type[SampleMetric]) -> None:
    numbers = [f"number {n}" for n in range(100)]
    cut = Answers(numbers, numbers, [0.1] * 100, [], numbers, [False] * 2 + [True] * 98, [64] * 100)
    with pytest.raises(KpiError, match="2 of 100 answers of int8 hit 64 tokens"):
        metric.check(cut, "int8")
    # Likelihoods are of the references, whatever was answered.
    Nll.check(cut, "int8")
    Kl.check(cut, "int8")


@pytest.mark.parametrize(
    ("text", "scored"),
    [
        ("<think>a cat</think>\n\nthe cat", "the cat"),
        ("a cat</think> a </think>the cat ", "the cat"),
        ("<think>a cat and", ""),
        ("the cat", ""),
    ],
)
def test_what_follows_the_thoughts_is_scored(text: str, scored: str) -> None:
    assert scored_part(text, "</think>") == scored


def test_thoughts_that_are_scored_are_told() -> None:
    texts = ["<think>a</think>b", "c"]
    found = Answers(texts, texts, [0.1] * 2, [], texts, [True] * 2, [4] * 2)
    assert Meteor.remarks(found, None) == ['1 of 2 answers hold </think>: set answer.after = "</think>"']
    assert AccuracyTask.remarks(found, None) == Meteor.remarks(found, None)
    assert Nll.remarks(found, None) == []
