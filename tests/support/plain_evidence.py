"""Evidence as plain dictionaries, for tests that change parts of it, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.codec import of_plain, plain
from harness.core.numbers import Numbers
from harness.evidence.composing import chunks
from harness.evidence.earlier_schema import upgraded
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.reader import parse_evidence
from harness.measure.journal import Journaled

_RAW = ("samples_s", "kernel_s")


def as_evidence(data: Mapping[str, Any]) -> Evidence:
    """The object of plain evidence, of schema 1 or 2."""
    return of_plain(upgraded(data) if data["schema"] == 1 else data, Evidence)


def as_target(data: Mapping[str, Any]) -> TargetLine:
    """The object of a plain target."""
    return of_plain(data, TargetLine)


def sealed_text(evidence: Evidence, key: str | None = None) -> bytes:
    """What the file of such evidence holds."""
    return b"".join(chunks(evidence, (Journaled.of(one) for one in evidence.measurements), key))


def resealed(evidence: Evidence, key: str | None = None) -> Evidence:
    """The same evidence, sealed as it is now."""
    return parse_evidence("it", sealed_text(evidence, key), None)[0]


def as_plain(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON holds it, with its numbers in plain lists."""
    made: dict[str, Any] = plain(evidence)
    return unpacked(made)


def unpacked(made: dict[str, Any]) -> dict[str, Any]:
    """The evidence of a file with the numbers of its measurements in plain lists."""
    for measurement in made["measurements"]:
        for part in ("scores", "weights"):
            measurement[part] = {name: _numbers(values) for name, values in measurement.get(part, {}).items()}
        for process in measurement["processes"]:
            process["series"] = {name: _numbers(values) for name, values in process.get("series", {}).items()}
            process |= {name: _numbers(process[name]) for name in _RAW if name in process}
    return made


def read_plain(path: Path) -> dict[str, Any]:
    """The evidence in a file, its numbers in plain lists."""
    return unpacked(json.loads(path.read_text(encoding="utf-8")))


def _numbers(values: Any) -> list[float]:
    numbers: Any = Numbers
    return list(numbers.of(values))
