"""The ``kpi`` command, run as a program on a small project."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.build.environments import Environments
from harness.build.store import Store
from harness.cli import doctor
from harness.cli.commands import commands
from harness.cli.main import _parser
from harness.measure.machine.detect import detect
from harness.spec.reader import read_spec
from tests.support.project import ROOT, Project


def kpi(project: Project, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments],
        cwd=cwd or project.folder,
        env=project.variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_list_says_what_gates_here(project: Project) -> None:
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(
            '\n[machine.npu]\ndevice = "npu"\n\n[[kpi]]\nname = "later"\nworkload = "stripes"\nrecipe = "int8"\n'
            'machine = "npu"\ntargets = { "latency.p50" = "< 5 ms", "size" = "< 1 MB" }\n'
        )
    done = kpi(project, "list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    later = lines.index(next(line for line in lines if line.startswith("later")))
    assert "unavailable" in lines[later + 1]
    assert "gates here" in lines[later + 2]
    assert lines[-1] == "7 targets of 2 KPIs; 6 gate on this machine"


def test_list_of_wrong_promises_is_a_usage_error(project: Project) -> None:
    project.change('runtime = "onnxruntime"', 'runtime = "onnxrumtime"')
    done = kpi(project, "list")
    assert done.returncode == 4
    assert 'did you mean "onnxruntime"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.suite
def test_doctor_says_what_is_here_and_what_is_missing(project: Project) -> None:
    done = kpi(project, "doctor")
    assert done.returncode == 0, done.stderr
    for word in ("processor", "onnxruntime", "openvino", "environments", "weights: the shapes themselves"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.suite
def test_doctor_works_without_promises(project: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = kpi(project, "doctor", cwd=tmp_path / "empty")
    assert done.returncode == 0, done.stderr
    assert "name one with --kpis FILE" in done.stdout


def test_doctor_says_what_a_metric_is_computed_with_and_what_would_help(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(file: Path) -> tuple[str, list[str]]:
        doctor._metric_needs.cache_clear()
        spec = read_spec(file)
        needs = dict(doctor._metrics())["accuracy.meteor"]
        missing = doctor._enabled(spec, detect(), Environments(Store(project.store), spec.root))
        return needs, [f"{what} {names}" for what, names in missing if "WORDNET" in what]

    assert re.match(r"WordNet 3\.[01] from", told(project.toml)[0])
    monkeypatch.setenv("KPI_WORDNET", "/nowhere")
    needs, enables = told(project.toml)
    assert needs.startswith("missing; correct or unset KPI_WORDNET")
    assert not enables  # the promises here ask for no METEOR
    _, (enables,) = told(ROOT / "kpis.toml")
    assert re.search(r"correct or unset KPI_WORDNET enables .*translation-", enables)
    doctor._metric_needs.cache_clear()


def test_schema_is_the_one_of_this_version(project: Project) -> None:
    done = kpi(project, "schema")
    schema = json.loads(done.stdout)
    assert schema["title"] == "kpis.toml"
    assert set(schema["properties"]) == {"machine", "workload", "metric", "kpi", "measure", "include", "plugins"}


def test_environments_are_listed_and_wrong_names_told(project: Project) -> None:
    done = kpi(project, "env", "list")
    assert "onnxruntime-openvino" in done.stdout
    done = kpi(project, "env", "create", "onnxruntime-openvinno")
    assert done.returncode == 1
    assert 'did you mean "onnxruntime-openvino"' in done.stderr
    assert kpi(project, "env", "create").returncode == 1


@pytest.mark.suite
def test_cache_is_listed_verified_and_pruned(project: Project, tmp_path: Path) -> None:
    project.environment["KPI_STORE"] = str(tmp_path / "own-store")
    assert project.pytest("-k", "size").returncode == 0
    done = kpi(project, "cache", "list")
    assert "stripes onnx-static-int8" in done.stdout
    model = next((tmp_path / "own-store/objects").glob("*/model.onnx"))
    content = bytearray(model.read_bytes())
    content[50] ^= 1
    times = model.stat()
    model.write_bytes(content)
    # Even with the same size and time, a thorough look finds it.
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = kpi(project, "cache", "verify")
    assert done.returncode == 1
    assert "1 were damaged" in done.stdout
    assert kpi(project, "cache", "verify").returncode == 0
    done = kpi(project, "cache", "prune", "--limit", "0 B")
    assert done.returncode == 0
    assert not list((tmp_path / "own-store/objects").iterdir())
    done = kpi(project, "cache", "prune", "--limit", "3 ms")
    assert done.returncode == 1
    assert "must be a size in bytes" in done.stderr


@pytest.mark.suite
def test_build_makes_what_is_promised_once(project: Project, tmp_path: Path) -> None:
    project.environment["KPI_STORE"] = str(tmp_path / "own-store")
    done = kpi(project, "build", "stripes-int8")
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("  ")[2] for line in done.stdout.splitlines()] == ["stripes/int8", "stripes/fp32"]
    assert "build stripes/int8: onnx-static-int8 ..." in done.stderr
    again = kpi(project, "build")
    assert (again.stdout, again.stderr) == (done.stdout, "")
    assert kpi(project, "build", "--jobs", "0").returncode == 4
    done = kpi(project, "build", "stripes-int4")
    assert done.returncode == 4
    assert 'did you mean "stripes-int8"' in done.stderr
    project.change('pass = "onnx-static-int8", calibration = 64', 'pass = "onnx-static-int8", calibration = 6400000')
    done = kpi(project, "build")
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


@pytest.fixture
def two_workloads(project: Project, tmp_path: Path) -> Project:
    """The example's promises twice, in an empty store."""
    text = project.toml.read_text(encoding="utf-8")
    own = text[text.index("[workload.stripes]") :]
    for old, new in (
        ("workload.stripes", "workload.again"),
        ('"stripes"', '"again"'),
        ('"stripes-int8"', '"again-int8"'),
    ):
        assert old in own
        own = own.replace(old, new)
    project.toml.write_text(f"{text}\n{own}", encoding="utf-8")
    project.environment["KPI_STORE"] = str(tmp_path / "own-store")
    return project


