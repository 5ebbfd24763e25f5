"""Scores of generated text are those of the libraries they name, and say what they depend on."""

from __future__ import annotations

import importlib.util
import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.tasks.language.scoring import meteor, overlap, results, tokens, wordnet
from harness.tasks.language.scoring.wordnet import WordNet
from tests.support.dictionary import OUTPUTS, PAIRS, REFERENCES, lay_out, run

needs_sacrebleu = pytest.mark.skipif(importlib.util.find_spec("sacrebleu") is None, reason="sacrebleu is not installed")

words = st.sampled_from(["the", "a", "doctor", "physician", "starts", "began", "fast,", "3.5", "don't", "東京", "नमस्ते"])
sentences = st.lists(words, min_size=1, max_size=12).map(" ".join) | st.text(max_size=30).filter(tokens.tokenize)


@pytest.fixture(scope="session")
def words_known() -> WordNet:
    pytest.importorskip("nltk")
    return wordnet.load()


@pytest.mark.parametrize(("library", "call"), [("nltk", "wordnet.load()"), ("sacrebleu", "overlap.chrf(['a'], ['a'])")])
def test_without_the_library_one_line_says_what_to_do(library: str, call: str) -> None:
    program = (
        f"import sys\nsys.modules[{library!r}] = None\n"
        "from harness.tasks.language.scoring import answers, meteor, overlap, wordnet\n"
        f"try: {call}\nexcept Exception as missing: print(type(missing).__name__, missing.remedy)\n"
    )
    assert run(program) == f"Unavailable pip install {library}\n"


def test_importing_loads_no_library() -> None:
    program = "import sys\nfrom harness.tasks.language.scoring import answers, meteor, overlap\nprint(*{*sys.modules})"
    assert not {"nltk", "sacrebleu", "numpy"} & {*run(program).split()}


# METEOR


def test_meteor_is_what_a_plain_script_computes(words_known: WordNet, tmp_path: Path) -> None:
    script = (
        "import json, sys\n"
        "from nltk.translate.meteor_score import single_meteor_score\n"
        "print(json.dumps([single_meteor_score(r, o) for o, r in json.load(sys.stdin)]))\n"
    )
    pairs = [[tokens.tokenize(output), tokens.tokenize(reference)] for output, reference in PAIRS]
    plain = json.loads(run(script, json.dumps(pairs), NLTK_DATA=str(lay_out(tmp_path))))
    assert meteor.scores(OUTPUTS, REFERENCES, words_known) == plain


def test_synonyms_count(words_known: WordNet) -> None:
    # Six tokens, all matched, in one chunk.
    assert meteor.scores(OUTPUTS[:1], REFERENCES[:1], words_known) == pytest.approx([1 - 0.5 / 6**3])
    alone = [("physician", "doctor"), ("car", "automobile"), ("car", "doctor"), ("", "doctor"), (" ", "a b")]
    # NLTK looks synonyms up by stem: "automobil" is not a word of WordNet's.
    assert meteor.scores(*zip(*alone, strict=True), words_known) == [0.5, 0.0, 0.0, 0.0, 0.0]


def test_the_figure_in_nltks_manual(words_known: WordNet) -> None:
    output = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert meteor.scores([output], [reference], words_known) == [pytest.approx(0.6944, abs=5e-5)]


def test_meteor_refuses_an_empty_reference(words_known: WordNet) -> None:
    with pytest.raises(ValueError, match="reference 2 is empty"):
        meteor.scores(["a", "b", "c"], ["a", "b", " "], words_known)
    assert meteor.scores([], [], words_known) == []


def test_meteors_identity_is_pinned(words_known: WordNet) -> None:
    import nltk

    assert words_known.version in {"3.0", "3.1"}
    assert meteor.identity(words_known) == {
        "implementation": "nltk.translate.meteor_score.single_meteor_score",
        "nltk": nltk.__version__,
        "parameters": "alpha=0.9 beta=3.0 gamma=0.5",
        "stemmer": "Porter (NLTK_EXTENSIONS)",
        "tokenizer": "kpi-words 1",
        "unicode": unicodedata.unidata_version,
        "wordnet": words_known.version,
        "wordnet_sha256": words_known.digest,
        "wordnet_origin": words_known.origin,
    }


@pytest.fixture(scope="session")
def meteor_of(words_known: WordNet) -> Callable[[list[str], list[str]], list[float]]:
    return lambda outputs, references: meteor.scores(outputs, references, words_known)


