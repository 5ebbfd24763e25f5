"""The errors that reach a user: one line that says what happened, to what, then what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KpiError(Exception):
    """Something went wrong that a person can act on; ``remedy`` says how."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class Unavailable(KpiError):
    """A device, a library, data or weights are not here: nothing is wrong, but nothing can be proven either."""


class FixtureMistake(KpiError):
    """A fixture uses what the harness gives it in a way that can't work; the worker adds the fixture's line."""


class SpecError(KpiError):
    """The file of promises can't be used; ``problems`` holds every mistake found, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __str__(self) -> str:
        return "\n".join(self.problems)


def suggest(name: object, known: Iterable[str], kind: str, *, cutoff: float = 0.5) -> str:
    """Says that ``name`` is no known ``kind``, with the nearest match and what is allowed.

    ``cutoff`` says how alike the nearest must be, from 0 to 1. Of very many names the nearest are listed.
    """
    names, most = sorted(known), 60
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=cutoff)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    listed = names if len(names) <= most else sorted(difflib.get_close_matches(str(name), names, n=most, cutoff=0.0))
    shown = ", ".join(listed) + (f", and {len(names) - most} more" if len(names) > most else "")
    return f'unknown {kind} "{name}"{hint} (allowed: {shown or "none is defined"})'


def first_line(error: Exception) -> str:
    """The first line of a library's message that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