@pytest.mark.suite
def test_build_makes_several_workloads_at_once(two_workloads: Project) -> None:
    done = kpi(two_workloads, "build", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    made = {line.rpartition("  ")[2] for line in done.stdout.splitlines()}
    assert made == {"stripes/int8", "stripes/fp32", "again/int8", "again/fp32"}
    alone = kpi(two_workloads, "build")
    assert sorted(alone.stdout.splitlines()) == sorted(done.stdout.splitlines())


@pytest.mark.suite
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at as Linux shows them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_ended_leaves_no_process_behind(two_workloads: Project, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "harness.cli.main", "build", "--jobs", "2"]
    with subprocess.Popen(
        command,
        cwd=two_workloads.folder,
        env=two_workloads.variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"build ")
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) > 2
        process.send_signal(number)
        assert process.wait(timeout=30) == (2 if number == signal.SIGINT else -number)
    assert not psutil.wait_procs(started, timeout=30)[1]


@pytest.mark.suite
@pytest.mark.parametrize("command", [["list"], ["doctor"], ["schema"]])
def test_the_shipped_promises(command: list[str], project: Project) -> None:
    done = kpi(project, *command, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_file_is_named_before_or_behind_every_command(name: str) -> None:
    own = {
        "schema": [],
        "verify": ["package"],
        "score": ["x.json"],
        "merge": ["a", "b"],
        "report": ["x"],
        "attest": ["evidence.json", "--key", "k.pem"],
        "package": ["k"],
        "init": ["model.onnx"],
    }
    needed = {**own, "explain": ["k"], "search": ["k"], "compare-machines": ["a", "b"], "recipes": ["w"]}.get(name, [])
    needed = needed or {"env": ["list"], "cache": ["list"], "reach": ["doctor", "edge"]}.get(name, [])
    before = _parser().parse_known_args(["--kpis", "other.toml", name, *needed])[0]
    behind = _parser().parse_known_args([name, *needed, "--kpis", "other.toml"])[0]
    assert before.kpis == behind.kpis == Path("other.toml")
    assert _parser().parse_known_args([name, *needed])[0].kpis == Path("kpis.toml")
