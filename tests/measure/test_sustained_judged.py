"""Targets about the last minute, and about a machine that has cooled down, judged by the suite."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.measure.machine.temperature import temperature
from tests.measure.test_temperature import heat, zone
from tests.support.board_project import board_project
from tests.support.boards import Board, may_mount, needs_sshd, own_store, serving, showing
from tests.support.model_files import FAST, digits_data, digits_model
from tests.support.project import Project

needs_mount = pytest.mark.skipif(not may_mount(), reason="needs the right to mount")
pytestmark = pytest.mark.suite

TEXT = (
    FAST
    + """
[workload.digits]
task = "image-classification"
model = "digits.onnx"
data = "digits.npz"

[workload.digits.recipe.large]
runtime = { name = "onnxruntime", threads = 1 }
scenario.sustained = { minutes = 0.05 }

[workload.digits.recipe.again]
runtime = { name = "onnxruntime", threads = 1, level = "basic" }
scenario.sustained = { minutes = 0.05 }

[[kpi]]
name = "warm"
workload = "digits"
recipe = "large"
machine = "any-cpu"

[kpi.targets]
"sustained.latency.p50" = ["< 1 s", "< 1 ns"]
"sustained.latency.p99" = "< 1 s"
"sustained.latency.p90" = "<= 1000 x again"
"sustained.throughput" = "> 0.1 fps"
"sustained.slowdown" = ["<= 100 x", "<= 0.001 x"]
"""
)
FALSE = ("< 1 ns", "<= 0.001 x")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    digits_model(tmp_path / "digits.onnx")
    digits_data(tmp_path / "digits.npz")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    made = Project(tmp_path, tmp_path / "store")
    made.toml.write_text(TEXT, encoding="utf-8")
    made.leave_alone()
    return made


def test_the_last_part_is_judged_and_the_first_is_shown(project: Project) -> None:
    listed = project.cli("list").stdout
    # The pairs with another recipe take longest.
    assert "a PASS takes at least 0.2 min: 2 x 0.1 min" in listed
    done = project.pytest()
    targets = project.evidence()["targets"]
    assert {t["bound"]: t["verdict"] for t in targets} == {
        t["bound"]: "FAIL" if t["bound"] in FALSE else "PASS" for t in targets
    }, done.stdout
    assert len(targets) == 7
    # Six targets of one recipe, and one that holds it against another: two processes of each are enough for all.
    timed = [m for m in project.evidence()["measurements"] if m["scenario"] == "sustained"]
    assert [len(m["processes"]) for m in timed] == [2, 2]
    for process in (process for m in timed for process in m["processes"]):
        assert len(process["details"]["windows"]["end_s"]) >= 60
        assert process["system"].get("cooled") is None
    assert "in the first 1.00 s" in done.stdout
    said = project.cli("explain", "warm").stdout
    assert said.count(" in the first 1.00 s, ") == 7
    assert project.recomputed().returncode == 0
    assert "7 recomputed" in project.recomputed().stdout
    page = (project.folder / ".kpi/latest/report.html").read_text(encoding="utf-8")
    assert page.count("From the first minute to the last") == 2
    latest = str(project.folder / ".kpi/latest/evidence.json")
    compared = project.cli("compare", latest, latest)
    assert compared.returncode == 0, compared.stderr
    assert "sustained.slowdown" in compared.stdout


@pytest.mark.long
def test_what_was_proven_can_be_packed_and_checked(project: Project) -> None:
    project.change('["< 1 s", "< 1 ns"]', '"< 1 s"')
    project.change('["<= 100 x", "<= 0.001 x"]', '"<= 100 x"')
    assert project.pytest().returncode == 0
    packed = project.cli("package", "warm", "--out", "warm.tar.gz")
    assert packed.returncode == 0, packed.stderr
    checked = project.cli("verify", "warm.tar.gz")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(temperature() is not None, reason="this machine shows its temperature")
def test_without_a_temperature_nothing_is_measured(project: Project) -> None:
    project.change("looks = [2]", 'looks = [2]\ncool_to = "50 °C"')
    done = project.pytest("-k", "p99")
    (target,) = [t for t in project.evidence()["targets"] if t["cause"] != "unselected"]
    assert target["verdict"] == "UNAVAILABLE", done.stdout
    assert "this machine does not show it" in target["reason"]
    assert "leave out cool_to" in target["remedy"]
    assert project.evidence()["measurements"] == []


@contextmanager
def cooling(folder: Path, working: Callable[[], object]) -> Iterator[None]:
    """A sensor that shows 61 °C until a process has begun to wait, then less and less."""
    stopped = threading.Event()

    def cool() -> None:
        while not working() and not stopped.wait(0.05):
            continue
        for celsius in (61, 58, 54, 51, 47):
            heat(folder, celsius)
            stopped.wait(1.0)

    thread = threading.Thread(target=cool)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _workers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "harness.measure.worker" in _command(child) and time.time() - child.create_time() > 2
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@needs_mount
def test_a_process_waits_until_the_machine_has_cooled_down(project: Project) -> None:
    folder = zone(project.folder, 0, "cpu-thermal", 61)
    project.change('device = "cpu"', 'device = "cpu"\ncool_to = "50 °C"')
    command = showing({"/sys/class/thermal": folder.parent}, project.command("-k", "p99"))
    with cooling(folder, _workers):
        done = subprocess.run(
            command, cwd=project.folder, env=project.variables, capture_output=True, text=True, check=False, timeout=300
        )
    (measured,) = project.evidence()["measurements"]
    waits = [process["system"]["cooled"] for process in measured["processes"]]
    assert [one["cool_to"] for one in waits] == [50, 50]
    assert (waits[0]["before"], waits[0]["after"]) == (61, 47)
    assert waits[0]["seconds"] > 2
    assert waits[1]["before"] == waits[1]["after"] == 47
    assert measured["conditions"]["cool_to"] == 50
    assert "2 processes began at 50 °C or less" in " ".join(done.stdout.replace("↳", "").split())
    for process in measured["processes"]:
        assert set(process["details"]["windows"]["celsius"]) == {47.0}
        assert process["wall_s"] < process["system"]["life_s"] - process["system"]["cooled"]["seconds"] + 1


@needs_mount
@needs_sshd
@pytest.mark.long
def test_a_board_that_is_reached_is_as_warm_as_it_says(tmp_path: Path, shared_store: Path) -> None:
    folder = zone(tmp_path, 0, "cpu-thermal", 61)
    with serving(tmp_path / "board", own_store(tmp_path, shared_store), {"/sys/class/thermal": folder.parent}) as board:
        project = _edge(tmp_path / "project", shared_store, board)
        assert project.cli("reach", "setup", "edge").returncode == 0
        with cooling(folder, board.workers):
            done = project.pytest()
    (target,) = project.evidence()["targets"]
    assert target["verdict"] == "PASS", done.stdout
    (measured,) = project.evidence()["measurements"]
    assert measured["machine"] == "edge"
    assert measured["processes"][0]["system"]["cooled"]["after"] == 47
    assert json.dumps(measured["processes"][-1]["details"]["windows"]["celsius"][-1]) == "47.0"


def _edge(folder: Path, store: Path, board: Board) -> Project:
    project = board_project(folder, store, board, kpis=[("sustained.latency.p50", "< 1 s")])
    project.change('device = "edge"', 'device = "edge"\ncool_to = "50 °C"')
    project.change(
        "[workload.digits.recipe.optimized]",
        "[workload.digits.recipe.optimized]\nscenario.sustained = { minutes = 0.05 }",
    )
    return project
