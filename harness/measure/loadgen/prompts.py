"""Prompts of given lengths, and beginnings that keep a server's cache of prefixes from answering for it."""

from __future__ import annotations

import itertools
import random
import re
import secrets
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

_PROMPTS = 16
_DIFFERENT = 1 << 32
"""So many prompts begin differently before one begins as another did."""
_WORD = re.compile(r"\S+")
_WORDS, _LETTERS = 128, 7
_SEED = 1
_numbers = itertools.count(secrets.randbelow(_DIFFERENT))
"""Of the process's requests, from a place that differs between processes: a server remembers what others asked."""


def prompts_of(texts: Sequence[str], words: Sequence[int]) -> dict[int, list[str]]:
    """Sixteen prompts of each length: the texts, one after the other until there are words enough."""
    return {length: list(_joined(texts, length, _PROMPTS)) for length in words}


def _joined(texts: Sequence[str], words: int, count: int) -> Iterator[str]:
    position = 0
    for _ in range(count):
        prompt: list[str] = []
        while len(prompt) < words:
            prompt += texts[position % len(texts)].split()
            position += 1
        yield " ".join(prompt[:words])


class Beginnings:
    """Gives prompts beginnings that differ from each other; caches hold prefixes, so the rest may be the same.

    The first words of a prompt are replaced by frequent words of the ``texts``, so that it has as many words as before
    and about as many tokens. Where it has too few words for that, seven letters are put before its first word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(word for text in texts for word in text.split())
        # Rare words have more tokens: the prompts would get longer.
        self._words = [word for word, _ in counts.most_common(_WORDS)]
        random.Random(_SEED).shuffle(self._words)  # noqa: S311 - an order, not a secret
        self._replaced = 0
        if len(self._words) > 1:
            powers = itertools.accumulate(itertools.repeat(len(self._words)), lambda total, base: total * base)
            self._replaced = next(count for count, total in enumerate(powers, 1) if total >= _DIFFERENT)

    def put(self, prompt: str, number: int) -> str:
        """The prompt with the beginning of that number; numbers below zero count from the last one."""
        rest = number % _DIFFERENT
        places = list(itertools.islice(_WORD.finditer(prompt), self._replaced))
        if not places or len(places) < self._replaced:
            return f"{_digits(rest, string.ascii_lowercase, _LETTERS, '')}{prompt}"
        beginning = _digits(rest, self._words, self._replaced, " ")
        return f"{prompt[: places[0].start()]}{beginning}{prompt[places[-1].end() :]}"


def _digits(number: int, digits: Sequence[str], count: int, between: str) -> str:
    """A number as digits, the first of which changes with each number; each moves those behind it, so that all vary."""
    written, moved = [], 0
    for _ in range(count):
        number, digit = divmod(number, len(digits))
        moved = (digit + 7 * moved) % len(digits)
        written.append(digits[moved])
    return between.join(written)


def served_prompts(prompts: Sequence[str], *, repeat: bool) -> Callable[[int], str]:
    """The prompt of a request by its number: the given ones in turn, with ``repeat`` as they are.

    Else every call gives a beginning that no other call of this process gave.
    """
    if repeat:
        return lambda number: prompts[number % len(prompts)]
    beginnings = Beginnings(prompts)
    return lambda number: beginnings.put(prompts[number % len(prompts)], next(_numbers))
