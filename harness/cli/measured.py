"""Bounds that are proposed from a run: what was measured, with the margin that a verdict needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from harness.core.bounds import Relation
from harness.core.units import BYTES, POINTS, SHARE
from harness.evidence.reader import read_evidence
from harness.spec.model import Target
from harness.spec.reader import read_spec

Bounds = Mapping[tuple[str, str], str]
"""The bound as text, by recipe and metric."""
_TIMES, _RATIOS, _BYTES = 1.25, 1.15, 1.02
_POINTS, _SHARES = 0.005, 1.5


def bounds_of(evidence: Path, kpis: Path) -> Bounds:
    """A bound for each target of ``kpis`` that the run has a figure for."""
    seen, _ = read_evidence(evidence, None)
    results = {line.id: line for line in seen.targets}
    found = {}
    for target in read_spec(kpis).targets:
        line = results.get(target.id)
        if line is not None and line.known:
            worst = line.value, line.high if target.bound.upper else line.low
            limit = max(filter(math.isfinite, worst)) if target.bound.upper else min(filter(math.isfinite, worst))
            found[target.recipe, target.metric_name] = _text(target, limit)
    return found


def _text(target: Target, worst: float) -> str:
    """The bound of a target whose figure is at worst this."""
    bound, shown = target.bound, target.shown_in
    op = "<=" if bound.upper else ">="
    match bound.relation:
        case Relation.DROP | Relation.GAIN:
            change = max(worst, 0.0) if bound.upper else worst
            margin = _POINTS if shown is POINTS else 0.1 * abs(change)
            limit = change + margin if bound.upper else change - margin
            return f"{bound.relation} {op} {shown.format(limit, 2)} vs {bound.versus}"
        case Relation.RATIO | Relation.SHARE:
            factor = worst * _RATIOS if bound.upper else worst / _RATIOS
            said = f"{factor:.3g} x" if bound.relation is Relation.RATIO else f"{100 * factor:.3g} % of"
            return f"{op} {said} {bound.versus}"
        case _:
            return f"{op} {shown.format(_value(target, worst), 3)}"


def _value(target: Target, worst: float) -> float:
    """A plain figure with its margin; shares keep their distance from 0 and 1."""
    if target.metric.dimension is SHARE:
        if target.bound.upper:
            return min(worst * _SHARES + 1e-4, 0.99)
        return max(worst - 2 * _POINTS, 0.01)
    margin = _BYTES if target.metric.dimension is BYTES else _TIMES
    return worst * margin if target.bound.upper else worst / margin
