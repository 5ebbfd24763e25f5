"""Recipes with an environment of their own on a machine that is reached: what runs files is made there, no more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable
from harness.core.executorch import BUILDING
from harness.measure.reach.pinned import environment_keys, python_for, running_file
from tests.support.boards import NAME, needs_sshd, serving
from tests.support.model_files import FAST
from tests.support.project import ROOT, Project

RUNNING = ROOT / "harness/measure/reach/requirements/environments"
PYTHONS = [f"python3.{minor}" for minor in range(12, 20)]

TEXT = f"""
[machine.edge]
device = "edge"
reach = "ssh:{NAME}"

[workload.program]
task = "tensors"
model = "small.pte"
data = "small.npz"
reference = "as-delivered"

[workload.program.recipe.as-delivered]
runtime = "executorch"
environment = "executorch"

[workload.program.recipe.int8]
runtime = "executorch"
environment = "executorch"
model = "small-int8.pte"

[workload.dense]
task = "tensors"
model = "dense.tflite"
data = "dense.npz"
reference = "as-delivered"

[workload.dense.recipe.as-delivered]
runtime = "litert"
environment = "litert"

[workload.dense.recipe.ncnn]
runtime = {{ name = "ncnn", threads = 1 }}
model = "dense.param"

[[kpi]]
name = "program"
workload = "program"
recipe = "int8"
machine = "edge"
targets = {{ "parity.relative_error" = "<= 5 %", "quantized.ops" = ">= 99 %", "latency.p50" = "< 1 s" }}

