"""The history of a pointer: every move of it, with what was proven of what it then pointed to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.core.errors import KpiError

KIND, SCHEMA = "kpi releases", 1
RELEASE, ROLLBACK = "release", "rollback"
_MOST = 10_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a pointer: from then on it pointed to the package with the root ``digest``, which is at ``place``.

    ``action`` is release or rollback, ``moved`` when it was (UTC, ISO 8601), ``evidence`` the seal of the evidence in
    the package, ``artifact`` the digest of its artifact, ``commit`` the commit that was measured.
    """

    action: str
    moved: str
    digest: str
    place: str
    kpi: str
    artifact: str
    evidence: str
    commit: str

    def told(self) -> str:
        """``release 1a2b3c4d5e6f of food11-int8, 2026-11-29``: for people."""
        return f"release {self.digest[:12]} of {self.kpi}, {self.moved[:10]}"


def parsed(source: str, text: str | bytes) -> list[Move]:
    """The moves in a history, the oldest first; KpiError where it is none that can be worked with."""
    try:
        data = json.loads(text)
        if (data["kind"], data["schema"]) != (KIND, SCHEMA):
            raise KpiError(f"{source} is written in another schema, this version reads {SCHEMA}")
        found = [move_of(entry) for entry in data["moves"]]
        if not 0 < len(found) <= _MOST:
            raise ValueError(f"{len(found)} moves")
        _stack(found)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise KpiError(
            f"{source} is not a history of releases: {error}"[:300], "restore it as `kpi release` wrote it"
        ) from None
    return found


def move_of(entry: Any) -> Move:
    """One entry; KeyError, TypeError or ValueError for anything else."""
    made = Move(**{field.name: entry[field.name] for field in fields(Move)})
    for name, value in asdict(made).items():
        if not isinstance(value, str) or not value.isprintable():
            raise ValueError(f"{name} is {value!r}")
    if made.action not in (RELEASE, ROLLBACK) or not _DIGEST.fullmatch(made.digest):
        raise ValueError(f"{made.action!r} to {made.digest!r}")
    return made


def written(moves: Iterable[Move]) -> str:
    """The history as a file holds it."""
    return json.dumps({"kind": KIND, "schema": SCHEMA, "moves": [asdict(move) for move in moves]}, indent=1) + "\n"


def previous(moves: Sequence[Move], source: str) -> Move:
    """What was released before what is released now; KpiError where there was nothing.

    A rollback takes the latest release away, so that the next one goes further back.
    """
    standing = _stack(moves)
    if len(standing) < 2:  # noqa: PLR2004 - the one that goes, the one that it goes back to
        raise KpiError(f"{source} has no release before this one", "`kpi release KPI` makes another")
    return standing[-2]


def _stack(moves: Sequence[Move]) -> list[Move]:
    """The releases that were not taken back, the current one last; ValueError where a rollback goes nowhere."""
    found: list[Move] = []
    for move in moves:
        if move.action == RELEASE:
            found.append(move)
            continue
        if len(found) < 2 or found[-2].digest != move.digest:  # noqa: PLR2004
            raise ValueError(f"the rollback to {move.digest[:12]} goes back to no release before it")
        found.pop()
    return found
