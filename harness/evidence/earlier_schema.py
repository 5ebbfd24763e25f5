"""Evidence of schema 1 as schema 2 says it; what its writers did not say yet is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import Cause
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import processor_class

_UNKNOWN_TARGET: Mapping[str, Any] = {"usd_per_hour": None, "attempt": 1, "notes": [], "seconds": 0.0, "order": None}


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """The same evidence in schema 2; KeyError, TypeError, AttributeError where it is none of schema 1."""
    machine = old["machine"]
    new = {
        **{key: value for key, value in old.items() if key != "promises"},
        "schema": 2,
        "kpis_digest": old["promises"],
        "processor_class": machine.get("class") or processor_class(machine["arch"], machine.get("instructions", ())),
        "targets": [_target(target) for target in old["targets"]],
        "measurements": [_measurement(measurement) for measurement in old["measurements"]],
    }
    # Very early evidence knew neither plug-ins nor workloads.
    return {key: value for key, value in new.items() if value is not None}


def _target(old: Mapping[str, Any]) -> dict[str, Any]:
    """Fills ``cause`` and ``would_be`` where the reason alone said them."""
    new = {**_UNKNOWN_TARGET, **old}
    reason = str(old.get("reason", ""))
    if "cause" not in old:
        unmeasured = old.get("verdict") == Verdict.INCONCLUSIVE and old.get("value") is None
        new["cause"] = None
        if unmeasured and reason.startswith("not measured"):
            new["cause"] = Cause.UNSELECTED if reason.endswith("-k or -m") else Cause.UNMEASURED
        elif reason == f"this machine has no {old.get('device')}":
            new["cause"] = Cause.NO_DEVICE
    if "would_be" not in old:
        ends = {"it would hold here": Verdict.PASS, "it would not hold here": Verdict.FAIL}
        here = next((verdict for end, verdict in ends.items() if reason.endswith(end)), Verdict.INCONCLUSIVE)
        new["would_be"] = here if old.get("verdict") == Verdict.OFF_TARGET else None
    if new["order"] and not new["order"].get("within"):
        new["order"] = {**new["order"], "within": None}
    return new


def _measurement(old: Mapping[str, Any]) -> dict[str, Any]:
    new = {key: value for key, value in old.items() if value is not None}
    new["pairs"] = {other: [tuple(pair) for pair in pairs] for other, pairs in old.get("pairs", {}).items()}
    return new
