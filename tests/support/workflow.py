"""Plays the jobs of a GitHub workflow on this machine: its commands as they are written, its artifacts as files."""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.project import ROOT

_TOOLS = {
    "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
    "kpi": f'#!/bin/sh\nexec "{sys.executable}" -P -m harness.cli.main "$@"\n',
}


@dataclass
class Forge:
    """One run of a workflow: the commit as a folder, artifacts by name, what each job ended with.

    ``runners`` are the labels that the workflow is given. ``makes`` says what `make .venv/ready` leaves: the programs.
    """

    workflow: Path
    checkout: Path
    folder: Path
    runners: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    results: dict[str, bool] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def run(self, **environment: str) -> bool:
        """Plays the first attempt, or what "Re-run failed jobs" plays: jobs that failed, and those that need them."""
        self.attempt += 1
        self.environment = environment
        jobs = yaml.safe_load(self.workflow.read_text(encoding="utf-8"))["jobs"]
        again: set[str] = set()
        for name, job in jobs.items():
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            for which, values in self._variants(name, job):
                if self.results.get(which) and not again & set(needs):
                    continue
                again.add(name)
                ready = all(ok for other, ok in self.results.items() if other.partition(" ")[0] in needs)
                if ready or job.get("if") == "always()":
                    self.results[which] = self._job(which, job, values)
        return all(self.results.values())

    def _variants(self, name: str, job: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
        matrix = job.get("strategy", {}).get("matrix", {})
        axes = {key: self.runners if "fromJSON" in str(value) else value for key, value in matrix.items()}
        found = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        return [(" ".join([name, *values.values()]), values) for values in found]

    def _job(self, name: str, job: Mapping[str, Any], matrix: Mapping[str, str]) -> bool:
        """A job begins with the checkout alone; a step that fails skips those that do not say always()."""
        place = self.folder / f"{name.replace(' ', '-')}-{self.attempt}"
        shutil.copytree(self.checkout, place)
        good = True
        for step in job["steps"]:
            if good or step.get("if") == "always()":
                good = self._step(step, place, matrix) and good
        return good

    def _step(self, step: Mapping[str, Any], place: Path, matrix: Mapping[str, str]) -> bool:
        values = {name: self._filled(str(value), matrix) for name, value in step.get("with", {}).items()}
        if "uses" in step:
            action = step["uses"].partition("@")[0].removeprefix("actions/")
            if action == "upload-artifact":
                return self._upload(place, **values)
            if action == "download-artifact":
                return self._download(place, **values)
            assert action in ("checkout", "setup-python", "cache"), action
            return True
        if step["run"] == "make .venv/ready":
            for name, text in _TOOLS.items():
                tool = place / ".venv/bin" / name
                tool.parent.mkdir(parents=True, exist_ok=True)
                tool.write_text(text, encoding="utf-8")
                tool.chmod(0o755)
            return True
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "KPI_", "GITHUB_"))}
        own = {name: self._filled(str(value), matrix) for name, value in step.get("env", {}).items()}
        own |= {"PYTHONPATH": str(ROOT), "KPI_STORE": str(place / ".kpi-store"), **self.environment}
        own |= {"GITHUB_RUN_ATTEMPT": str(self.attempt), "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md")}
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=place,
            env={**kept, **own},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        return done.returncode == 0

    def _filled(self, text: str, matrix: Mapping[str, str]) -> str:
        known = {f"matrix.{name}": value for name, value in matrix.items()} | {"github.run_attempt": str(self.attempt)}
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], text)

    def _upload(self, place: Path, name: str, path: str, overwrite: str = "False", **_: str) -> bool:
        """The content of a folder; a name that is taken is refused unless the step says that it replaces it."""
        target = self.folder / "artifacts" / name
        if not (place / path).exists():
            return False
        if target.exists():
            assert overwrite == "True", f"the artifact {name} is there already"
            shutil.rmtree(target)
        shutil.copytree(place / path, target)
        return True

    def _download(self, place: Path, path: str, name: str = "", pattern: str = "", **options: str) -> bool:
        """One artifact by name, or all that fit a pattern, merged in one folder."""
        assert name or options.get("merge-multiple") == "True"
        found = sorted(p for p in (self.folder / "artifacts").iterdir() if fnmatch.fnmatch(p.name, pattern or name))
        for artifact in found:
            shutil.copytree(artifact, place / path, dirs_exist_ok=True)
        return bool(found)


def verdicts(forge: Forge) -> dict[str, str]:
    """What the merge of the latest attempt says of each target."""
    from tests.support.plain_evidence import read_plain

    return {t["id"]: t["verdict"] for t in read_plain(forge.folder / "artifacts/kpis/evidence.json")["targets"]}


def runners(workflow: Path) -> list[str]:
    """The labels that the workflow is for unless it is given others."""
    text = workflow.read_text(encoding="utf-8")
    found: list[str] = json.loads(re.search(r"default: '(\[.*\])'", text)[1])  # type: ignore[index]
    return found
