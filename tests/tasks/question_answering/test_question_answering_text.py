"""Extracted answers: how contexts are cut into windows, how spans are read out of logits, how they are scored."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from harness.tasks.question_answering.scoring.spans import Decoded, decode
from harness.tasks.question_answering.scoring.squad import exact_match, f1, normalized, score
from harness.tasks.question_answering.scoring.windows import Features, features

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)

# Prediction, accepted answers, exact match, F1: by hand, from the definition.
CASES = [
    ("the Eiffel Tower", ["Eiffel Tower"], 1, 1),  # articles do not count
    ("Eiffel tower!", ["The Eiffel Tower."], 1, 1),  # nor do marks and capitals
    ("  New \t York\n", ["New York"], 1, 1),  # nor spaces
    ("in Paris, France", ["Paris"], 0, 0.5),  # precision 1/3, recall 1
    ("1,000 men", ["1000"], 0, 2 / 3),  # the comma goes, the word stays: precision 1/2, recall 1
    ("new new york", ["new york york"], 0, 2 / 3),  # of each word as many as both have: 2 of 3
    ("on 3 May 1921", ["May 1921", "3 May 1921", "1921"], 0, 6 / 7),  # 3 of 4 words, all 3 of the second
    ("École Élémentaire", ["école élémentaire"], 1, 1),  # small letters beyond ASCII
    ("\u201cquoted\u201d", ["quoted"], 0, 0),  # marks beyond ASCII stay
    ("x-ray", ["xray"], 1, 1),  # marks are dropped, not made into spaces
    ("", [], 1, 1),  # no answer, none given
    ("something", [], 0, 0),
    ("", ["something"], 0, 0),
    ("the", [], 1, 1),  # nothing is left of it
    ("the", ["an"], 1, 1),  # an answer of articles alone is none
    ("theatre", ["the atre"], 0, 0),  # an article is a word of its own
]


@pytest.mark.parametrize(("prediction", "accepted", "exact", "overlap"), CASES)
def test_scores_follow_from_the_definition(prediction: str, accepted: list[str], exact: float, overlap: float) -> None:
    assert exact_match(prediction, accepted) == exact
    assert f1(prediction, accepted) == pytest.approx(overlap)


def test_the_score_is_the_mean_over_questions() -> None:
    whole = score(["in Paris, France", "", "Rome"], [["Paris"], [], ["the Rome"]])
    assert whole.exact_match == pytest.approx(2 / 3)
    assert whole.f1 == pytest.approx(2.5 / 3)


def test_predictions_must_go_with_questions() -> None:
    with pytest.raises(ValueError, match="1 predictions do not go with 2 questions"):
        score(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="0 predictions"):
        score([], [])


def test_what_is_normalized_stays_so() -> None:
    assert normalized("  The a AN  Theory-of, \u00c4ther. ") == "theoryof \u00e4ther"
    assert normalized(normalized("A b the c")) == "b c"


COUNT = "one two three four five six seven eight nine ten"
WORDS = ["who", "came", "on", "the", "road", *COUNT.split()]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    pieces = {piece: at for at, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    core = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return BertTokenizerFast(tokenizer_object=core)


def cut(tokenizer: Any, *contexts: str, question: str = "Who came") -> Features:
    """Windows of twelve tokens, seven of them the context's, of which two are shared."""
    return features(tokenizer, [question] * len(contexts), contexts, max_length=12, stride=2)


def texts(made: Features, contexts: list[str]) -> list[str]:
    found = []
    for owner, offsets in zip(made.example, made.offsets, strict=True):
        inside = [o for o in offsets if o is not None]
        found.append(contexts[owner][inside[0][0] : inside[-1][1]] if inside else "")
    return found


@needs_transformers
def test_windows_share_as_many_tokens_as_the_stride_says(tokenizer: Any) -> None:
    made = cut(tokenizer, COUNT, "on the road")
    assert texts(made, [COUNT, "on the road"]) == [
        "one two three four five six seven", "six seven eight nine ten", "on the road",
    ]  # fmt: skip
    assert made.example.tolist() == [0, 0, 1]
    for tensor in made.inputs().values():
        assert tensor.dtype == np.int64
        assert tensor.shape == (3, 12)
    assert made.attention_mask.sum(1).tolist() == [12, 10, 8]
    assert made.token_type_ids[2].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert made.input_ids[:, 0].tolist() == [2, 2, 2]
    assert [o is None for o in made.offsets[2]] == [True] * 4 + [False] * 3 + [True] * 5


