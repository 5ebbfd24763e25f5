"""How often a target was tried already: an undecided gate that is run again turns green by chance, sooner or later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str, str, str]
"""KPI, metric, bound, artifact: what is tried again, on one machine."""

COUNTED, SPENT = "counted", "spent"
CHOICES = (COUNTED, SPENT)


@dataclass(frozen=True)
class Attempts:
    """Attempts before this run on this machine: those that the history knows, and how many somebody says there were."""

    known: Mapping[Key, int] = field(default_factory=dict)
    said: int = 0

    def attempt(self, key: Key) -> int:
        """The number of this attempt, from 1."""
        return 1 + max(self.known.get(key, 0), self.said)

    def to_json(self) -> dict[str, Any]:
        """For a worker of pytest-xdist."""
        return {"known": [[*key, count] for key, count in self.known.items()], "said": self.said}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attempts:
        """The inverse of :meth:`to_json`."""
        return cls({(k, m, b, a): int(count) for k, m, b, a, count in data["known"]}, int(data["said"]))


def confidence_of(attempt: int, confidence: float, attempts: str) -> float:
    """How sure an attempt must be; with ``spent`` the errors of all attempts together stay within 1 - ``confidence``.

    Attempt k may spend 6 / (pi k)^2 of the error, whose sum over all k is 1.
    """
    if attempts == COUNTED:
        return confidence
    return 1 - (1 - confidence) * 6 / (math.pi * attempt) ** 2


def attempt_note(attempt: int, attempts: str) -> Iterator[str]:
    """What a reader must know of a target that was tried before with the same artifact on this machine."""
    if attempt > 1 and attempts == COUNTED:
        yield (
            f"attempt {attempt} with the same artifact, bound and machine: what is run again until it passes proves "
            f'less than it says (attempts = "{SPENT}" in [measure] keeps the promised error over all attempts)'
        )
    elif attempt > 1:
        yield f"attempt {attempt} with the same artifact, bound and machine: it must be surer than the ones before"


def several(name: str, answers: Sequence[tuple[str, str]], attempts: str) -> str:
    """Why no verdict can be picked of several attempts on one machine; empty where they agree, or error was spent.

    ``answers`` are the files with the verdict of each.
    """
    if len({verdict for _, verdict in answers}) < 2 or attempts == SPENT:  # noqa: PLR2004
        return ""
    said = ", ".join(f"{verdict} in {file}" for file, verdict in answers)
    return f'{name}: several attempts on one machine: {said}; give the last alone, or set attempts = "{SPENT}"'