[[kpi]]
name = "dense"
workload = "dense"
recipe = "ncnn"
machine = "edge"
targets = {{ "parity.relative_error" = "<= 1 %", "latency.p50" = ["< 1 s", "<= 100000 x as-delivered"] }}
"""


def newer_python() -> str | None:
    """A Python 3.12 or later on the PATH that runs."""
    for found in filter(None, map(shutil.which, PYTHONS)):
        if subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return found
    return None


def linked_environments(store: Path) -> None:
    """Lets a store have the environments in which such files are built; skips where they are not installed."""
    made = Environments(Store(), ROOT)
    for name in (BUILDING, "litert"):
        if not made.exists(name):
            pytest.skip(f"the environment is not installed: kpi env create {name}")
    (store / "env").mkdir(parents=True, exist_ok=True)
    for name in (BUILDING, "litert"):
        link = store / "env" / made.path(name).name
        if not link.exists():
            link.symlink_to(made.path(name), target_is_directory=True)


def delivered(folder: Path) -> None:
    """Small files as delivered for each runtime, with their data and promises."""
    from tests.support import ncnn_files, tflite_files
    from tests.support.pte_files import FLOAT, INT8

    folder.mkdir()
    for file in (FLOAT, INT8):
        shutil.copy(file, folder)
    rng = np.random.default_rng(0)
    np.savez(folder / "small.npz", image=rng.uniform(0, 1, (40, 1, 16, 16)).astype(np.float32))
    weight = rng.normal(0, 0.05, (64, 256)).astype(np.float32)
    tflite_files.dense(folder / "dense.tflite", weight)
    ncnn_files.dense(folder / "dense.param", weight)
    np.savez(folder / "dense.npz", image=rng.uniform(-1, 1, (40, 256)).astype(np.float32))
    (folder / "kpis.toml").write_text(FAST + TEXT, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


@pytest.mark.suite
@pytest.mark.long
@needs_sshd
def test_a_board_runs_each_runtime_in_an_environment_of_its_own(tmp_path: Path, shared_store: Path) -> None:
    pytest.importorskip("ncnn")
    pytest.importorskip("ai_edge_litert")
    if (python := newer_python()) is None:
        pytest.skip("no Python 3.12 or later is on the PATH as python3.N")
    linked_environments(shared_store)
    there, folder = tmp_path / "there", tmp_path / "project"
    delivered(folder)
    with serving(tmp_path / "board", there, PATH=f"{Path(python).parent}:{os.environ['PATH']}") as board:
        project = Project(folder, shared_store, board.environment)
        project.leave_alone()
        said = " ".join(project.cli("reach", "doctor", "edge").stdout.split())
        assert "kpi reach setup edge enables program, dense" in said
        done = project.cli("reach", "setup", "edge")
        assert done.returncode == 0, done.stderr
        paths = [line.split() for line in done.stdout.splitlines()]
        assert [words[1:] for words in paths] == [[], ["executorch"], ["litert"]]
        for path, *_ in paths:
            assert not list(Path(path).glob("lib/python*/site-packages/torch"))
        said = " ".join(project.cli("reach", "doctor", "edge").stdout.split())
        assert "executorch executorch-numpy-runtime 1.4.0 in " in said
        assert "litert ai-edge-litert 2.3.0 in " in said
        assert "nothing is missing" in said

        judged = project.pytest(timeout=600)
        assert set(project.verdicts().values()) == {"PASS"}, judged.stdout
        assert len(project.verdicts()) == 6
        assert board.nothing_left()
    evidence = project.evidence()
    assert list(evidence["reached"]) == ["edge"]
    assert {(m["recipe"], m["machine"], m["environment"]) for m in evidence["measurements"]} == {
        ("program/int8", "edge", "executorch"),
        ("program/as-delivered", "edge", "executorch"),
        ("dense/ncnn", "edge", None),
        ("dense/as-delivered", "edge", "litert"),
    }
    libraries = {p["proof"]["details"].get("library") for m in evidence["measurements"] for p in m["processes"]}
    assert "executorch-numpy-runtime" in libraries
    assert project.recomputed().returncode == 0

    # Made for another machine of the same kind: what a recipe names is not there, and the rest is judged all the same.
    shutil.rmtree(Path(paths[1][0]))
    with serving(tmp_path / "second", there) as board:
        project.environment.update(board.environment)
        project.pytest("-k", "p50", timeout=600)
        reasons = {(line["kpi"], line["verdict"]): line["reason"] for line in project.evidence()["targets"]}
        assert ("dense", "PASS") in reasons
        assert "edge: " in reasons["program", "UNAVAILABLE"]


def test_what_only_runs_is_of_the_versions_that_are_built_with() -> None:
    for file in sorted(RUNNING.glob("*.txt")):
        built = (ROOT / "harness/build/requirements" / file.name).read_text(encoding="utf-8")
        light = (RUNNING.parent / "x86_64.txt").read_text(encoding="utf-8").splitlines()
        plain = (ROOT / "harness/build/requirements/executorch-numpy-runtime.txt").read_text(encoding="utf-8")
        pins = [line for line in file.read_text(encoding="utf-8").splitlines() if "==" in line]
        known = {*light, *plain.splitlines(), *(line.partition(";")[0] for line in built.splitlines())}
        assert [pin for pin in pins if pin not in known] == []
        assert not [pin for pin in pins if pin.startswith("torch")]


def test_a_project_says_what_its_environment_needs_on_a_board(tmp_path: Path) -> None:
    assert running_file("aarch64", tmp_path, "executorch") == RUNNING / "executorch.txt"
    own = tmp_path / "environments"
    own.mkdir()
    (own / "mine.txt").write_text("numpy==2.4.6\n", encoding="utf-8")
    before = environment_keys(tmp_path)
    assert running_file("aarch64", tmp_path, "mine") == own / "mine.txt"
    (own / "reach-aarch64-mine.txt").touch()
    assert running_file("aarch64", tmp_path, "mine") == own / "reach-aarch64-mine.txt"
    assert running_file("x86_64", tmp_path, "mine") == own / "mine.txt"
    # It is no architecture: the agent is never started in it.
    assert environment_keys(tmp_path) == before
    with pytest.raises(KpiError, match='unknown environment "mien"; did you mean "mine"'):
        running_file("x86_64", tmp_path, "mien")


def test_the_python_that_an_environment_asks_for() -> None:
    file, pythons = RUNNING / "executorch.txt", {"3.11.2": "/usr/bin/python3", "3.13.5": "/opt/bin/python3.13"}
    assert python_for(file, pythons, "edge") == ("3.13.5", "/opt/bin/python3.13")
    assert python_for(RUNNING / "litert.txt", pythons, "edge") == ("3.11.2", "/usr/bin/python3")
    with pytest.raises(Unavailable, match=r"executorch needs Python 3\.12 or later, edge has 3\.11\.2"):
        python_for(file, {"3.11.2": "/usr/bin/python3"}, "edge")
