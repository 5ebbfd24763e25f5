"""Exact match and F1 of extracted answers, as SQuAD defines them.

Sources: P. Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016, section 6.1,
and P. Rajpurkar, R. Jia, P. Liang, "Know What You Don't Know: Unanswerable Questions for SQuAD", ACL 2018; where they
leave a choice, the official script evaluate-v2.0.py decides.

Answers are compared in small letters, without the marks of ASCII punctuation, without the words a, an and the, and with
single spaces.  Exact match is 1 where the results are equal.  F1 is the harmonic mean of precision and recall over
words, a word counting as often as both have it.  Several accepted answers: the best of them counts.  A question without
an answer scores 1 on both for an empty prediction, else 0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_MARKS = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Score:
    """Means over all questions, from 0 to 1."""

    exact_match: float
    f1: float


def normalized(text: str) -> str:
    """What is left of an answer for the comparison."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_MARKS)).split())


def exact_match(prediction: str, accepted: Sequence[str]) -> float:
    """1 if the prediction equals an accepted answer; none is accepted where the question has no answer."""
    return _best(_exact, prediction, accepted)


def f1(prediction: str, accepted: Sequence[str]) -> float:
    """The overlap in words with the accepted answer that has most; none is accepted where there is no answer."""
    return _best(_overlap, prediction, accepted)


def score(predictions: Sequence[str], accepted: Sequence[Sequence[str]]) -> Score:
    """The means over questions."""
    if not predictions or len(predictions) != len(accepted):
        raise ValueError(f"{len(predictions)} predictions do not go with {len(accepted)} questions")
    both = list(zip(predictions, accepted, strict=True))
    return Score(
        sum(exact_match(one, golds) for one, golds in both) / len(both),
        sum(f1(one, golds) for one, golds in both) / len(both),
    )


def _best(compare: Callable[[str, str], float], prediction: str, accepted: Sequence[str]) -> float:
    golds = [gold for gold in map(normalized, accepted) if gold]  # one of articles and marks alone cannot be met
    return max(compare(normalized(prediction), gold) for gold in golds or [""])


def _exact(prediction: str, gold: str) -> float:
    return float(prediction == gold)


def _overlap(prediction: str, gold: str) -> float:
    said, meant = prediction.split(), gold.split()
    if not said or not meant:
        return float(said == meant)
    shared = sum((Counter(said) & Counter(meant)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(meant)
    return 2 * precision * recall / (precision + recall)
