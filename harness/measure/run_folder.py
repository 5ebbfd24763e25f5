"""The folder of a run: where what is found is kept as soon as it is there."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from harness.measure.journal import FILES
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
        journals = list(out.glob(FILES))
        if resume and journals:
            aside = out / f"{_ASIDE}{stamp}"
            aside.mkdir()
            for path in (*journals, out / "outputs", out / "evidence.json"):
                if path.exists():
                    path.rename(aside / path.name)
        elif not resume:
            clear_aside(out)
            # What is told of the folder until this run ends must not be what an earlier one said.
            for path in (*journals, out / "evidence.json"):
                path.unlink(missing_ok=True)
        earlier = sorted(out.glob(f"{_ASIDE}*"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder, stopped_runs(earlier)


def clear_aside(out: Path) -> None:
    """Forgets stopped runs that were set aside in a folder whose run came to its end."""
    for folder in out.glob(f"{_ASIDE}*"):
        shutil.rmtree(folder)
