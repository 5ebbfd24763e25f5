"""Instances side by side: what each gets, that they are timed together, that pinning is in force."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import KpiError, Unavailable
from harness.core.placement import Placement, memory_binding, memory_policy, node_cores
from harness.measure.barrier import FileBarrier
from harness.measure.instances import run_together
from tests.support.project import ROOT, Project

TWO = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors of Linux"
)


def test_processors_are_shared_out_evenly() -> None:
    both = Placement(("0-3",), None, 2)
    assert [both.of(0).cores, both.of(1).cores] == [("0-1",), ("2-3",)]
    own = Placement(("5", "0-1"), 1, 2)
    assert [own.of(0), own.of(1)] == [Placement(("5",), 1), Placement(("0-1",), 1)]
    assert own.alone == Placement(("0-1,5",), 1)
    assert Placement((), None, 3).of(2) == Placement()
    assert Placement().to_json() == {}


@pytest.mark.parametrize(
    ("cores", "instances", "said"),
    [
        (("0-2",), 2, "3 processors can't be shared evenly by 2 instances"),
        (("0", "1"), 3, "cores names 2 lists for 3 instances"),
        (("0", "x"), 2, "write a list like"),
    ],
)
def test_what_does_not_fit_together_is_refused(cores: tuple[str, ...], instances: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Placement(cores, None, instances)


def test_a_node_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "node1").mkdir()
    (tmp_path / "node1" / "cpulist").write_text("8-15\n", encoding="ascii")
    assert node_cores(1, tmp_path) == "8-15"
    with pytest.raises(Unavailable, match="no NUMA node 7; it has 1"):
        node_cores(7, tmp_path)


def test_the_policy_is_read_back(tmp_path: Path) -> None:
    maps = tmp_path / "numa_maps"
    maps.write_text("7f00 bind:1 anon=1 N1=1\n7f10 default file=/x N0=2\n", encoding="ascii")
    assert memory_policy(maps) == "bind:1"
    maps.write_text("7f10 default file=/x N0=2\n", encoding="ascii")
    assert memory_policy(maps) == "default"
    assert memory_policy(tmp_path / "missing") == ""


@pytest.mark.skipif(not shutil.which("numactl"), reason="needs numactl")
def test_memory_is_bound_where_the_system_lets_it() -> None:
    before = memory_binding(0)
    if not before:
        pytest.skip("this system does not let memory be bound")
    command = [
        *before,
        sys.executable,
        "-c",
        "from harness.core.placement import memory_policy; print(memory_policy())",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "bind:0"


def test_whoever_waits_is_told_of_a_failure() -> None:
    def run(meeting: FileBarrier) -> dict[str, object]:
        if meeting.number:
            raise KpiError("the second one broke")
        meeting.wait("timed", 60)
        return {}

    with pytest.raises(KpiError, match="the second one broke"):
        run_together(2, run)


def test_a_meeting_does_not_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="not ready within 0 s"):
        FileBarrier(str(tmp_path), 0, 2).wait("timed", 0.05)


@pytest.mark.suite
@TWO
def test_two_instances_are_measured_as_one(project: Project) -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    text = project.toml.read_text(encoding="utf-8")
    project.toml.write_text(
        text.replace("\npasses =", f'\ncores = ["{first}", "{second}"]\npasses ='), encoding="utf-8"
    )
    assert project.pytest("-k", "latency").returncode == 0
    for measured in project.evidence()["measurements"]:
        assert measured["placement"]["instances"] == 2
        for process in measured["processes"]:
            instances = process["details"]["instances"]
            assert [one["cores"] for one in instances] == [str(first), str(second)]
            assert process["completed"] == sum(one["completed"] for one in instances) == len(process["samples_s"])
            assert 0 < process["details"]["timed_together"] <= 1
            assert process["system"]["window"]["others"] <= instances[0]["window"]["others"]


@pytest.mark.suite
@TWO
def test_two_instances_on_one_processor_share_it(project: Project) -> None:
    core = min(os.sched_getaffinity(0))
    text = project.toml.read_text(encoding="utf-8")
    project.toml.write_text(text.replace("\npasses =", f'\ninstances = 2\ncores = ["{core}", "{core}"]\npasses ='))
    assert project.pytest("-k", "latency").returncode == 0
    capacity = os.cpu_count() or 1
    measured = [p for m in project.evidence()["measurements"] for p in m["processes"]]
    assert measured
    for process in measured:
        instances = process["details"]["instances"]
        used = sum(one["window"]["own"] * one["window"]["seconds"] * capacity for one in instances)
        there = max(one["timed"][1] for one in instances) - min(one["timed"][0] for one in instances)
        # One processor has no more to give than the time that passes; the system counts in steps of 10 ms.
        assert used < 1.1 * there + 0.1


@pytest.mark.suite
@TWO
def test_a_failing_instance_is_one_error(project: Project) -> None:
    project.change("\npasses =", '\ncores = ["0", "4096"]\npasses =')
    assert project.pytest("-k", "latency").returncode == 0
    reasons = [t["reason"] for t in project.evidence()["targets"] if t["verdict"] == "UNAVAILABLE"]
    assert reasons
    assert all("processors 4096 are asked for" in reason for reason in reasons)
