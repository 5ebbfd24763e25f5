"""How far a figure is from its bound, the same for times, sizes and shares, so that targets can be weighed."""

from __future__ import annotations

import math

from harness.core.bounds import Relation
from harness.core.units import POINTS, SHARE
from harness.spec.model import Target

_POINTS = 0.1
_MOST = 10.0


def margin(target: Target, value: float) -> float:
    """Above 0 where the promise holds; -10 to 10.

    Formula: ln(limit / value), turned round for floors, so that 0.1 is about 10 %; for shares and points the
    difference over 10 pp, so that 1 pp weighs as much as 10 %; for other bounds at 0 the plain difference.
    """
    bound = target.bound
    if math.isnan(value):
        return -_MOST
    apart = bound.limit - value if bound.upper else value - bound.limit
    share = target.shown_in in (SHARE, POINTS) and bound.relation is not Relation.SHARE
    if share:
        found = apart / _POINTS
    elif bound.limit > 0 and value > 0:
        found = math.log(bound.limit / value) * (1 if bound.upper else -1)
    else:
        found = apart / abs(bound.limit) if bound.limit else apart
    # At a strict bound, "< 3" at 3, nothing is kept.
    found = min(found, -1e-9) if not bound.holds(value) else max(found, 0.0)
    return max(-_MOST, min(_MOST, found))
