"""What a run that was stopped had measured already, for the run that goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.measure.records import ProcessRecord

MOST_AGE_S = 3600.0
"""Older measurements say nothing of the machine as it is now."""


@dataclass(frozen=True)
class Resumed:
    """The processes of one measurement, the pairs they are in (by the other's id), the scores made of them."""

    run: str
    folder: Path
    records: list[ProcessRecord]
    scores: dict[str, list[float]]
    weights: dict[str, list[float]]
    scored_with: dict[str, dict[str, str]]
    pairs: Mapping[str, Sequence[Sequence[int]]]


def conditions(
    machine: Mapping[str, Any], inputs: Path, runtime: Mapping[str, str | None], **more: Any
) -> dict[str, Any]:
    """What must be alike, besides the subject itself, for two measurements to be of the same thing.

    ``machine`` is what was detected, the boot among it.
    """
    return {
        "harness": harness.__version__,
        "machine": hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest(),
        "inputs": inputs.name,
        "runtime": dict(runtime),
        **more,
    }


def stopped_runs(folders: Sequence[Path]) -> list[Path]:
    """Of run folders, oldest first, those that never came to their end since the last that did; newest first."""
    stopped: list[Path] = []
    for folder in reversed(folders):
        if _came_to_its_end(folder):
            break
        stopped.append(folder)
    return stopped


def _came_to_its_end(run: Path) -> bool:
    try:
        return bool(json.loads((run / "evidence.json").read_text(encoding="utf-8"))["complete"])
    except (OSError, ValueError, KeyError):
        return False  # stopped before the first verdict was written


def restore(
    folders: Sequence[Path], subject: str, tag: str, alike: Mapping[str, Any], now: datetime | None = None
) -> Resumed | None:
    """The newest fitting measurement of a subject among stopped runs; None where it has to be measured again.

    ``alike`` are the :func:`conditions` of now, as plain JSON. No process may be older than an hour.
    """
    oldest = (now or datetime.now(UTC)).timestamp() - MOST_AGE_S
    for folder in folders:
        own = folder / "measurements" / f"{subject}-{tag}.json"
        for path in [own, *sorted((folder / "measurements").glob(f"{subject}*.json"))]:
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                records = [ProcessRecord.from_json(process) for process in data["processes"]]
            except (OSError, ValueError, KeyError):
                continue  # not there, or written by another version: measured again
            young = all(datetime.fromisoformat(record.started).timestamp() >= oldest for record in records)
            kept = all((folder / "outputs" / record.outputs).exists() for record in records if record.outputs)
            if records and young and kept and data.get("conditions") == alike:
                pairs = {other.partition("-")[0]: found for other, found in data.get("pairs", {}).items()}
                scores, weights, means = (data.get(name, {}) for name in ("scores", "weights", "scored_with"))
                return Resumed(folder.name, folder, records, scores, weights, means, pairs)
    return None
