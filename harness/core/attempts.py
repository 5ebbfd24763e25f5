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


@dataclass(frozen=True, slots=True)
class Try:
    """One file's answer to a target: its ``verdict``, which ``attempt`` it says it was, when and on which machine."""

    file: str
    verdict: str
    attempt: int
    started: str
    machine: str


def several(name: str, tries: Sequence[Try], attempts: str) -> str:
    """Why no verdict can be picked of several attempts at a target; empty where they agree, or error was spent.

    With ``counted`` attempts that differ prove nothing, on one machine or, where one says that it is a second attempt,
    on several. With ``spent`` a PASS counts that was judged as surely as the attempts before it on its machine ask.
    """
    if attempts == COUNTED:
        joined = any(one.attempt > 1 for one in tries)
        for machine in dict.fromkeys(one.machine for one in tries):
            own = [one for one in tries if joined or one.machine == machine]
            if len({one.verdict for one in own}) > 1:
                said = ", ".join(f"{one.verdict} in {one.file}" for one in own)
                where = " on one machine" if len({one.machine for one in own}) == 1 else ""
                return f'{name}: several attempts{where}: {said}; give the last alone, or set attempts = "{SPENT}"'
        return ""
    bought = ""
    for one in tries:
        before = sum(other.machine == one.machine and other.started < one.started for other in tries)
        if one.verdict != "PASS":
            continue
        if one.attempt > before:
            return ""
        bought = (
            f"{name}: {one.file} says that it is attempt {one.attempt}, but {before} before it are given; a run that "
            f"is started again is told so with --kpi-attempt={before + 1}"
        )
    return bought