@needs_transformers
def test_a_context_that_just_fits_takes_one_window(tokenizer: Any) -> None:
    assert len(cut(tokenizer, "one two three four five six seven")) == 1
    assert len(cut(tokenizer, "one two three four five six seven eight")) == 2


@needs_transformers
def test_every_token_of_a_long_context_is_in_a_window(tokenizer: Any) -> None:
    context = " ".join([COUNT] * 20)
    made = cut(tokenizer, context)
    assert len(made) > 20
    seen = {o for offsets in made.offsets for o in offsets if o is not None}
    assert sorted(context[begin:end] for begin, end in seen) == sorted(context.split())


@needs_transformers
def test_an_empty_context_and_no_examples(tokenizer: Any) -> None:
    made = cut(tokenizer, "")
    assert len(made) == 1
    assert made.offsets == ((None,) * 12,)
    none = features(tokenizer, [], [], max_length=12, stride=2)
    assert none.input_ids.shape == (0, 12)


@needs_transformers
def test_a_long_question_leaves_room_for_the_context(tokenizer: Any) -> None:
    made = cut(tokenizer, "on the road", question=COUNT)
    assert texts(made, ["on the road"])[0].startswith("on the")
    with pytest.raises(ValueError, match="leave no room for a question"):
        features(tokenizer, ["who"], ["on"], max_length=12, stride=9)
    with pytest.raises(ValueError, match="do not go with"):
        features(tokenizer, ["who"], [], max_length=12, stride=2)


def logits(made: Features, high: dict[tuple[int, int], float], null: float = 0.0) -> np.ndarray[Any, Any]:
    values = np.full(made.input_ids.shape, -9.0)
    values[:, 0] = null
    for (window, token), value in high.items():
        values[window, token] = value
    return values


def read(made: Features, context: str, start: Any, end: Any, **options: Any) -> Decoded:
    return decode(made.example, made.offsets, [context], start, end, **options)[0]


@needs_transformers
def test_the_best_span_of_all_windows_is_the_answer(tokenizer: Any) -> None:
    made = cut(tokenizer, COUNT)
    start = logits(made, {(0, 5): 2.0, (1, 6): 3.0})
    end = logits(made, {(0, 6): 2.0, (1, 7): 4.0})
    answer = read(made, COUNT, start, end).answer
    assert (answer.text, answer.score) == ("eight nine", 7.0)
    assert COUNT[answer.start : answer.end] == "eight nine"


@needs_transformers
def test_an_answer_across_a_border_is_whole_in_the_other_window(tokenizer: Any) -> None:
    made = cut(tokenizer, COUNT)
    start = logits(made, {(0, 10): 5.0, (1, 5): 5.0})  # seven, in both windows
    end = logits(made, {(1, 7): 5.0, (0, 10): 1.0})  # nine, in the second alone
    found = read(made, COUNT, start, end)
    assert found.answer.text == "seven eight nine"
    assert [a.text for a in found.candidates].count("seven") == 1  # once, though both windows hold it


@needs_transformers
def test_spans_run_forward_and_not_too_far(tokenizer: Any) -> None:
    made = cut(tokenizer, COUNT)
    start = logits(made, {(0, 6): 5.0, (0, 4): 4.0})
    end = logits(made, {(0, 5): 5.0, (0, 9): 2.0})
    assert read(made, COUNT, start, end).answer.text == "one two"  # and not back from three to two
    assert read(made, COUNT, start, end, max_answer_length=1).answer.text != "one two"
    assert all(len(a.text.split()) <= 3 for a in read(made, COUNT, start, end, max_answer_length=3).candidates)
    assert len(read(made, COUNT, start, end, n_best=2).candidates) <= 2


@needs_transformers
def test_empty_is_the_answer_where_no_window_prefers_a_span(tokenizer: Any) -> None:
    made = cut(tokenizer, COUNT)
    start, end = logits(made, {(0, 4): 2.0}, null=3.0), logits(made, {(0, 4): 2.0}, null=3.0)
    found = read(made, COUNT, start, end)
    assert (found.answer.text, found.null_score) == ("", 6.0)
    assert read(made, COUNT, start, end, null_threshold=2.5).answer.text == "one"
    assert read(made, COUNT, start, end, may_be_null=False).answer.text == "one"
    start[1, 0] = -4.0  # the least over the windows counts
    assert read(made, COUNT, start, end).null_score == -1.0
    assert read(made, COUNT, start, end).answer.text == "one"


@needs_transformers
def test_an_empty_context_has_an_empty_answer(tokenizer: Any) -> None:
    made = cut(tokenizer, "")
    flat = logits(made, {})
    found = read(made, "", flat, flat, may_be_null=False)
    assert (found.answer.text, found.candidates) == ("", ())
