"""Which attempt at a target a run is, on the machine that is judged: this one, or one that is reached."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

from harness.core.attempts import Attempts
from harness.evidence.machine_name import machine_id
from harness.judge.verdict import Decision
from harness.measure.machine.detect import Detected
from harness.measure.place import Place

Tried = tuple[str, str, str, str]
"""KPI, metric, bound, artifact."""


class Counting:
    """``earlier`` is what the history of this machine and its user say; None where a run does not count (a search).

    A machine that is reached keeps a count of its own, of all runs that judged it.
    """

    def __init__(self, earlier: Attempts | None, here: Detected) -> None:
        self._earlier = earlier
        self._here = here
        self._known: dict[Tried, Mapping[str, int]] = {}

    def attempt(self, tried: Tried, place: Place) -> int:
        """How often this was judged there, this time among them. Raises Unavailable where the machine is gone."""
        if self._earlier is None:
            return 1
        key, told = (machine_id(place.known or self._here), *tried), place.tried(_digest(tried))
        self._known[tried] = self._earlier.earlier(key, told)
        return self._earlier.attempt(key, told)

    def earlier(self, tried: Tried) -> Mapping[str, int]:
        """The verdicts before, with how often each was given, of what :meth:`attempt` was asked for."""
        return self._known.get(tried, {})

    def judged(self, tried: Tried, place: Place, found: Decision) -> tuple[str, ...]:
        """Lets the machine keep that it was judged, where that gave a value; a note where it could not."""
        if self._earlier is None or math.isnan(found.value):
            return ()
        return tuple(filter(None, [place.judged(_digest(tried), found.verdict)]))


def _digest(tried: Tried) -> str:
    return hashlib.sha256(json.dumps(tried).encode()).hexdigest()
