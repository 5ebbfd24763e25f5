"""Two runs side by side as plain JSON, for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.core.codec import plain
from harness.core.numbers import figure
from harness.evidence.history.compare import Comparison, Row
from harness.evidence.history.runs import Found

SCHEMA = 1


def to_json(compared: Comparison) -> dict[str, Any]:
    """Plain JSON, numbers in base units as in the evidence."""
    return {
        "schema": SCHEMA,
        "base": _run(compared.base),
        "new": _run(compared.new),
        "same_machine": compared.same_machine,
        "confidence": compared.confidence,
        "margin": compared.margin,
        "drifted": compared.drifted,
        "kpis": {
            "new": compared.kpis("new"),
            "gone": compared.kpis("base"),
            "renamed": [{"from": old, "to": name} for old, name in compared.renamed],
        },
        "states": dict(Counter(row.state.value for row in compared.rows)),
        "targets": [_target(row) for row in compared.rows],
    }


def _run(found: Found) -> dict[str, Any]:
    evidence = found.evidence
    return {
        "run": found.id,
        "evidence": found.place,
        "started": evidence.started,
        "commit": evidence.commit,
        "complete": evidence.complete,
        "machines": sorted(found.machines),
    }


def _target(row: Row) -> dict[str, Any]:
    change = row.change and {
        "of": "ratio" if row.change.ratio else "difference",
        **{name: plain(figure(getattr(row.change, name))) for name in ("value", "low", "high")},
    }
    kept = ("value", "low", "high", "verdict", "bound", "recipe", "artifact", "n", "of")
    return {
        "kpi": row.kpi,
        "was": row.was,
        "metric": row.target.metric,
        "unit": row.target.unit,
        **{
            side: None if target is None else {name: plain(getattr(target, name)) for name in kept}
            for side, target in (("base", row.base), ("new", row.new))
        },
        "change": change,
        "state": row.state.value,
        "verdict_changed": row.verdicts is not None,
        "bound_changed": row.bounds is not None,
        "regressed": row.regressed,
        "because": list(row.because),
        "said": row.said,
    }
