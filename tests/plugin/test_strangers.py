"""The plugin leaves tests alone that are not its own, and judges kinds that nobody wrote a file for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import ROOT, Project

pytestmark = pytest.mark.suite

FOREIGN = """
import pytest

@pytest.mark.memory
def test_memory_of_a_stranger():
    pass

@pytest.mark.load
class TestLoad:
    @pytest.mark.parametrize("target", [1, 2])
    def test_of_a_class(self, target):
        assert target

@pytest.mark.latency
def test_latency_of_a_stranger(tmp_path):
    assert tmp_path.exists()
"""
NIGHTLY = """
[[kpi]]
name = "by-night"
workload = "stripes"
recipe = "fp32"
machine = "any-cpu"
marks = ["nightly"]
targets = { "size" = "< 1 MB" }
"""


def write_foreign(project: Project) -> Path:
    file = project.folder / "test_foreign.py"
    file.write_text(FOREIGN, encoding="utf-8")
    return file


def test_a_strangers_test_with_a_mark_of_ours_is_collected_and_run(project: Project) -> None:
    write_foreign(project)
    done = project.pytest("test_foreign.py", "-v", pyargs=False)
    assert done.returncode == 0, done.stdout
    assert "test_memory_of_a_stranger PASSED" in done.stdout
    assert "test_of_a_class[1] PASSED" in done.stdout
    assert "test_latency_of_a_stranger PASSED" in done.stdout
    assert "4 passed" in done.stdout
    assert not (project.folder / ".kpi").exists()


def test_strangers_keep_their_names_and_places_among_targets(project: Project) -> None:
    write_foreign(project)
    done = project.pytest("test_foreign.py", "--collect-only", "-q")
    collected = [line for line in done.stdout.splitlines() if "::" in line]
    foreign = [line for line in collected if "test_foreign.py" in line]
    assert len(collected) == 9
    assert [line.partition("::")[2] for line in foreign] == [
        "test_memory_of_a_stranger",
        "TestLoad::test_of_a_class[1]",
        "TestLoad::test_of_a_class[2]",
        "test_latency_of_a_stranger",
    ]
    assert collected[-4:] == foreign


def test_a_kind_without_a_file_is_judged_by_the_general_test(project: Project) -> None:
    shutil.copytree(ROOT / "kpi_tests", project.folder / "gate", ignore=shutil.ignore_patterns("test_size.py", "__py*"))
    done = project.pytest("gate", "-v", pyargs=False)
    assert done.returncode == 0, done.stdout
    assert "test_other.py::test_other[stripes-int8:size] PASSED" in done.stdout
    assert set(project.verdicts().values()) == {"PASS"}
    by_kind = project.pytest("gate", "-m", "size", pyargs=False)
    assert "1 passed" in by_kind.stdout


def test_the_header_says_what_is_judged_and_where(project: Project) -> None:
    said = project.pytest("--collect-only").stdout
    assert "kpis: kpis.toml, 5 targets of 1 KPI" in said
    assert "machine: " in said


def test_a_kpis_own_mark_selects_it(project: Project) -> None:
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(NIGHTLY)
    by_day = project.pytest("--collect-only", "-q", "-m", "not nightly")
    assert "5/6 tests collected (1 deselected)" in by_day.stdout
    by_night = project.pytest("-m", "nightly")
    assert by_night.returncode == 0, by_night.stdout
    assert project.verdicts()["by-night:size"] == "PASS"
    # What was not selected was not proven.
    assert project.pytest("-m", "nightly", "--kpi-release").returncode == 1


def test_where_no_test_asks_for_targets_that_is_said(project: Project) -> None:
    done = project.pytest(pyargs=False)
    assert done.returncode == 5, done.stdout
    assert "kpis: no test asks for a target; `pytest --pyargs kpi_tests` does" in done.stdout
    assert project.pytest("--kpi-release", pyargs=False).returncode == 5
