"""Word errors of transcripts against references, counted by jiwer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from harness.errors import Unavailable
from harness.text.tokens import check_pairs

NORMALIZATION = "NFKC, lower case, punctuation and symbols removed except within words' apostrophes, split at spaces"
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")


@dataclass(frozen=True, slots=True)
class Errors:
    """How one transcript differs from its reference: words put in place of others, left out, put in."""

    substitutions: int
    deletions: int
    insertions: int
    reference_words: int

    @property
    def edits(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def words(text: str) -> list[str]:
    """The words of a text as they are compared; figures are not spelled out."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = _APOSTROPHE.sub("\0", plain)
    letters = (" " if unicodedata.category(c)[0] in "PSZ" else c for c in kept)
    return "".join(letters).replace("\0", "'").split()


def word_errors(outputs: Sequence[str], references: Sequence[str]) -> list[Errors]:
    """The errors of each output; the corpus word error rate is the sum of edits over the sum of reference words.

    Raises a ValueError where lengths differ or a reference holds no word, Unavailable without jiwer.
    Source: jiwer's minimal alignment (Levenshtein 1966, over words).
    """
    try:
        import jiwer
    except ImportError as error:
        raise Unavailable(f"jiwer can't be imported: {error}", 'pip install "kpi-tests[speech]"') from error
    check_pairs(outputs, references)
    found = []
    for output, reference in zip(outputs, references, strict=True):
        expected = words(reference)
        if not expected:
            raise ValueError(f"the reference {reference!r} holds no word")
        made = jiwer.process_words(" ".join(expected), " ".join(words(output)))
        found.append(Errors(made.substitutions, made.deletions, made.insertions, len(expected)))
    return found


def identity() -> dict[str, str]:
    """What the rate depends on beside the texts."""
    return {"jiwer": version("jiwer"), "rapidfuzz": version("rapidfuzz"), "normalization": NORMALIZATION}
