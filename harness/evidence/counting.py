"""Which attempt at a target a run is, on the machine that is judged: this one, or one that is reached."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

from harness.core.attempts import Attempts, Key
from harness.evidence.machine_name import machine_id
from harness.measure.machine.detect import Detected
from harness.measure.place import Place

Tried = tuple[str, str, str, str]
"""KPI, metric, bound, artifact."""


class Counting:
    """``earlier`` is what this workstation knows; None where a run does not count as an attempt, as in a search.

    A machine that is reached keeps its own count, so that others who judge there count what others judged.
    """

    def __init__(self, earlier: Attempts | None, here: Detected) -> None:
        self._earlier = earlier
        self._here = here

    def attempt(self, tried: Tried, place: Place) -> int:
        """How often this was judged there, this time among them. Raises Unavailable where the machine is gone."""
        if self._earlier is None:
            return 1
        return self._earlier.attempt(self._key(tried, place), place.tried(_digest(tried)))

    def earlier(self, tried: Tried, place: Place) -> Mapping[str, int]:
        """The verdicts that this workstation knows of, with how often each was given there."""
        return {} if self._earlier is None else self._earlier.earlier(self._key(tried, place))

    def judged(self, tried: Tried, place: Place, value: float) -> tuple[str, ...]:
        """Lets the machine keep that it was judged, where that gave a value; a note where it could not."""
        if self._earlier is None or math.isnan(value):
            return ()
        return tuple(filter(None, [place.judged(_digest(tried))]))

    def _key(self, tried: Tried, place: Place) -> Key:
        return (machine_id(place.known or self._here), *tried)


def _digest(tried: Tried) -> str:
    return hashlib.sha256(json.dumps(tried).encode()).hexdigest()
