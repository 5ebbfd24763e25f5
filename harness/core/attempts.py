"""How often a target was tried already: an undecided gate that is run again turns green by chance, sooner or later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Key = tuple[str, str, str, str, str]
"""The id of a machine, then KPI, metric, bound, artifact: what is tried again there."""

COUNTED, SPENT = "counted", "spent"
CHOICES = (COUNTED, SPENT)


@dataclass(frozen=True)
class Attempts:
    """Attempts before this run: those that the history knows, and how many somebody says there were."""

    known: Mapping[Key, Mapping[str, int]] = field(default_factory=dict)
    said: int = 0

    def earlier(self, key: Key, told: Mapping[str, int] = MappingProxyType({})) -> Mapping[str, int]:
        """The verdicts before, with how often each was given, as the history knows them or the machine was ``told``."""
        known = self.known.get(key, {})
        return told if sum(told.values()) > sum(known.values()) else known

    def attempt(self, key: Key, told: Mapping[str, int] = MappingProxyType({})) -> int:
        """The number of this attempt, from 1."""
        return 1 + max(sum(self.earlier(key, told).values()), self.said)

    def to_json(self) -> dict[str, Any]:
        """For a worker of pytest-xdist."""
        return {"known": [[*key, dict(verdicts)] for key, verdicts in self.known.items()], "said": self.said}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attempts:
        """The inverse of :meth:`to_json`."""
        return cls({(i, k, m, b, a): verdicts for i, k, m, b, a, verdicts in data["known"]}, int(data["said"]))


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
    """One file's answer to a target: its ``verdict``, which ``attempt`` it says it was, when and on which machine.

    ``judged`` says whether processes were judged, ``earlier`` are the attempts before it that it tells of itself.
    """

    file: str
    verdict: str
    attempt: int
    started: str
    machine: str
    judged: bool = True
    earlier: Mapping[str, int] = field(default_factory=dict)

    def before(self, tries: Sequence[Try]) -> Mapping[str, int]:
        """The verdicts of the attempts before it: those that were given, or of itself where it tells of more."""
        given = Counter(
            other.verdict
            for other in tries
            if other.started < self.started
            and (other.machine == self.machine or other.judged or other.verdict == "ERROR")
        )
        return given if given.total() >= sum(self.earlier.values()) else self.earlier


def several(name: str, tries: Sequence[Try], attempts: str) -> str:
    """Why no verdict can be picked of several attempts at a target; empty where they agree, or error was spent.

    With ``counted`` attempts that differ prove nothing, on one machine or, where one says that it is a second attempt,
    on several. With ``spent`` a PASS counts that was judged as surely as the attempts before it on its machine ask.
    With both nothing is known of a PASS whose earlier attempts were left out.
    """
    judged = [one for one in tries if one.judged]
    if attempts == COUNTED:
        joined = any(one.attempt > 1 for one in judged)
        for machine in dict.fromkeys(one.machine for one in judged):
            own = [one for one in judged if joined or one.machine == machine]
            told = [(one.verdict, f"{one.verdict} in {one.file}") for one in own]
            told += [(verdict, f"{verdict} before {one.file}") for one in own for verdict in one.earlier]
            if len({verdict for verdict, _ in told}) > 1:
                said = ", ".join(text for _, text in told)
                where = " on one machine" if len({one.machine for one in own}) == 1 else ""
                return (
                    f'{name}: several attempts{where}: {said}; attempts = "{SPENT}" in [measure] lets a later one count'
                )
    wrong = ""
    for one in judged:
        if one.verdict != "PASS":
            continue
        before = sum(other.machine == one.machine and other.started < one.started for other in judged)
        known = sum(one.before(tries).values())
        if attempts == SPENT and one.attempt <= before:
            wrong = (
                f"{name}: {one.file} says that it is attempt {one.attempt}, but {before} before it are given; a run "
                f"that is started again is told so with --kpi-attempt={before + 1}"
            )
        elif known < one.attempt - 1:
            wrong = (
                f"{name}: {one.file} is attempt {one.attempt}, and {known} before it are known; give the evidence of "
                "all attempts"
            )
        else:
            return ""
    return wrong