# hypothesis asks for fixtures that outlive an example; this one lives as long as the session.
@given(
    pairs=st.lists(st.tuples(sentences | st.just(""), sentences), max_size=6), seed=st.randoms(use_true_random=False)
)
def test_meteor_is_a_share_and_each_pairs_own(
    meteor_of: Callable[[list[str], list[str]], list[float]], pairs: list[tuple[str, str]], seed: random.Random
) -> None:
    scores = meteor_of([output for output, _ in pairs], [reference for _, reference in pairs])
    assert all(0 <= score <= 1 for score in scores)
    order = seed.sample(range(len(pairs)), len(pairs))
    assert meteor_of([pairs[i][0] for i in order], [pairs[i][1] for i in order]) == [scores[i] for i in order]


@given(sentence=st.lists(words, min_size=8, max_size=40).map(" ".join))
def test_a_long_sentence_matches_itself(
    meteor_of: Callable[[list[str], list[str]], list[float]], sentence: str
) -> None:
    assert meteor_of([sentence], [sentence]) == [pytest.approx(1 - 0.5 / len(tokens.tokenize(sentence)) ** 3)]


def test_ten_thousand_pairs_are_scored(words_known: WordNet) -> None:
    chosen = random.Random(0)  # noqa: S311 - nothing is secret here
    vocabulary = " ".join(OUTPUTS + REFERENCES).split()
    texts = [" ".join(chosen.choices(vocabulary, k=6)) for _ in range(20_000)]
    scores = meteor.scores(texts[::2], texts[1::2], words_known)
    assert len(scores) == 10_000
    assert 0 <= min(scores) < max(scores) <= 1


# chrF and BLEU


@needs_sacrebleu
def test_overlap_is_sacrebleus() -> None:
    import sacrebleu

    chrf = [sacrebleu.sentence_chrf(output, [reference]).score / 100 for output, reference in PAIRS]
    bleu = [sacrebleu.sentence_bleu(output, [reference]).score / 100 for output, reference in PAIRS]
    assert overlap.chrf(OUTPUTS, REFERENCES) == pytest.approx(chrf)
    assert overlap.sentence_bleu(OUTPUTS, REFERENCES) == pytest.approx(bleu)
    whole = sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score / 100
    assert overlap.corpus_bleu(OUTPUTS, REFERENCES) == pytest.approx(whole)
    assert 0 < whole < 1


@needs_sacrebleu
def test_overlaps_identity_is_pinned() -> None:
    import sacrebleu

    version = f"version:{sacrebleu.__version__}"
    assert overlap.identity() == {
        "chrf": f"chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}",
        "sentence_bleu": f"BLEU|nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|{version}",
        "corpus_bleu": f"BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}",
    }


@needs_sacrebleu
@given(st.lists(st.tuples(sentences | st.just(""), sentences), min_size=1, max_size=5))
def test_overlap_is_a_share_and_each_pairs_own(pairs: list[tuple[str, str]]) -> None:
    outputs, references = [output for output, _ in pairs], [reference for _, reference in pairs]
    for score in (overlap.chrf, overlap.sentence_bleu):
        scores = score(outputs, references)
        assert all(0 <= value <= 1 for value in scores)
        assert score(outputs[::-1], references[::-1]) == scores[::-1]
    assert 0 <= overlap.corpus_bleu(outputs, references) <= 1


@needs_sacrebleu
def test_what_is_equal_or_empty_scores_exactly() -> None:
    for score in (overlap.chrf, overlap.sentence_bleu):
        assert score(["The cat sat on the mat.", "", "été 東京"], ["The cat sat on the mat.", "x", "été 東京"]) == [
            1,
            0,
            1,
        ]
    assert overlap.corpus_bleu(REFERENCES, REFERENCES) == 1
    assert overlap.chrf([], []) == overlap.sentence_bleu([], []) == []
    with pytest.raises(ValueError, match="no outputs"):
        overlap.corpus_bleu([], [])


@needs_sacrebleu
def test_a_file_of_answers_that_were_cut_off_says_so(words_known: WordNet, tmp_path: Path) -> None:
    assert words_known is not None
    lines = [{"output": output, "reference": reference} for output, reference in PAIRS]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(lines), encoding="utf-8")
    assert not {"cut off", "empty"} & dict(results.score(file)).keys()
    lines[0] |= {"ended": False}
    lines[1] |= {"ended": True, "output": " "}
    file.write_text(json.dumps(lines), encoding="utf-8")
    found = dict(results.score(file))
    assert found["cut off"].startswith(f"1 of {len(PAIRS)} answers hit the token limit")
    assert found["empty"] == f"1 of {len(PAIRS)} answers"
