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
from harness.core.codec import decode
from harness.measure.journal import measured
from harness.measure.records import ProcessRecord

MOST_AGE_S = 3600.0
"""Older measurements say nothing of the machine as it is now."""


@dataclass(frozen=True)
class _Ended:
    """As much of the evidence as says whether a run came to its end."""

    complete: bool


@dataclass(frozen=True)
class Resumed:
    """The processes of one measurement, and the pairs they are in (by the other's id).

    Scores are made again from the outputs: the metric may be another one by now.
    """

    run: str
    folder: Path
    records: list[ProcessRecord]
    pairs: Mapping[str, Sequence[tuple[int, int]]]


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
        return decode((run / "evidence.json").read_bytes(), _Ended).complete
    except (OSError, ValueError):
        return False  # killed before it was written


def restore(
    folders: Sequence[Path], subject: str, tag: str, alike: Mapping[str, Any], now: datetime | None = None
) -> Resumed | None:
    """The newest fitting measurement of a subject among stopped runs; None where it has to be measured again.

    ``alike`` are the :func:`conditions` of now, as plain JSON. No process may be older than an hour.
    """
    oldest = (now or datetime.now(UTC)).timestamp() - MOST_AGE_S
    for folder in folders:
        found = sorted(measured(folder, subject), key=lambda one: one.id != f"{subject}-{tag}")
        for one in found:
            records = list(one.processes)
            young = all(datetime.fromisoformat(record.started).timestamp() >= oldest for record in records)
            kept = all((folder / "outputs" / record.outputs).exists() for record in records if record.outputs)
            if records and young and kept and one.conditions == alike:
                pairs = {other.partition("-")[0]: places for other, places in one.pairs.items()}
                return Resumed(
                    run=folder.name,
                    folder=folder,
                    records=records,
                    pairs=pairs,
                )
    return None
