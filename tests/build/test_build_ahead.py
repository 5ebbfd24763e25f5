"""Artifacts are built ahead of the tests that ask for them, and nothing is timed before that ended."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from harness.build.ahead import BuildAhead
from harness.build.pool import parts_of
from harness.build.store import Store
from harness.spec.model import Spec
from harness.spec.reader import read_spec
from tests.support.project import FEW_LOOKS, Project

pytestmark = pytest.mark.suite

THIRD = """
[workload.stripes.recipe.int8-more]
runtime = "onnxruntime"
passes = ["onnx", { pass = "onnx-static-int8", calibration = 32 }]

[[kpi]]
name = "more"
workload = "stripes"
recipe = "int8-more"
machine = "any-cpu"
targets = { "latency.p50" = "< 50 ms", "size" = "< 20 kB" }
"""

SLOW = """
[workload.slow]
task = "image-classification"
fixture = "fixtures.slow"
reference = "fp32"

[workload.slow.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[workload.slow.recipe.int8]
runtime = "onnxruntime"
passes = ["onnx", { pass = "onnx-static-int8", calibration = 32 }]

[[kpi]]
name = "slow"
workload = "slow"
recipe = "int8"
machine = "any-cpu"
targets = { "latency.p50" = "< 50 ms" }

[[kpi]]
name = "slow-fp32"
workload = "slow"
recipe = "fp32"
machine = "any-cpu"
targets = { "latency.p50" = "< 50 ms" }
"""


@pytest.fixture
def spec(project: Project, tmp_path: Path) -> Spec:
    project.store = tmp_path / "own-store"
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(THIRD)
    return read_spec(project.toml)


def recipes(spec: Spec) -> list[str]:
    return [recipe.key for recipe in spec.workloads["stripes"].recipes.values()]


def start(spec: Spec, store: Path, log: Path) -> BuildAhead:
    return BuildAhead(parts_of(spec, spec.workloads["stripes"].recipes.values(), store, install=False), 2, log)


def test_what_is_built_ahead_is_in_the_store(spec: Spec, project: Project, tmp_path: Path) -> None:
    log, said = tmp_path / "ahead.log", list[str]()
    start(spec, Store(project.store).root, log).wait(said.append)
    built = log.read_text(encoding="utf-8")
    assert all(f"  {key}\n" in built for key in recipes(spec))
    # The ONNX file of all three once, two quantized ones, the samples of the requests.
    assert len(list(Store(project.store).artifacts())) == 4
    assert said
    assert said[0].startswith("build: artifacts of 1 workload, before anything is timed")


def test_a_recipe_that_can_not_be_built_stops_nothing(spec: Spec, project: Project, tmp_path: Path) -> None:
    fixture = project.folder / "fixtures/stripes/__init__.py"
    fixture.write_text(fixture.read_text(encoding="utf-8").replace("def split(self", "def lost(self"), "utf-8")
    log = tmp_path / "ahead.log"
    start(spec, Store(project.store).root, log).wait(lambda _: None)
    assert log.read_text(encoding="utf-8").count("broken") == 3


def test_stopped_it_leaves_no_process(spec: Spec, project: Project, tmp_path: Path) -> None:
    others = set(psutil.Process().children(recursive=True))
    ahead = start(spec, Store(project.store).root, tmp_path / "ahead.log")
    deadline = time.monotonic() + 30
    while not (children := {*psutil.Process().children(recursive=True)} - others) and time.monotonic() < deadline:
        time.sleep(0.02)
    ahead.stop()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children
    assert not alive
    ahead.wait(lambda _: None)  # of what has ended nobody waits


def test_nothing_is_timed_while_artifacts_are_built(spec: Spec, project: Project) -> None:
    done = project.pytest("-v")
    assert done.returncode == 0, done.stdout
    assert set(project.verdicts().values()) == {"PASS"}
    run = next((project.folder / ".kpi/runs").iterdir())
    # The process that builds ahead said what it built, or found built by the test that needed it first.
    assert all(f"  {key}\n" in (run / "build-ahead.log").read_text(encoding="utf-8") for key in recipes(spec))
    last = max(path.stat().st_mtime for path in project.store.glob("objects/*/manifest.json"))
    timed = [
        datetime.fromisoformat(process["started"]).timestamp()
        for measurement in project.evidence()["measurements"]
        for process in measurement["processes"]
        if measurement["scenario"] == "single-stream"
    ]
    assert len(timed) >= 4
    assert min(timed) > last - 1


def test_the_order_of_the_tests_is_that_of_their_cost(spec: Spec, project: Project) -> None:
    del spec
    collected = project.pytest("--collect-only", "-q").stdout
    ids = [line.partition("[")[2].rstrip("]") for line in collected.splitlines() if "::" in line]
    assert ids[-2:] == ["stripes-int8:p50", "more:p50"]
    assert json.dumps(ids).index("size") < json.dumps(ids).index("top1")


@pytest.mark.long
def test_waiting_for_what_is_built_takes_nothing_from_a_targets_budget(project: Project, tmp_path: Path) -> None:
    project.store = tmp_path / "own-store"
    stripes, slow = (project.folder / "fixtures" / name for name in ("stripes", "slow"))
    shutil.copytree(stripes, slow)
    file = slow / "__init__.py"
    text = file.read_text(encoding="utf-8").replace(
        "        import torch", "        import time\n\n        import torch\n\n        time.sleep(12)", 1
    )
    file.write_text(text, encoding="utf-8")
    project.change(FEW_LOOKS, 'looks = [1, 2]\nconfidence = "70 %"\nbudget = "6 s"\n')
    with project.toml.open("a", encoding="utf-8") as toml:
        toml.write(SLOW)
    done = project.pytest("-k", "p50")
    assert done.returncode == 0, done.stdout
    # The first look can't decide, and the second comes long after the slow workload was built.
    assert {name: verdict for name, verdict in project.verdicts().items() if "p50" in name} == {
        "stripes-int8:p50": "PASS",
        "slow:p50": "PASS",
        "slow-fp32:p50": "PASS",
    }
