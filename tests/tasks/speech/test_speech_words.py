"""Word error rate is jiwer's, of the corpus, whichever way it is added up."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError, Unavailable
from harness.core.score_bounds import Scores
from harness.core.units import SHARE
from harness.judge.scoring import _require_alike
from harness.judge.verdict import Verdict, judge_samples
from harness.spec.model import Recipe
from harness.tasks.speech.metrics import Cer, Wer
from harness.tasks.speech.normalization import words
from harness.tasks.speech.scenarios.recognize import Recognized
from harness.tasks.speech.words import word_errors

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


def heard(pairs: list[tuple[str, str]], **chosen: Any) -> Recognized:
    numbers = [str(n) for n in range(len(pairs))]
    return Recognized(numbers, [said for _, said in pairs], [text for text, _ in pairs], **chosen)


def corpus_rate(pairs: list[tuple[str, str]], metric: type[Wer | Cer] = Wer, **chosen: Any) -> float:
    scores = metric.scores(heard(pairs, **chosen), None)
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
    assert (found.substitutions, found.deletions, found.insertions, found.reference) == (1, 1, 1, 6)
    assert found.edits == 3


def test_a_reference_without_a_word_has_no_rate() -> None:
    for reference in ("", "  "):
        with pytest.raises(ValueError, match="empty"):
            word_errors(["a"], [reference])
    with pytest.raises(KpiError, match=r"leaves no word of the reference '\.\.\.'"):
        word_errors(["a"], ["..."])
    with pytest.raises(KpiError, match="leaves no word of the reference 'hmm'"):
        corpus_rate([("hmm", "hmm")], normalization="whisper-english")


# Characters


@pytest.mark.parametrize(
    ("reference", "output", "rate"),
    [
        ("今天天气真好", "今天天气很好", 1 / 6),
        ("今天 天气\uff0c真好。", "今天天气真好", 0),
        ("今日はとても良い天気です", "今日はとても良い天気でした", 2 / 12),
        ("สวัสดีครับ", "สวัสดีครับ", 0),
        ("turn on the light", "turn on the night", 1 / 17),
        ("to day", "today", 1 / 6),
        ("打开 kitchen light", "打开kitchen light", 0),
    ],
)
def test_characters_are_compared_where_words_have_no_spaces(reference: str, output: str, rate: float) -> None:
    assert corpus_rate([(reference, output)], Cer) == pytest.approx(rate)


def test_the_character_rate_of_latin_text_is_jiwers() -> None:
    plain = [(" ".join(words(text)), " ".join(words(said))) for text, said in PAIRS]
    expected = jiwer.cer([text for text, _ in plain], [said for _, said in plain])
    assert corpus_rate(PAIRS, Cer) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("text", ["今天天气真好", "今日は良い天気", "ｶﾀｶﾅ", "สวัสดีครับ", "ສະບາຍດີ", "ជំរាបសួរ", "မင်္ဂလာပါ"])
def test_a_word_rate_of_scripts_without_spaces_is_refused(text: str) -> None:
    with pytest.raises(KpiError, match="written without spaces between words") as caught:
        Wer.check(heard([(text, text), ("on", "on")]), "fp32")
    assert "accuracy.cer" in caught.value.remedy
    Cer.check(heard([(text, text)]), "fp32")


@pytest.mark.parametrize(
    "text", ["turn on", "날씨가 좋네요", "नमस्ते दुनिया", "مرحبا بالعالم", "включи свет", "play 今天 in the hall"]
)
def test_a_word_rate_of_scripts_with_spaces_is_taken(text: str) -> None:
    Wer.check(heard([(text, text)]), "fp32")


# Normalization


def test_figures_are_words_where_the_recipe_chooses_so() -> None:
    turns = ("the coil has fifty turns", "the coil has 50 turns")
    pairs = [turns, ("Doctor Lee paid $20", "dr. lee paid twenty dollars")]
    assert corpus_rate(pairs[:1]) == pytest.approx(1 / 5)
    assert corpus_rate(pairs, normalization="whisper-english") == 0
    assert corpus_rate(pairs, Cer, normalization="whisper-english") == 0
    spelled = {"normalization": "whisper-english", "spelling": {"colour": "color"}}
    assert corpus_rate([("the color", "the colour")], **spelled) == 0
    assert corpus_rate([("the color", "the colour")], normalization="whisper-english") == pytest.approx(1 / 2)


def test_the_evidence_says_how_texts_were_made_comparable() -> None:
    basic, whisper = Wer.scored_with(heard(PAIRS)), Wer.scored_with(heard(PAIRS, normalization="whisper-english"))
    assert basic["normalization"].startswith("NFKC, lower case")
    assert basic["jiwer"] == whisper["jiwer"]
    assert whisper["normalization"].startswith("whisper-english")
    assert whisper["transformers"]
    assert whisper["spelling"] == "not unified"
    spelled = Cer.scored_with(heard(PAIRS, normalization="whisper-english", spelling={"colour": "color"}))
    assert spelled["spelling"].startswith("1 words of the model's normalizer.json")


def test_judging_with_whispers_normalizer_loads_no_torch() -> None:
    script = (
        "import sys; from harness.tasks.speech.normalization import normalizer; "
        "print(normalizer('whisper-english', {})('fifty turns'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "['50', 'turns'] False"


def test_recipes_that_are_scored_differently_are_not_compared() -> None:
    recipes = [Recipe("speech", name, "openvino-genai-speech", {}, ()) for name in ("int8", "fp32")]
    chosen = ({}, {"normalization": "whisper-english"})
    series = [SimpleNamespace(scored_with={Wer.name: Wer.scored_with(heard(PAIRS, **options))}) for options in chosen]
    with pytest.raises(KpiError, match="int8 and fp32 are scored differently: normalization, transformers, spelling"):
        _require_alike(Wer, list(zip(recipes, series, strict=True)))  # type: ignore[arg-type]
    _require_alike(Wer, list(zip(recipes, series[:1] * 2, strict=True)))  # type: ignore[arg-type]


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
    worse, better = [0.2] * 400, [0.1] * 400
    for text, own, other, verdict in (
        ("drop <= 1 pp vs b", worse, better, Verdict.FAIL),
        ("drop <= 1 pp vs b", better, worse, Verdict.PASS),
        ("gain >= 5 pp vs b", better, worse, Verdict.PASS),
        ("gain >= 5 pp vs b", worse, better, Verdict.FAIL),
    ):
        found = judge_samples(parse_bound(text, SHARE), Scores(own, other, (0.0, 1.0)), 0.97, Wer.better)
        assert found.verdict is verdict, text
    assert judge_samples(
        parse_bound("drop <= 1 pp vs b", SHARE), Scores(worse, better, (0.0, 1.0)), 0.97, "lower"
    ).value == (pytest.approx(0.1))
