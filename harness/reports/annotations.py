"""What is not proven, at its line of ``kpis.toml``: GitHub's workflow commands, GitLab's code quality report."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.evidence.model import Evidence

FORMS = ("off", "github", "gitlab")
GITLAB_FILE = "gl-code-quality-report.json"
_LONGEST = 500
_LEVELS = {"FAIL": "error", "ERROR": "error", "INCONCLUSIVE": "warning"}
_SEVERITY = {"error": "critical", "warning": "minor"}


@dataclass(frozen=True, slots=True)
class Annotation:
    """One remark at a line, from 1, of a file; ``level`` is error or warning."""

    level: str
    file: str
    line: int
    title: str
    text: str
    identity: str


def annotate(evidence: Evidence, promises: Path) -> list[Annotation]:
    """A remark for each target that failed, broke, or stayed undecided; what was not selected gets none.

    The rest of the verdicts say nothing against the artifact here. In a release whatever was not proven is an error,
    and what forbids green of merged evidence is one too, whatever the verdicts say.
    """
    from harness.core.text import plain
    from harness.evidence.history.points import answered
    from harness.evidence.text import figure, interval, why
    from harness.spec.sources import files_of
    from harness.spec.toml_lines import target_lines

    lines: dict[tuple[str, str], tuple[str, int]] = {}
    for path in reversed(files_of(promises)):
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        lines |= {key: (_shown_path(path), line) for key, line in target_lines(text).items()}
    unknown, found = (_shown_path(promises), 1), []
    for target in evidence.targets:
        level = "error" if evidence.release and target.verdict != "PASS" else _LEVELS.get(target.verdict)
        if level is None or not (answered(target) or evidence.release):
            continue
        file, line = lines.get((target.kpi, target.metric)) or lines.get((target.kpi, ""), unknown)
        value = f"{figure(target)}{f' ({interval(target)})' if interval(target) else ''}; " if figure(target) else ""
        text = f"{target.metric} {target.bound}: {value}{why(target)}"
        title = f"{target.verdict} {target.kpi}"
        identity = f"{target.kpi}\x00{target.metric}\x00{target.bound}"
        found.append(Annotation(level, file, line, plain(title)[:_LONGEST], plain(text)[:_LONGEST], identity))
    for said in evidence.problems:
        about = next((target for target in evidence.targets if said.startswith(f"{target.id}: ")), None)
        if about is None or about.verdict == "PASS":
            file, line = lines.get((about.kpi, about.metric), unknown) if about else unknown
            found.append(Annotation("error", file, line, "not green", plain(said)[:_LONGEST], said))
    return found


def _shown_path(promises: Path) -> str:
    """As the forge knows the file: from the root of its checkout."""
    whole = promises.resolve()
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        root = Path(os.environ.get(name) or os.devnull).resolve()
        if whole.is_relative_to(root):
            return whole.relative_to(root).as_posix()
    try:
        done = subprocess.run(
            ["git", "-C", str(whole.parent), "rev-parse", "--show-toplevel"],  # noqa: S607 - the git of the user
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        root = Path(done.stdout.strip()).resolve()
        if done.returncode == 0 and whole.is_relative_to(root):
            return whole.relative_to(root).as_posix()
    except (OSError, subprocess.TimeoutExpired):
        return whole.name
    return whole.name


def print_github(annotations: Iterable[Annotation], out: TextIO) -> None:
    """Prints workflow commands, one line each (GitHub, Workflow commands, "Setting an error message")."""
    for a in annotations:
        where = f"file={_property(a.file)},line={a.line},title={_property(a.title)}"
        print(f"::{a.level} {where}::{_data(a.text)}", file=out, flush=True)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Guard:
    """Makes GitHub's runner deaf to commands until it is lifted: a name that looks like a command is then text."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._token = out, f"kpi-{secrets.token_hex(16)}"
        print(f"::stop-commands::{self._token}", file=out, flush=True)

    def lift(self) -> None:
        """Lets the runner listen again; only the guard knows the word for it."""
        print(f"::{self._token}::", file=self._out, flush=True)


class Announcer:
    """What GitHub's runner hears of a run: nothing until it has ended, then its annotations where they are wanted."""

    def __init__(self, out: TextIO, form: str) -> None:
        self._out, self._form = out, form
        self._guard = Guard(out) if form == "github" or on_github() else None

    def end(self, evidence: Evidence | None, promises: Path) -> None:
        """Says what there is to say; ``evidence`` None when nothing was judged."""
        if self._guard is not None:
            self._guard.lift()
        if self._form == "github" and evidence is not None:
            print_github(annotate(evidence, promises), self._out)


def on_github() -> bool:
    """Whether GitHub's runner reads along."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def write_gitlab(annotations: Sequence[Annotation], folder: Path) -> None:
    """Writes the code quality report (GitLab, Code Quality report format)."""
    from harness.core.files import write_atomically

    report = [
        {
            "description": f"{a.title}: {a.text}",
            "check_name": "kpi",
            "fingerprint": hashlib.sha256(a.identity.encode("utf-8", "replace")).hexdigest(),
            "severity": _SEVERITY[a.level],
            "location": {"path": a.file, "lines": {"begin": a.line}},
        }
        for a in annotations
    ]
    write_atomically(folder / GITLAB_FILE, json.dumps(report, indent=1) + "\n")
