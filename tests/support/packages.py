"""A run that proves one KPI of four, shared by the tests of what is packed from it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from harness.cli.main import main
from tests.support.project import Project, make_project

PROVEN = "stripes-int8"
SLOW = """
[[kpi]]
name = "stripes/too big"
workload = "stripes"
recipe = "int8"
machine = "any-cpu"
targets = { "accuracy.top1" = ">= 10 %", "size" = "< 1 kB" }

[machine.other]
device = "cpu"
cpu = "Some Other Processor*"

[[kpi]]
name = "elsewhere"
workload = "stripes"
recipe = "int8"
machine = "other"
targets = { "latency.p50" = "< 1 min" }

[[kpi]]
name = "no-gpu"
workload = "stripes"
recipe = "int8"
machine = "gpu"
targets = { "latency.p50" = "< 1 min" }

[machine.gpu]
device = "gpu"
gpu = "NVIDIA Nothing*"
"""


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def kpi(project: Project, *arguments: str) -> Done:
    """Runs the command in this process, as if it were called in the project's folder."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(project.folder),
        patch.dict(os.environ, {"KPI_STORE": str(project.store), **project.environment}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def artifact(project: Project) -> Path:
    """The folder, in the store, of the artifact that was proven."""
    evidence = json.loads((project.folder / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))
    digest = next(t["artifact"] for t in evidence["targets"] if t["kpi"] == PROVEN)
    found = project.store.glob("objects/*/manifest.json")
    return next(path.parent for path in found if json.loads(path.read_text(encoding="utf-8"))["digest"] == digest)


@pytest.fixture(scope="session")
def proven_run(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Project:
    """A run that proves one KPI of four."""
    project = make_project(tmp_path_factory.mktemp("run"), shared_store)
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(SLOW)
    project.change('task = "image-classification"', 'task = "image-classification"\nlicence = "Apache-2.0"')
    assert project.pytest().returncode == 1
    return project


@pytest.fixture
def here(proven_run: Project, tmp_path: Path) -> Project:
    """The same run with a folder and a store that a test may break."""
    shutil.copytree(proven_run.folder / ".kpi", tmp_path / "run/.kpi")
    shutil.copy(proven_run.toml, tmp_path / "run/kpis.toml")
    shutil.copytree(artifact(proven_run), tmp_path / "store/objects" / artifact(proven_run).name)
    return Project(tmp_path / "run", tmp_path / "store")
