"""A value with its interval drawn against its bound: right of the line is where the promise holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.reports.text import number

_REACH = 44.0
_MIDDLE = 50.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """Places in percent of the width; the bound stands at 50. ``margin`` is the value's distance, as a share of it."""

    value: float
    low: float
    high: float
    open_left: bool
    open_right: bool
    margin: float | None


def drawn(target: Mapping[str, Any]) -> Drawn | None:
    """The places of a target that has a value; None of one without."""
    if target["value"] is None:
        return None
    limit, side = float(target["limit"]), -1.0 if str(target["op"]).startswith("<") else 1.0
    value, low, high = (side * (number(target[name]) - limit) for name in ("value", "low", "high"))
    left, right = min(low, high), max(low, high)
    # Exact figures have no interval, and a bound that no data support reaches to the edge.
    left, right = (value if math.isnan(edge) else edge for edge in (left, right))
    reach = max((abs(edge) for edge in (value, left, right) if math.isfinite(edge)), default=0.0) or 1.0

    def place(away: float) -> float:
        return round(_MIDDLE + _REACH * max(-1.1, min(1.1, away / reach)), 2)

    return Drawn(
        place(value),
        place(left),
        place(right),
        math.isinf(left),
        math.isinf(right),
        value / abs(limit) if limit else None,
    )
