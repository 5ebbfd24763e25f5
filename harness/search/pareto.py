"""Pareto front, closest miss, and the cost of each target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.judge.verdict import Verdict
from harness.search.checks import Level, Seen
from harness.spec.model import Target

PROVEN, LIKELY, MISSED, DROPPED, BROKEN = "meets all", "looks good", "misses", "dropped", "broken"
_NOISE = 0.02
"""A margin is better by more than this, or as good: two processes differ by as much."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate with what was seen of each target, the deeper check where there were two.

    ``state`` is one of the words above; ``why`` says what dropped or broke it.
    """

    name: str
    table: Mapping[str, Any]
    state: str
    seen: Mapping[str, Seen] = field(default_factory=dict)
    why: str = ""
    seconds: float = 0.0
    own: bool = False

    @property
    def worst(self) -> float:
        """The margin of the worst target that was looked at."""
        return min((seen.margin for seen in self.seen.values()), default=-10.0)

    @property
    def binding(self) -> str:
        """The label of the target that is furthest from its bound, on the wrong side or the least on the right one."""
        return min(self.seen, key=lambda label: self.seen[label].margin, default="")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as the study keeps it."""
        return {
            "name": self.name,
            "recipe": dict(self.table),
            "state": self.state,
            "why": self.why,
            "seconds": round(self.seconds, 1),
            "own": self.own,
            "targets": {label: seen.to_json() for label, seen in self.seen.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The inverse of :meth:`to_json`."""
        seen = {label: Seen.from_json(found) for label, found in data["targets"].items()}
        return cls(data["name"], data["recipe"], data["state"], seen, data["why"], data["seconds"], data["own"])


def row_of(
    name: str, table: Mapping[str, Any], targets: Sequence[Target], seen: Sequence[Seen], seconds: float, *, own: bool
) -> Row:
    """The row of a candidate whose checks ended."""
    deepest: dict[str, Seen] = {}
    for one in seen:
        # Where all of a verdict's processes were disturbed, the look before it says more.
        if one.target not in deepest or not math.isnan(one.value):
            deepest[one.target] = one
    dropped = next((one for one in seen if one.dropped), None)
    made = Row(name, table, MISSED, deepest, "", seconds, own)
    whole = all(target.label in deepest for target in targets)
    if dropped is not None and not whole:
        return replace(made, state=DROPPED, why=dropped.target)
    if whole and all(one.verdict == Verdict.PASS for one in deepest.values()):
        return replace(made, state=PROVEN)
    # A look's own verdict is of few samples, its margin takes that into account.
    failed = any(one.verdict == Verdict.FAIL and one.level == Level.VERDICT for one in deepest.values())
    if whole and made.worst >= 0 and not failed:
        return replace(made, state=LIKELY)
    return made


def front(rows: Sequence[Row], targets: Sequence[Target]) -> list[Row]:
    """Of the rows that were looked at whole, those that no other beats in one target without losing in another."""
    labels = [target.label for target in targets]
    whole = [row for row in rows if all(label in row.seen for label in labels)]
    best = winner(rows)
    points = [tuple(row.seen[label].margin for label in labels) for row in whole]
    kept = [
        row
        for place, (row, point) in enumerate(zip(whole, points, strict=True))
        # A short look may flatter another: the one that was proven stays.
        if row is best
        or not any(_beats(other, point) or (other == point and at < place) for at, other in enumerate(points))
    ]
    return sorted(kept, key=lambda row: (row is not best, row.state != PROVEN, -row.worst))


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y + _NOISE for x, y in zip(a, b, strict=True))


def winner(rows: Sequence[Row]) -> Row | None:
    """The one that keeps all promises with the most room; None when none does."""
    return max((row for row in rows if row.state == PROVEN), key=lambda row: row.worst, default=None)


def nearest(rows: Sequence[Row]) -> Row | None:
    """The one whose worst target is least bad; one that was looked at whole before one that was dropped."""
    tried = [row for row in rows if row.seen and row.state != PROVEN]
    whole = [row for row in tried if row.state in (MISSED, LIKELY)]
    return max(whole or tried, key=lambda row: row.worst, default=None)


@dataclass(frozen=True, slots=True)
class Price:
    """What a bound costs: without the target, ``row`` would be the best, with ``gained`` another target's figure."""

    target: str
    row: Row
    gained: str


def prices(rows: Sequence[Row], targets: Sequence[Target], base: Row | None) -> list[Price]:
    """For each target, who would be best if it were given up, as far as that differs from ``base``.

    With a winner: who gains most in another target by missing, or nearing, this one alone. Without: who keeps all
    others, and is nearest in this one.
    """
    found = []
    labels = [target.label for target in targets]
    whole = [row for row in rows if all(label in row.seen for label in labels)]
    for label in labels:
        others = [other for other in labels if other != label]
        keeping = [row for row in whole if all(row.seen[other].margin >= 0 for other in others)]
        if base is None:
            best = max(keeping, key=lambda row: row.seen[label].margin, default=None)
            if best is not None:
                found.append(Price(label, best, ""))
            continue
        gains = [
            (row.seen[other].margin - base.seen[other].margin, other, row)
            for row in keeping
            if row.seen[label].margin < base.seen[label].margin - _NOISE
            for other in others
        ]
        if gains:
            gain, gained, row = max(gains, key=lambda one: one[0])
            if gain > 0.01:  # noqa: PLR2004 - below a hundredth it is noise
                found.append(Price(label, row, gained))
    return found


def level_mark(seen: Seen) -> str:
    """``~`` before a figure that a short look gave."""
    return "~" if seen.level == Level.LOOK else ""
