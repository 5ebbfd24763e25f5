"""The folder of a run: where measurements are kept as soon as they are there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.core.files import write_atomically
from harness.measure.resume import stopped_runs

_ASIDE = ".stopped-"


def run_folder(out: Path, started: datetime, *, resume: bool = False) -> tuple[Path, list[Path]]:
    """Makes the folder of a run: ``.kpi/runs/<start time>`` next to the default ``.kpi/latest``, else ``out`` itself.

    Also returns the folders of earlier runs that were stopped, newest first, where the user wants to ``resume``.
    """
    stamp = started.strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    if out.name == "latest":
        runs = out.parent / "runs"
        earlier = sorted(runs.iterdir()) if resume and runs.exists() else []
        folder = runs / stamp
    else:
        folder = out
        # A folder named twice must not lend one run the measurements of another, unless that is wanted.
        if resume and (out / "measurements").exists():
            aside = out / f"{_ASIDE}{stamp}"
            aside.mkdir()
            for name in ("measurements", "outputs", "evidence.json"):
                if (out / name).exists():
                    (out / name).rename(aside / name)
        elif not resume:
            clear_aside(out)
            shutil.rmtree(out / "measurements", ignore_errors=True)
        earlier = sorted(out.glob(f"{_ASIDE}*"))
    (folder / "measurements").mkdir(parents=True, exist_ok=True)
    return folder, stopped_runs(earlier)


def clear_aside(out: Path) -> None:
    """Forgets stopped runs that were set aside in a folder whose run came to its end."""
    for folder in out.glob(f"{_ASIDE}*"):
        shutil.rmtree(folder)


def write_measurement(folder: Path, measurement: Mapping[str, Any]) -> None:
    """Keeps one measurement as soon as it is there, under its own id."""
    write_atomically(folder / "measurements" / f"{measurement['id']}.json", json.dumps(measurement))


def read_measurements(folder: Path) -> Iterable[dict[str, Any]]:
    """Every measurement kept so far, in a stable order."""
    for path in sorted((folder / "measurements").glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))
