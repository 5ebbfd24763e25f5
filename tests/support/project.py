"""A small project of its own, made from the guide's example, judged in processes of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.plain_evidence import read_plain

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [ROOT / "kpis.toml", *sorted((ROOT / "fixtures").glob("*/kpis.toml"))]
"""What the project promises itself."""


not_marked = ""
"""What is wrong when the test that runs now starts the suite: see ``speeds.py``."""


FEW_LOOKS = 'looks = [2]\nconfidence = "70 %"\n'


@dataclass
class Project:
    """A folder with promises and a fixture."""

    folder: Path
    store: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def toml(self) -> Path:
        return self.folder / "kpis.toml"

    def change(self, old: str, new: str) -> None:
        """Replaces text in kpis.toml that must be there."""
        text = self.toml.read_text(encoding="utf-8")
        assert old in text
        self.toml.write_text(text.replace(old, new), encoding="utf-8")

    def look_as_usual(self) -> None:
        """With as many processes, and as much confidence, as where a file says nothing of it."""
        self.change(FEW_LOOKS, "")

    def leave_alone(self) -> None:
        """As if on a machine of its own: what else runs is not a disturbance, so that FAIL can be decided."""
        (self.folder / "conftest.py").write_text(
            "from harness.measure import runner\n\nrunner.disturbance = lambda *_: ''\n", encoding="utf-8"
        )

    def command(self, *arguments: str, pyargs: bool = True) -> list[str]:
        assert not not_marked, not_marked
        # What the harness's own tests bring takes a second to import, and no project of a user needs it.
        left_out = ["-p", "no:hypothesispytest", "-p", "no:anyio"]
        plugins = ["-p", "harness.pytest_plugin", "-p", "no:cacheprovider", *left_out]
        return [sys.executable, "-m", "pytest", *(["--pyargs", "kpi_tests"] if pyargs else []), *plugins, *arguments]

    @property
    def variables(self) -> dict[str, str]:
        # What coverage.py needs to follow the child is let through.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "KPI_"))}
        return {**kept, "PYTHONPATH": str(ROOT), "KPI_STORE": str(self.store), "COLUMNS": "100", **self.environment}

    def pytest(self, *arguments: str, timeout: float = 300, pyargs: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs the suite on this project; without ``pyargs`` only what the arguments name."""
        return subprocess.run(
            self.command(*arguments, pyargs=pyargs),
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``kpi`` with these arguments, called in the project."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "harness.cli.main", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def stop_when(self, reached: Callable[[], bool], number: int, *arguments: str) -> None:
        """Starts the suite and sends it a signal once something was reached."""
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and not reached():
                time.sleep(0.02)
            os.kill(process.pid, number)
            process.communicate(timeout=60)

    def recomputed(self) -> subprocess.CompletedProcess[str]:
        """What the program that knows nothing of the harness says of the latest run's verdicts."""
        call = [sys.executable, str(ROOT / "examples/replay.py"), str(self.folder / ".kpi/latest/evidence.json")]
        return subprocess.run(call, capture_output=True, text=True, check=False)

    def evidence(self) -> dict[str, Any]:
        """The evidence of the latest run, its numbers in plain lists."""
        return read_plain(self.folder / ".kpi/latest/evidence.json")

    def verdicts(self) -> dict[str, str]:
        """Verdict by target id; fails when a target is there twice."""
        targets = self.evidence()["targets"]
        by_id = {target["id"]: target["verdict"] for target in targets}
        assert len(by_id) == len(targets)
        return by_id


def guide_examples() -> Mapping[str, str]:
    """The files that the guide tells a newcomer to write, by path."""
    text = (ROOT / "docs/workloads.md").read_text(encoding="utf-8")
    found = re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found
    return dict(found)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The lock on a device is a file among the temporary ones: tests wait for no measurement but their own."""
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the whole test run, of all processes of pytest-xdist, so that each artifact is built once."""
    base = tmp_path_factory.getbasetemp()
    store = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "store"
    store.mkdir(exist_ok=True)
    return store


def make_project(folder: Path, store: Path) -> Project:
    """The guide's example as a project of its own; few samples and looks, since what is tested is not the speed."""
    for name, text in guide_examples().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    made = Project(folder, store)
    made.toml.write_text(
        f'[measure]\nseconds = "20 ms"\nsamples = 20\n{FEW_LOOKS}\n' + made.toml.read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    return made


def copied_project(name: str | Path, folder: Path, store: Path) -> Project:
    """One of the projects that the tests bring along, or that is in a folder elsewhere, with a folder of its own."""
    source = ROOT / "tests/projects" / name
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    return Project(copy, store)


@pytest.fixture
def project(tmp_path: Path, shared_store: Path) -> Project:
    """A fresh project for each test, artifacts shared."""
    return make_project(tmp_path, shared_store)
