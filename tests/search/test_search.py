"""``kpi search`` on a space of tiny recipes: really built, really measured, killed and gone on with."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.measure.journal import FILES, read_journals
from harness.measure.records import Measurement
from tests.support.project import ROOT, Project, copied_project

pytestmark = pytest.mark.suite  # each searches, with the gate and its processes

Record = tuple[str, str, str]
PATIENCE_S = 900


def searched(folder: Path, store: Path) -> Project:
    made = copied_project("gratings", folder, store)
    shutil.copy(made.folder / "search.toml", made.toml)
    return made


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli.main", "search", *arguments],
        cwd=project.folder,
        env=project.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it said; it does not outlive the test."""
    try:
        return process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()


def search(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    with start(project, *arguments) as process:
        out, err = outcome(process)
    assert "Traceback" not in err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def measurements(project: Project) -> list[tuple[str, Measurement]]:
    """What every run of a search has measured, at which level."""
    runs = {file.parent for file in (project.folder / ".kpi/search").glob(f"*/runs/*/*/{FILES}")}
    return [(run.name, one.measurement) for run in runs for one in read_journals(run).measurements.values()]


def processes(project: Project) -> dict[Record, tuple[float, float]]:
    """Every process that was measured, once, with when it began and ended."""
    found: dict[Record, tuple[float, float]] = {}
    for level, measured in measurements(project):
        for record in measured.processes:
            begin = datetime.fromisoformat(record.started).timestamp()
            found[level, measured.id, record.started] = begin, begin + record.wall_s
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> list[tuple[Project, dict[str, Any]]]:
    """Two projects, searched at the same time on one machine; each with what its search said."""
    projects = [searched(tmp_path_factory.mktemp("search"), shared_store) for _ in range(2)]
    running = [start(project, "small", "--json", "--minutes", "14") for project in projects]
    found = []
    for project, process in zip(projects, running, strict=True):
        out, err = outcome(process)
        assert process.returncode == 0, err
        found.append((project, json.loads(out)))
    return found


def test_it_finds_the_best_that_there_is(both: list[tuple[Project, dict[str, Any]]]) -> None:
    for _, said in both:
        assert said["met"]
        assert said["exhausted"]
        assert len(said["candidates"]) == 7
        # Of the same small file, and as exact, with either of the runtime's levels.
        assert said["winner"]["recipe"]["passes"] == ["onnx", "onnx-dynamic-int8"]
        assert {seen["verdict"] for seen in said["winner"]["targets"].values()} == {"PASS"}
        dropped = [row for row in said["candidates"] if row["state"] == "dropped"]
        assert len(dropped) == 5
        # What misses by its size is measured no further.
        assert all(list(row["targets"]) == ["size"] for row in dropped)
        assert said["front"][0]["name"] == said["winner"]["name"]


def test_two_searches_at_once_never_measure_at_once(both: list[tuple[Project, dict[str, Any]]]) -> None:
    spans = sorted(span for project, _ in both for span in processes(project).values())
    assert len(spans) >= 12
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert begin >= end - 0.01


@pytest.mark.long
def test_killed_it_goes_on_without_measuring_again(
    both: list[tuple[Project, dict[str, Any]]], tmp_path: Path, shared_store: Path
) -> None:
    whole, said = both[0]
    project = searched(tmp_path, shared_store)
    kills = 0
    for least in (1, 2, 3):
        with start(project, "small", "--json") as process:
            deadline = time.monotonic() + PATIENCE_S
            while process.poll() is None and len(measurements(project)) < least and time.monotonic() < deadline:
                time.sleep(0.02)
            kills += process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
    assert kills
    done = search(project, "small", "--json")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["winner"]["recipe"] == said["winner"]["recipe"]
    assert {row["name"] for row in again["candidates"]} == {row["name"] for row in said["candidates"]}
    assert len(processes(project)) == len(processes(whole))
    # And once all is known, nothing is measured at all.
    last = json.loads(search(project, "small", "--json").stdout)
    assert last["checks"] == 0
    assert len(processes(project)) == len(processes(whole))


def test_an_impossible_promise_names_the_nearest_and_what_binds(
    both: list[tuple[Project, dict[str, Any]]],
) -> None:
    project, _ = both[1]
    done = search(project, "impossible")
    assert done.returncode == 1
    assert "no recipe in this space meets it; nearest is onnx-" in done.stdout
    assert "size is 5.18 kB, bound < 2 kB" in done.stdout
    assert "the binding target is impossible:size" in done.stdout
    # Nothing was written, though it was asked for.
    before = project.toml.read_bytes()
    assert search(project, "impossible", "--write").returncode == 1
    assert project.toml.read_bytes() == before


def test_what_is_found_is_written_and_nothing_else_changes(
    both: list[tuple[Project, dict[str, Any]]],
) -> None:
    project, said = both[0]
    before = project.toml.read_text(encoding="utf-8")
    done = search(project, "small", "--write")
    assert done.returncode == 0, done.stderr
    after = project.toml.read_text(encoding="utf-8")
    name = said["winner"]["name"]
    added = [line[1:] for line in done.stdout.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert f"[workload.gratings.recipe.{name}]" in added
    block = "\n".join(added) + "\n"
    assert after.count(block) == 1
    assert after.replace(block, "") == before
    assert after.index(name) < after.index("[workload.gratings.search.onnx]")
    # It is an ordinary recipe now, and is not written twice.
    project.change('recipe = "fp32"', f'recipe = "{name}"')
    listed = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "list"],
        cwd=project.folder, env=project.variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert name in listed.stdout
    written = project.toml.read_bytes()
    assert search(project, "small", "--write").returncode == 0
    assert project.toml.read_bytes() == written


def test_names_are_harmless(both: list[tuple[Project, dict[str, Any]]]) -> None:
    project, _ = both[1]
    name = "<script>alert(1)</script> ../../$HOME \u202e \U0001f355 'x' \"y\" %s {0}"
    done = search(project, name, "--trials", "2")
    assert done.returncode in (0, 1)
    assert "\u202e" not in done.stdout + done.stderr
    folders = {path.name for path in (project.folder / ".kpi/search").iterdir()}
    assert len(folders) == 3
    assert all(name.replace("-", "").isalnum() for name in folders)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["smal"], 4, 'unknown KPI "smal"; did you mean "small"?'),
        (["small", "--trials", "0"], 1, "must be above 0"),
        (["small", "--minutes", "nan"], 1, "must be above 0"),
    ],
)
def test_mistakes_are_told_in_a_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, shared_store: Path
) -> None:
    done = search(searched(tmp_path, shared_store), *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["optuna", "sqlalchemy"])
def test_without_its_libraries_it_says_what_to_install(missing: str, tmp_path: Path, shared_store: Path) -> None:
    project = searched(tmp_path, shared_store)
    # A package of that name that can't be imported, before the real one.
    (project.folder / "lack" / missing).mkdir(parents=True)
    (project.folder / "lack" / missing / "__init__.py").write_text(
        f"raise ModuleNotFoundError('No module named {missing}', name='{missing}')\n", encoding="utf-8"
    )
    project.environment["PYTHONPATH"] = f"{project.folder / 'lack'}:{ROOT}"
    done = search(project, "small")
    assert done.returncode == 1
    assert done.stderr == f"error: kpi search needs {missing} (pip install 'kpi-tests[search]')\n"
