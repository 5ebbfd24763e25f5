"""Reads answers out of what a model says about the beginning and the end of a span."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.floating[Any]]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of the context with the sum of its two logits; empty: the context does not answer."""

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answer that is given, the spans that it was chosen among (the best first), and what empty scored."""

    answer: Answer
    candidates: tuple[Answer, ...]
    null_score: float


def decode(
    example: npt.NDArray[np.int64],
    offsets: Sequence[Sequence[Span | None]],
    contexts: Sequence[str],
    start_logits: Logits,
    end_logits: Logits,
    *,
    n_best: int = 20,
    max_answer_length: int = 30,
    null_threshold: float = 0.0,
    may_be_null: bool = True,
) -> list[Decoded]:
    """An answer for each context, from the logits of all its windows.

    Candidates begin and end at one of the `n_best` tokens of a window with the highest logits and have at most
    `max_answer_length` tokens.  Empty scores what the first token does, in the window where that is least; it is the
    answer where it beats the best span by more than `null_threshold`, unless `may_be_null` is off.
    """
    windows: dict[int, list[int]] = defaultdict(list)
    for window, owner in enumerate(example):
        windows[int(owner)].append(window)
    found = []
    for at, context in enumerate(contexts):
        spans: list[Answer] = []
        null_score = float("inf")
        for window in windows[at]:
            starts, ends = start_logits[window], end_logits[window]
            null_score = min(null_score, float(starts[0]) + float(ends[0]))
            spans += _spans(offsets[window], context, starts, ends, n_best, max_answer_length)
        spans = _distinct(spans)[:n_best]
        empty = Answer("", null_score, 0, 0)
        is_null = not spans or (may_be_null and null_score - spans[0].score > null_threshold)
        found.append(Decoded(empty if is_null else spans[0], tuple(spans), null_score))
    return found


def _best(logits: Logits, offsets: Sequence[Span | None], count: int) -> list[int]:
    order = np.argsort(-np.asarray(logits, np.float64), kind="stable")[:count]
    return [int(token) for token in order if offsets[token] is not None]


def _spans(
    offsets: Sequence[Span | None], context: str, starts: Logits, ends: Logits, n_best: int, longest: int
) -> list[Answer]:
    """The candidates of a window."""
    found = []
    last_tokens = _best(ends, offsets, n_best)
    for first in _best(starts, offsets, n_best):
        for last in last_tokens:
            begin, finish = offsets[first], offsets[last]
            if begin is None or finish is None or not first <= last < first + longest:
                continue
            score = float(starts[first]) + float(ends[last])
            found.append(Answer(context[begin[0] : finish[1]], score, begin[0], finish[1]))
    return found


def _distinct(spans: list[Answer]) -> list[Answer]:
    """The best first; of a span that two windows hold, the better one."""
    kept: dict[Span, Answer] = {}
    for answer in sorted(spans, key=lambda a: -a.score):
        kept.setdefault((answer.start, answer.end), answer)
    return list(kept.values())
