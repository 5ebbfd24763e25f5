"""Word error rate is jiwer's, of the corpus, whichever way it is added up."""

from __future__ import annotations

import json
import subprocess
import sys

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Unavailable
from harness.metrics.speech import Wer
from harness.scenarios.recognize import Recognized
from harness.targets import parse_promise
from harness.text.words import word_errors, words
from harness.units import SHARE
from harness.verdict import Verdict, judge_samples

PAIRS = [
    ("turn on the kitchen light", "turn on the kitchen light"),
    ("turn off the bedroom lamp", "turn of the bedroom lamp"),
    ("set a timer for twelve minutes", "set timer for twenty minutes"),
    ("call anna", "call call anna now"),
    ("one two three four five", ""),
    ("what is the weather on monday", "what is the weather monday"),
    ("go back four steps", "go forward four four steps"),
    ("play the next song in the hall", "play next song in the whole hall"),
    ("don't open the gate", "don't open the gate"),
    ("seven eight nine", "nine eight seven"),
]
PLAIN = """
import json, sys
import jiwer
references, outputs = json.load(sys.stdin)
print(jiwer.wer(references, outputs))
"""


def corpus_rate(pairs: list[tuple[str, str]]) -> float:
    heard = Recognized([str(n) for n in range(len(pairs))], [said for _, said in pairs], [text for text, _ in pairs])
    scores = Wer.scores(heard, None)
    assert len(scores) == len(pairs)
    return sum(scores) / len(scores)


def test_the_rate_of_ten_transcripts_is_that_of_a_plain_script() -> None:
    given_texts = json.dumps([[text for text, _ in PAIRS], [said for _, said in PAIRS]])
    done = subprocess.run([sys.executable, "-c", PLAIN], input=given_texts, capture_output=True, text=True, check=True)
    assert corpus_rate(PAIRS) == pytest.approx(float(done.stdout), abs=1e-12)
    assert 0.2 < corpus_rate(PAIRS) < 0.6


def test_spelling_that_is_not_heard_does_not_count() -> None:
    assert words("  Turn ON, the light!  ") == ["turn", "on", "the", "light"]
    assert words("don\u2019t 'quote' it's") == ["don't", "quote", "it's"]
    assert words("twenty-one \u2014 $5") == ["twenty", "one", "5"]
    assert words("... !") == []
    assert corpus_rate([("Turn on the light.", "turn on the LIGHT")]) == 0


def test_errors_are_counted_by_kind() -> None:
    (found,) = word_errors(["set timer for twenty minutes please"], ["set a timer for twelve minutes"])
    assert (found.substitutions, found.deletions, found.insertions, found.reference_words) == (1, 1, 1, 6)
    assert found.edits == 3


@pytest.mark.parametrize("reference", ["", "  ", "..."])
def test_a_reference_without_a_word_has_no_rate(reference: str) -> None:
    with pytest.raises(ValueError, match=r"empty|no word"):
        word_errors(["a"], [reference])


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(Unavailable, match=r'pip install "kpi-tests\[speech\]"'):
        word_errors(["a"], ["a"])


word = st.sampled_from(["on", "off", "light", "zero", "nine"])
texts = st.lists(word, min_size=1, max_size=6).map(" ".join)


@given(st.lists(st.tuples(texts, st.one_of(st.just(""), texts)), min_size=1, max_size=8))
def test_the_mean_of_the_scores_is_the_rate_of_the_corpus(pairs: list[tuple[str, str]]) -> None:
    expected = jiwer.wer([text for text, _ in pairs], [said for _, said in pairs])
    assert corpus_rate(pairs) == pytest.approx(expected, abs=1e-9)


def test_more_errors_are_a_drop_and_fewer_a_gain() -> None:
    worse, better = [0.2] * 20, [0.1] * 20
    for text, own, other, verdict in (
        ("drop <= 1 pp vs b", worse, better, Verdict.FAIL),
        ("drop <= 1 pp vs b", better, worse, Verdict.PASS),
        ("gain >= 5 pp vs b", better, worse, Verdict.PASS),
        ("gain >= 5 pp vs b", worse, better, Verdict.FAIL),
    ):
        found = judge_samples(parse_promise(text, SHARE), own, other, 0.97, Wer.better)
        assert found.verdict is verdict, text
    assert judge_samples(parse_promise("drop <= 1 pp vs b", SHARE), worse, better, 0.97, "lower").value == (
        pytest.approx(0.1)
    )
