"""Word and character errors of transcripts against references, counted by jiwer."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.tasks.language.scoring.tokens import check_pairs
from harness.tasks.speech.normalization import Normalize, words

_UNSPACED = frozenset(
    {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "YI", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"}
    | {"IDEOGRAPHIC", "BALINESE", "JAVANESE", "SUNDANESE", "TAI", "NEW"}
)
"""First words of the Unicode names of letters that are written without spaces between words."""
_MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Errors:
    """How one transcript differs from its reference: what was put in place of others, left out, put in.

    All count the same units, words or characters; ``reference`` is how many of them the reference has.
    """

    substitutions: int
    deletions: int
    insertions: int
    reference: int

    @property
    def edits(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def word_errors(outputs: Sequence[str], references: Sequence[str], normalize: Normalize = words) -> list[Errors]:
    """The errors of each output in words; the corpus rate is the sum of edits over the sum of reference words.

    Raises a ValueError where lengths differ or a reference is empty, KpiError where ``normalize`` leaves nothing of
    one, Unavailable without jiwer. Source: jiwer's minimal alignment (Levenshtein 1966).
    """
    jiwer = _jiwer()
    found = []
    for output, reference in _normalized(outputs, references, normalize):
        made = jiwer.process_words(" ".join(reference), " ".join(output))
        found.append(Errors(made.substitutions, made.deletions, made.insertions, len(reference)))
    return found


def character_errors(outputs: Sequence[str], references: Sequence[str], normalize: Normalize = words) -> list[Errors]:
    """The same in characters (Unicode code points).

    The space between words counts as one, except next to letters of scripts that are written without spaces.
    """
    jiwer = _jiwer()
    found = []
    for output, reference in _normalized(outputs, references, normalize):
        expected = _joined(reference)
        made = jiwer.process_characters(expected, _joined(output))
        found.append(Errors(made.substitutions, made.deletions, made.insertions, len(expected)))
    return found


def unspaced_share(texts: Sequence[str]) -> float:
    """The share of the letters, in 0..1, that belong to scripts written without spaces between words."""
    letters = [c for text in texts for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c)[0] == "L"]
    return sum(map(_unspaced, letters)) / len(letters) if letters else 0.0


def require_words(references: Sequence[str]) -> None:
    """KpiError where most of the references are written without spaces: a sentence would count as one word."""
    share = unspaced_share(references)
    if share > _MOSTLY:
        raise KpiError(
            f"{share:.0%} of the references' letters are written without spaces between words, so a word error rate "
            "would count sentences",
            'promise "accuracy.cer" instead',
        )


def identity() -> dict[str, str]:
    """What counting depends on, besides the normalization."""
    return {"jiwer": version("jiwer"), "rapidfuzz": version("rapidfuzz")}


def _jiwer() -> Any:
    return require("jiwer", '"kpi-tests[speech]"')


def _normalized(
    outputs: Sequence[str], references: Sequence[str], normalize: Normalize
) -> list[tuple[list[str], list[str]]]:
    check_pairs(outputs, references)
    pairs = []
    for output, reference in zip(outputs, references, strict=True):
        expected = normalize(reference)
        if not expected:
            raise KpiError(
                f"the normalization leaves no word of the reference {reference[:60]!r}",
                'remove the recording, or choose recognize.normalization = "basic"',
            )
        pairs.append((normalize(output), expected))
    return pairs


def _joined(found: Sequence[str]) -> str:
    """Words in a row, a space between two unless one of the letters next to it is of a script without spaces."""
    text = ""
    for word in found:
        between = " " if text and not (_unspaced(text[-1]) or _unspaced(word[0])) else ""
        text += between + word
    return text


@cache
def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").partition(" ")[0] in _UNSPACED
