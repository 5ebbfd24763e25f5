"""Scores lines of slots, such as ``book; from: Oslo; day: Friday``: how many are given exactly."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.errors import KpiError

TITLE = ""
"""The name under which a line's title, its one part without a colon, counts as a slot."""


def read_line(text: str) -> dict[str, frozenset[str]]:
    """The slots of a line: parts between semicolons, each ``name: value``, or the line's title.

    Case and white space around and between words do not count, nor does a full stop at the very end. A slot that
    is given twice has both values.
    """
    found: dict[str, frozenset[str]] = {}
    for part in text.strip().removesuffix(".").split(";"):
        name, colon, value = part.partition(":")
        key = _plain(name) if colon else TITLE
        said = _plain(value if colon else name)
        if said or colon:
            found[key] = found.get(key, frozenset()) | {said}
    return found


def slot_scores(outputs: Sequence[str], references: Sequence[str]) -> list[float]:
    """For each output the share of its reference's slots that it gives exactly, in 0..1.

    Formula: right / (slots of the reference + slots that it lacks and the output has): a slot that was made up counts
    like one that is wrong. A slot with two values is wrong. Of dialogue state tracking's measures this is slot
    accuracy over the slots that occur (Wu et al. 2019 count those that don't, too, which flatters).
    Raises KpiError when a reference has no slot.
    """
    if len(outputs) != len(references):
        raise KpiError(f"{len(outputs)} outputs for {len(references)} references")
    wanted = [_wanted(reference, number) for number, reference in enumerate(references, 1)]
    return [_score(read_line(output), slots) for output, slots in zip(outputs, wanted, strict=True)]


def _wanted(reference: str, number: int) -> dict[str, frozenset[str]]:
    found = read_line(reference)
    if not found.keys() - {TITLE}:
        raise KpiError(
            f'reference {number} has no slot: "{" ".join(reference.split())[:60]}"',
            'write references such as "book; from: Oslo; day: Friday", or judge by accuracy.chrf',
        )
    if twice := [name for name, values in found.items() if len(values) > 1]:
        raise KpiError(f'reference {number} has two values for "{twice[0]}"', "keep the one that is right")
    return found


def _score(said: dict[str, frozenset[str]], wanted: dict[str, frozenset[str]]) -> float:
    right = sum(said.get(name) == values for name, values in wanted.items())
    return right / (len(wanted) + len(said.keys() - wanted.keys()))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
