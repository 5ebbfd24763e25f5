"""A project with one model file, whose candidate is held against what was released; it before and after that."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.support.model_files import FAST, Array, save
from tests.support.packages import Done, kpi
from tests.support.project import Project

SAMPLES, CLASSES = 4000, 10
POINTER = "releases/digits.json"
Members = dict[str, bytes]
TOML = (
    FAST
    + """
[workload.digits]
task = "tabular-classification"
model = "digits.onnx"
data = { evaluation = "digits.npz", training = "training.npz" }
reference = "as-delivered"

[workload.digits.recipe.as-delivered]
runtime = "onnxruntime"

[workload.digits.recipe.candidate]
runtime = "onnxruntime"
model = "candidate.onnx"

[workload.digits.recipe.released]
runtime = "onnxruntime"
package = "releases/digits.json"

[[kpi]]
name = "digits-ships"
workload = "digits"
recipe = "candidate"
machine = "any-cpu"
first_release = true

[kpi.targets]
"accuracy.top1" = ["drop <= 0.5 pp vs released", ">= 50 %"]
"latency.p50" = "<= 20 x released"
"size" = "<= 1.5 x released"
"""
)
NEXT = TOML.replace("first_release = true\n", "")
"""The same once there is a release."""


def counter(file: Path, *, layers: int = 1, width: int = 16, wrong: float = 0.0) -> Path:
    """A model that says which of its first ten numbers is the largest, after layers that change nothing.

    Of the samples whose last number lies below ``wrong`` it says another one: that number is uniform from 0 to 1.
    """
    identity = np.eye(width, dtype=np.float32)
    pick, shifted = (np.zeros((width, CLASSES), dtype=np.float32) for _ in range(2))
    pick[range(CLASSES), range(CLASSES)] = 1
    shifted[range(CLASSES), [*range(1, CLASSES), 0]] = 1
    nodes, last = [], "x"
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [last, "identity"], [f"h{layer}"], name=f"layer{layer}"))
        last = f"h{layer}"
    nodes += [
        helper.make_node("MatMul", [last, "pick"], ["right"]),
        helper.make_node("MatMul", [last, "shifted"], ["other"]),
        helper.make_node("Slice", ["x", "start", "end", "axis"], ["chance"]),
        helper.make_node("Less", ["chance", "wrong"], ["broken"]),
        helper.make_node("Where", ["broken", "other", "right"], ["scores"]),
    ]
    weights: dict[str, Array] = {
        "identity": identity,
        "pick": pick,
        "shifted": shifted,
        "wrong": np.array(wrong, np.float32),
        "start": np.array([width - 1], np.int64),
        "end": np.array([width], np.int64),
        "axis": np.array([1], np.int64),
    }
    return save(file, nodes, {"x": ["n", width]}, {"scores": ["n", CLASSES]}, weights)


def data(file: Path, count: int, seed: int, width: int = 16) -> Path:
    """Samples of which the largest of the first ten numbers is the label, four in five times."""
    random = np.random.default_rng(seed)
    x = random.random((count, width)).astype(np.float32)
    label = x[:, :CLASSES].argmax(axis=1)
    label = np.where(random.random(count) < 0.8, label, (label + 3) % CLASSES)
    np.savez(file, x=x, label=label.astype(np.int64))
    return file


def releasing_project(folder: Path, store: Path, *, width: int = 16, layers: int = 1) -> Project:
    """The project: nothing was released yet, and the candidate is the model as it was delivered."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("digits.onnx", "candidate.onnx"):
        counter(folder / name, width=width, layers=layers)
    data(folder / "digits.npz", SAMPLES, 1, width)
    data(folder / "training.npz", 200, 2, width)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    made = Project(folder, store)
    made.toml.write_text(TOML, encoding="utf-8")
    return made


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Project:
    """A project with its first release, and the evidence of a run that held the same model against it."""
    project = releasing_project(tmp_path_factory.mktemp("releases") / "digits", shared_store)
    project.leave_alone()
    assert project.pytest().returncode == 0
    assert project.recomputed().returncode == 0
    done = kpi(project, "release", "digits-ships")
    assert "(the first release)" in done.stdout, done.stderr
    project.toml.write_text(NEXT, encoding="utf-8")
    assert project.pytest().returncode == 0
    return project


@pytest.fixture
def copy(released: Project, tmp_path: Path) -> Project:
    """The same, which a test may break."""
    shutil.copytree(released.folder, tmp_path / "digits")
    return Project(tmp_path / "digits", released.store)


def moves(project: Project) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((project.folder / POINTER).read_text(encoding="utf-8"))["moves"]
    return found


def archive(project: Project) -> Path:
    return project.folder / "releases" / moves(project)[-1]["place"]


def edited(project: Project, edit: Callable[[Members], None]) -> None:
    """The released archive with other members, in the same order."""
    with tarfile.open(archive(project)) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    edit(members)
    with tarfile.open(archive(project), "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def refused(done: Done, said: str) -> None:
    """One line, which says why."""
    assert done.returncode in (1, 4), done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def built(project: Project) -> str:
    """What is said of the released recipe where it is built."""
    (line,) = [said for said in kpi(project, "build", "digits-ships").stdout.splitlines() if "/released: " in said]
    return line
