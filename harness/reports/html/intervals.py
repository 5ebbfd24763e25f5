"""A value with its interval drawn against its bound: right of the line is where the promise holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.evidence.model import TargetLine

_REACH, _SHORT = 64.0, 26.0
_MIDDLE = 30.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """Places in percent of the width; the bound is at 30. ``margin`` is the value's distance, as a share of it."""

    value: float
    low: float
    high: float
    open_left: bool
    open_right: bool
    margin: float | None


def drawn(target: TargetLine) -> Drawn | None:
    """The places of a target that has a value; None of one without."""
    if not target.known:
        return None
    limit, side = target.limit, -1.0 if target.op.startswith("<") else 1.0
    value, low, high = (side * (end - limit) for end in (target.value, target.low, target.high))
    left, right = min(low, high), max(low, high)
    # Exact figures have no interval, and a bound that no data support reaches to the edge.
    left, right = (value if math.isnan(edge) else edge for edge in (left, right))
    reach = max((abs(edge) for edge in (value, left, right) if math.isfinite(edge)), default=0.0) or 1.0

    # What lies left of the bound has less room; both sides are drawn to the same scale all the same.
    left_most = max((-edge for edge in (value, left) if math.isfinite(edge)), default=0.0)
    scale = min(_REACH / reach, _SHORT / left_most if left_most > 0 else math.inf)

    def place(away: float) -> float:
        return (
            round(min(100.0, max(0.0, _MIDDLE + scale * away)), 2)
            if math.isfinite(away)
            else 0.0
            if away < 0
            else 100.0
        )

    return Drawn(
        place(value),
        place(left),
        place(right),
        math.isinf(left),
        math.isinf(right),
        value / abs(limit) if limit else None,
    )
