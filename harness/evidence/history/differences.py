"""What else two runs differ in: recipe, artifact, versions, options, so that a change comes with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.evidence.model import Evidence, TargetLine
from harness.measure.records import Measurement


def differences(old: TargetLine, fresh: TargetLine, base: Evidence, new: Evidence) -> Iterator[str]:
    """What is not the same about what was measured: recipe, artifact, versions, options."""
    if old.recipe != fresh.recipe:
        yield f"recipe {old.recipe} → {fresh.recipe}"
    if old.artifact != fresh.artifact:
        yield f"artifact {str(old.artifact)[:7]} → {str(fresh.artifact)[:7]}"
    if old.usd_per_hour != fresh.usd_per_hour:
        yield "price"
    before, after = base.of(old), new.of(fresh)
    if len(before) != len(after):
        yield "what it was measured with"
    for place, (a, b) in enumerate(zip(before, after, strict=False)):
        whose = "" if place == 0 else f"{fresh.versus or 'reference'}'s "
        if place and a.artifact != b.artifact:
            yield f"{whose}artifact"
        for name in ("runtime", "environment", "device", "scenario"):
            if (was := getattr(a, name)) != (now := getattr(b, name)):
                yield f"{whose}{name} {was} → {now}"
        for name in ("runtime_options", "scenario_options", "placement"):
            yield from _options(whose, getattr(a, name), getattr(b, name))
        yield from _options(whose, _conditions(a), _conditions(b))


def _conditions(measurement: Measurement) -> dict[str, Any]:
    """What was in force besides the options: libraries' versions, the harness, the data."""
    known = measurement.conditions
    kept = {name: known.get(name) for name in ("harness", "seconds", "samples")}
    return {**kept, **(known.get("runtime") or {}), "model or data": str(known.get("inputs"))[:7]}


def _options(whose: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"{whose}{name} {before.get(name)} → {after.get(name)}"
