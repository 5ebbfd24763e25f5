"""Finds the run that somebody names: a file, a folder, an id, a start time or a git revision."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import KpiError
from harness.evidence.history.database import History
from harness.evidence.history.points import Run
from harness.evidence.machine_name import machine_id
from harness.evidence.model import Evidence
from harness.evidence.reader import parse_evidence, read_evidence
from harness.evidence.seal import KEY_VARIABLE

_SHORTEST, _SHOWN = 4, 5
_GIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """A run with its evidence; ``place`` says where it was read from."""

    place: str
    evidence: Evidence

    @property
    def id(self) -> str:
        """As the history calls it."""
        return self.evidence.id

    @property
    def machines(self) -> frozenset[str]:
        """The ids of the machines that it was measured on: several after a merge."""
        return frozenset(machine_id(machine) for machine in self.evidence.every_machine.values())


def last_two(history: History) -> tuple[Found, Found]:
    """The newest run and the one before it on the same machine, of those whose evidence is still there.

    Runs in which nothing was answered are passed over. Raises KpiError when there are no two.
    """
    runs = _kept(history)
    for place, run in enumerate(reversed(runs)):
        earlier = [other for other in runs[: len(runs) - 1 - place] if other.machine == run.machine]
        if earlier:
            return of_run(earlier[-1]), of_run(run)
        break
    said = f"there are no two runs of one machine in {history.path}"
    raise KpiError(said, "run pytest again, or name two: kpi compare BASE NEW")


def latest(history: History) -> Found:
    """The newest run whose evidence is still there."""
    if not (runs := _kept(history)):
        raise KpiError(f"there is no run in {history.path}", "run pytest first")
    return of_run(runs[-1])


def find(wanted: str, history: History, folder: Path, machine: str | None = None) -> Found:
    """What ``wanted`` names, read and with its seal checked; KpiError says what it could have been.

    Of a git revision the last run of that commit is taken, on ``machine`` (an id) where there is one; git is asked in
    ``folder``. ``REV:PATH`` is an evidence.json that git keeps.
    """
    path = Path(wanted)
    if exists(path):
        return _read(path / "evidence.json" if path.is_dir() else path)
    runs = history.runs()
    if (run := _by_name(wanted, runs)) is not None:
        return of_run(run)
    revision, colon, inside = wanted.partition(":")
    if colon and inside and (text := _git(folder, "show", "--end-of-options", f"{revision}:{inside}")) is not None:
        return _checked(wanted, *parse_evidence(wanted, text, _key()))
    said = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}") or b""
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit := said.decode().strip()):
        raise KpiError(
            f"{wanted!r} is not a file, run, start time or git revision",
            "give an evidence.json, a folder of a run, an id or time as `kpi history` shows them, REV or REV:PATH",
        )
    own = [run for run in runs if run.commit.removesuffix("-dirty") == commit and run.evidence.exists()]
    own.sort(key=lambda run: (machine in (None, run.machine), run.commit == commit, run.started))
    if not own:
        remedy = "run pytest at it, or name an evidence.json"
        raise KpiError(f"{wanted!r} is the commit {commit[:12]}, of which no run is kept in {history.path}", remedy)
    return of_run(own[-1])


def of_run(run: Run) -> Found:
    """The evidence of a run in the history; KpiError when it is gone, or another's by now."""
    if not run.evidence.exists():
        raise KpiError(f"the evidence of run {run.id} is gone from {run.evidence}", "only its figures are kept")
    found = _read(run.evidence)
    if found.id != run.id:
        said = f"{run.evidence} was overwritten by a later run than {run.id}"
        raise KpiError(said, "runs without --kpi-out are all kept, below .kpi/runs")
    return found


def _kept(history: History) -> list[Run]:
    """Runs with an answer whose evidence is where the history says, the newest last; of one file only the newest."""
    some = history.with_answers()
    newest = {run.evidence.resolve(): run for run in history.runs()}
    return [run for run in newest.values() if run.id in some and run.evidence.exists()]


def _by_name(wanted: str, runs: Sequence[Run]) -> Run | None:
    """The run whose id or start time begins so, written with "T" or a blank, with ":" or "-"; None when none does."""
    if len(wanted) < _SHORTEST:
        return None
    stamp = _stamp(wanted)
    ids = [run for run in runs if run.digest.startswith(wanted.lower())]
    times = [run for run in runs if stamp and _stamp(run.started).startswith(stamp)]
    found = ids or times
    if len(found) > 1:
        names = ", ".join(f"{run.id} ({run.started})" for run in found[-_SHOWN:])
        raise KpiError(f"{wanted!r} names {len(found)} runs: {names}", "write more of it")
    return found[0] if found else None


def _stamp(text: str) -> str:
    """A time's digits down to milliseconds, whatever separates them; empty for what is not a time."""
    match = re.fullmatch(r"(\d{4}-[\dT:. -]*?)(?:Z|\+00:00)?", text.strip())
    return re.sub(r"\D", "", match[1])[:17] if match else ""


def _read(path: Path) -> Found:
    return _checked(str(path), *read_evidence(path, _key()))


def _checked(place: str, evidence: Evidence, wrong: str) -> Found:
    if wrong:
        raise KpiError(f"{place}: {wrong}")
    return Found(place, evidence)


def _key() -> str | None:
    return os.environ.get(KEY_VARIABLE)


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; not where nothing can have that name."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name longer than any file's, a null byte
        return False


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git answers; None when it is not here, or knows no such thing."""
    git = shutil.which("git")
    if git is None or any("\0" in argument for argument in arguments):
        return None
    command = [git, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
