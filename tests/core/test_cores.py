"""Processors that a recipe names: read, set, read back from inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from harness.core.cores import check, format_cores, in_force, parse_cores
from harness.core.errors import KpiError
from tests.support.project import ROOT, Project

LINUX = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux confines processes to processors")


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("0", {0}),
        ("0-3", {0, 1, 2, 3}),
        ("6,0-1", {0, 1, 6}),
        (" 2 - 3 , 5", {2, 3, 5}),
        ("1-1", {1}),
        ("0-1,1-2", {0, 1, 2}),
    ],
)
def test_a_list_of_processors_is_read(text: str, cores: set[int]) -> None:
    assert parse_cores(text) == cores
    assert parse_cores(format_cores(frozenset(cores))) == cores


@pytest.mark.parametrize("text", ["", "a", "3-1", "0-", "-1", "1,,2", "0x1", "123456"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a list like"):
        parse_cores(text)


def test_the_shortest_list_is_written() -> None:
    assert format_cores(frozenset({0, 1, 2, 5, 7, 8})) == "0-2,5,7-8"
    assert format_cores(frozenset()) == ""


def test_a_thread_that_may_run_elsewhere_is_found(tmp_path: Path) -> None:
    for task, cores in (("10", "2-3"), ("11", "0-1")):
        (tmp_path / task).mkdir()
        (tmp_path / task / "status").write_text(f"Name:\tx\nCpus_allowed_list:\t{cores}\n", encoding="ascii")
    assert in_force(tmp_path) == "0-3"
    assert in_force(tmp_path / "nothing") == ""


@LINUX
def test_a_process_is_confined_with_its_threads() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        "import threading, time; from harness.core.cores import check, in_force, pin\n"
        f"pin('{core}'); threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        f"print(in_force(), check('{core}'))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [str(core), str(core)]


@LINUX
def test_a_process_that_was_not_confined_is_noticed() -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("this process may use one processor only")
    with pytest.raises(KpiError, match="threads may also run on") as caught:
        check(str(min(allowed)))
    assert "set threads = 1 in the recipe's runtime" in caught.value.remedy


@LINUX
@pytest.mark.parametrize("threads", [None, 2])
def test_onnx_runtime_keeps_to_the_processors_it_is_confined_to(tmp_path: Path, threads: int | None) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process may use one processor only")
    core = min(os.sched_getaffinity(0))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    code = (
        "import sys, time; from pathlib import Path\n"
        "from harness.core.cores import check, pin\n"
        "from harness.measure.runtimes.onnxruntime import OnnxRuntime\n"
        f"pin('{core}'); runtime = OnnxRuntime(OnnxRuntime.Options(threads={threads}))\n"
        # As in the worker: NumPy starts threads of its own.
        "import numpy; runtime.import_library(); session = runtime.load(Path(sys.argv[1]), 'cpu', 1, profile=False)\n"
        "session.run({'x': numpy.zeros((1, 4), 'float32')}); time.sleep(0.2); proof = session.proof()\n"
        f"print(check('{core}'), proof.threads, proof.details['threads_chosen_by'], sep='|')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    by = "the process's processors" if threads is None else "the recipe"
    assert done.stdout.strip() == f"{core}|{threads or 1}|{by}"


@pytest.mark.suite
@LINUX
def test_a_recipe_runs_where_it_says(project: Project) -> None:
    core = min(os.sched_getaffinity(0))
    text = project.toml.read_text(encoding="utf-8")
    project.toml.write_text(text.replace("\npasses =", f'\ncores = "{core}"\npasses ='), encoding="utf-8")
    assert project.pytest("-k", "latency").returncode == 0
    measured = [m for m in project.evidence()["measurements"] if m["placement"]]
    assert measured
    assert {p["system"]["cores"] for m in measured for p in m["processes"]} == {str(core)}
    project.change(f'cores = "{core}"', 'cores = "4096"')
    assert project.pytest("-k", "latency").returncode == 0
    reasons = [t["reason"] for t in project.evidence()["targets"] if t["verdict"] == "UNAVAILABLE"]
    assert reasons
    assert all("processors 4096 are asked for" in reason for reason in reasons)
