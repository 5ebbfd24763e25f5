"""Scores a ``results.json``: answers that were written here, or on another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.core.score_bounds import Scores, mean_bounds
from harness.tasks.language.scoring import meteor, overlap, wordnet

_CONFIDENCE = 0.97


def score(file: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each score: means with one-sided 97 % bounds, then what they were computed with.

    Raises KpiError when the file is not a list of objects with ``output`` and ``reference``, Unavailable without
    WordNet.
    """
    outputs, references, cut_off = _read(file)
    words = wordnet.load()
    for name, scores in (
        ("METEOR", meteor.scores(outputs, references, words)),
        ("chrF", overlap.chrf(outputs, references)),
        ("sentence BLEU", overlap.sentence_bleu(outputs, references)),
    ):
        low, high = mean_bounds(Scores(scores, ends=(0.0, 1.0)), _CONFIDENCE)
        yield name, f"{sum(scores) / len(scores):.4f} ({low:.4f} to {high:.4f}), {len(scores)} answers"
    if cut_off:
        yield "cut off", f"{cut_off} of {len(outputs)} answers hit the token limit: the scores say little of the model"
    if empty := sum(not output.strip() for output in outputs):
        yield "empty", f"{empty} of {len(outputs)} answers"
    yield "corpus BLEU", f"{overlap.corpus_bleu(outputs, references):.4f}"
    yield from (meteor.identity(words) | overlap.identity()).items()


def _read(file: Path) -> tuple[list[str], list[str], int]:
    """Outputs, references, and how many outputs did not come to their end, as far as the file says it."""
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise KpiError(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise KpiError(f"{file.name} is not JSON", "was it cut off?") from None
    if not isinstance(data, list) or not data:
        raise KpiError(f"{file.name} is not a list of answers", 'expected [{"output": "...", "reference": "..."}, ...]')
    pairs = []
    for number, entry in enumerate(data, 1):
        pair = [entry.get(key) if isinstance(entry, dict) else None for key in ("output", "reference")]
        if not all(isinstance(text, str) for text in pair) or not str(pair[1]).strip():
            raise KpiError(f"{file.name}: answer {number} lacks an output or a reference")
        pairs.append(pair)
    cut_off = sum(entry.get("ended") is False for entry in data)
    return [str(output) for output, _ in pairs], [str(reference) for _, reference in pairs], cut_off
