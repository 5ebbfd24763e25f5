"""Splits text into lower-case words, numbers and signs, the same way everywhere, for METEOR and for lengths."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

NAME = "kpi-words"
VERSION = "1"  # raise it with every change that gives any text other tokens: scores before and after do not compare


def identity() -> dict[str, str]:
    """The tokenizer's name and version, and the Unicode version whose letters it knows (it comes with Python)."""
    return {"tokenizer": f"{NAME} {VERSION}", "unicode": unicodedata.unidata_version}


def tokenize(text: str) -> list[str]:
    """The tokens of ``text``; none if it holds nothing that can be seen.

    METEOR takes tokens, and moves by points with how they are made. NLTK's own splitters need a data file (Punkt) that
    changes between releases; this one is a single pattern. In order, a token is

    1. a number, with its separators and what hangs on it: ``1,000.5`` ``3rd`` ``10km``;
    2. a word: letters and their marks, apostrophes inside it kept, as BLEU's 13a does: ``don't`` ``o'clock``;
    3. any other visible sign, alone: punctuation counts, so that leaving it out is seen.

    Before that, text is lower-cased and composed (NFC), so that two spellings of one character agree; the typographic
    apostrophe becomes the plain one; format characters (soft hyphen, zero-width space, byte order mark) are dropped.
    A hyphen separates. Chinese, Japanese and Thai are not segmented: a run of their letters is one token (use chrF).
    """
    text = text.lower()
    if not text.isascii():
        # What cannot be seen goes first: it could keep a letter and its accent from being composed.
        text = unicodedata.normalize("NFC", text.translate(_replaced()))
    return _pattern().findall(text)


def check_pairs(outputs: Sequence[str], references: Sequence[str]) -> None:
    """Raises a ValueError unless every output has a reference with at least one token; an output may be empty."""
    if isinstance(outputs, str) or isinstance(references, str):
        raise ValueError("outputs and references are lists of sentences, not one string")  # noqa: TRY004 - one error
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs do not pair with {len(references)} references")
    for index, reference in enumerate(references):
        if not tokenize(reference):
            raise ValueError(f"reference {index} is empty")


@functools.cache
def _pattern() -> re.Pattern[str]:
    # \w knows letters and digits but not the marks that Hindi, Arabic or Hebrew words are written with.
    marks = re.escape("".join(_of_category("M")))
    word = rf"[\w{marks}]"
    return re.compile(rf"\d+(?:[.,]\d+)*{word}*|{word}+(?:'{word}+)*|[^\s\w{marks}][{marks}]*")


@functools.cache
def _replaced() -> dict[int, str]:
    return {ord(character): "" for character in _of_category("Cf")} | {ord("\N{RIGHT SINGLE QUOTATION MARK}"): "'"}


def _of_category(prefix: str) -> list[str]:
    # The planes between hold ideographs, those above private characters; looking through all takes ten times as long.
    every = map(chr, [*range(0x20000), *range(0xE0000, 0xE0200)])
    return [character for character in every if unicodedata.category(character).startswith(prefix)]
