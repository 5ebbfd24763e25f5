"""Cuts questions with their contexts into windows of tokens, the way BERT's reference code for SQuAD does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Span = tuple[int, int]
MAX_QUESTION = 64
"""Tokens of a question that are kept, as in the reference code."""


@dataclass(frozen=True, slots=True)
class Features:
    """Windows of all examples, one after the other; a long context takes several, which overlap."""

    input_ids: Ids
    attention_mask: Ids
    token_type_ids: Ids
    example: Ids
    """Which example a window belongs to."""
    offsets: tuple[tuple[Span | None, ...], ...]
    """For each token of a window its span of characters in the context; None outside the context."""

    def __len__(self) -> int:
        return len(self.input_ids)

    def inputs(self) -> dict[str, Ids]:
        """The tensors by the names that a BERT gives them."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        return {name: getattr(self, name) for name in names}


def features(
    tokenizer: Any, questions: Sequence[str], contexts: Sequence[str], *, max_length: int, stride: int
) -> Features:
    """The windows of the examples, padded to one length.

    The tokenizer is a fast one of transformers.  `stride` counts the tokens of a context that two windows share.
    """
    if len(questions) != len(contexts):
        raise ValueError(f"{len(questions)} questions do not go with {len(contexts)} contexts")
    kept = min(MAX_QUESTION, max_length - stride - 4)  # three marks, and a window must go on by a token
    if kept < 1:
        raise ValueError(f"windows of {max_length} tokens that share {stride} leave no room for a question")
    if not questions:
        empty = np.zeros((0, max_length), np.int64)
        return Features(empty, empty, empty, np.zeros(0, np.int64), ())
    cut = tokenizer(
        [_shortened(tokenizer, question.strip(), kept) for question in questions],
        list(contexts),
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        padding="max_length",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    offsets = tuple(
        tuple(
            (int(start), int(end)) if part == 1 else None
            for (start, end), part in zip(spans, cut.sequence_ids(window), strict=True)
        )
        for window, spans in enumerate(cut["offset_mapping"])
    )
    return Features(
        np.asarray(cut["input_ids"], np.int64),
        np.asarray(cut["attention_mask"], np.int64),
        np.asarray(cut["token_type_ids"], np.int64),
        np.asarray(cut["overflow_to_sample_mapping"], np.int64),
        offsets,
    )


def _shortened(tokenizer: Any, question: str, tokens: int) -> str:
    """The question, or as much of it as so many tokens hold."""
    spans = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return question if len(spans) <= tokens else question[: spans[tokens - 1][1]]
