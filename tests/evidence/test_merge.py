"""Merging fails closed: what nobody measured, what contradicts, what was edited or belongs elsewhere is not green."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.attempts import COUNTED, SPENT, Try, several
from harness.evidence.merge import merge
from harness.evidence.model import Evidence
from tests.support.edited_evidence import Edit, forge
from tests.support.made_runs import Made, evidence
from tests.support.project import Project, make_project

TWO = """
[machine.other]
device = "cpu"
cpu = "Some Other Processor*"

[[kpi]]
name = "elsewhere"
workload = "stripes"
recipe = "int8"
machine = "other"
targets = { "latency.p50" = "< 5 ms" }
"""


def kpi_merge(project: Project, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "harness.cli.main",
        "merge",
        *map(str, files),
        "--out",
        str(project.folder / "merged"),
    ]
    return subprocess.run(
        command, cwd=project.folder, env=project.variables, capture_output=True, text=True, check=False
    )


def verdict(kpi: str, said: str) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for target in data["targets"]:
            if target["kpi"] == kpi and target["metric"] == "latency.p50":
                target["verdict"] = said

    return edit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Project:
    """A machine that has proved everything but the KPI of another machine."""
    project = make_project(tmp_path_factory.mktemp("here"), shared_store)
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(TWO)
    assert project.pytest().returncode == 0
    return project


@pytest.fixture
def here(run: Project) -> Path:
    """Its evidence."""
    return run.folder / ".kpi/latest/evidence.json"


@pytest.mark.suite
def test_two_machines_make_one_green_ledger(project: Project, here: Path, tmp_path: Path) -> None:
    there = forge(here, tmp_path / "there.json", verdict("elsewhere", "PASS"))
    done = kpi_merge(project, here, there)
    assert done.returncode == 0, done.stdout + done.stderr
    merged = json.loads((project.folder / "merged/evidence.json").read_text(encoding="utf-8"))
    assert {t["verdict"] for t in merged["targets"]} == {"PASS"}
    assert len(merged["targets"]) == 6
    references = {m["id"] for m in merged["measurements"]}
    assert all(set(t["measurements"]) <= references for t in merged["targets"])


@pytest.mark.suite
def test_what_nobody_proved_is_not_green(project: Project, here: Path) -> None:
    done = kpi_merge(project, here)
    assert done.returncode == 1
    assert "elsewhere:p50: not proven (OFF_TARGET" in " ".join(done.stdout.split())


@pytest.mark.suite
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (verdict("stripes-int8", "FAIL"), "two machines disagree"),
        (lambda data: data.update(commit="0" * 40), "of another commit"),
        (lambda data: data.update(commit="0" * 40 + "-dirty"), "files differed from the commit"),
        (lambda data: data.update(kpis_digest="0" * 64), "other promises"),
        (lambda data: data.update(complete=False), "did not come to its end"),
        (lambda data: [t.update(artifact="0" * 64) for t in data["targets"] if t["artifact"]], "not one artifact"),
    ],
)
def test_what_does_not_fit_is_not_green(project: Project, here: Path, tmp_path: Path, edit: Edit, said: str) -> None:
    def both(data: dict[str, Any]) -> None:
        verdict("elsewhere", "PASS")(data)
        edit(data)

    done = kpi_merge(project, here, forge(here, tmp_path / "there.json", both))
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())


@pytest.mark.suite
def test_merging_again_makes_nothing_green(project: Project, here: Path, tmp_path: Path) -> None:
    """What forbade green the first time is in the merged file, and forbids it ever after."""
    other = tmp_path / "other.json"
    forge(here, other, lambda data: data.update(commit="0" * 40))
    project.cli("merge", str(here), str(other), "--out", str(tmp_path / "once"))
    again = project.cli("merge", str(tmp_path / "once/evidence.json"))
    assert again.returncode == 1
    assert "it is of another commit" in " ".join((again.stdout + again.stderr).split())


@pytest.mark.suite
def test_an_edited_file_is_noticed(project: Project, here: Path, tmp_path: Path) -> None:
    text = here.read_text(encoding="utf-8")
    assert text.count('"verdict":"OFF_TARGET"') == 1
    edited = tmp_path / "edited.json"
    edited.write_text(text.replace('"verdict":"OFF_TARGET"', '"verdict":"PASS"'), encoding="utf-8")
    done = kpi_merge(project, edited)
    assert done.returncode == 1
    assert "was changed after it was sealed" in " ".join(done.stdout.split())


@pytest.mark.suite
def test_a_key_proves_the_origin(project: Project, here: Path, tmp_path: Path) -> None:
    project.environment["KPI_SEAL_KEY"] = "a secret"
    signed = forge(here, tmp_path / "signed.json", verdict("elsewhere", "PASS"), key="a secret")
    assert kpi_merge(project, signed).returncode == 0
    unsigned = forge(here, tmp_path / "unsigned.json", verdict("elsewhere", "PASS"))
    done = kpi_merge(project, unsigned)
    assert done.returncode == 1
    assert "not sealed with the key" in " ".join(done.stdout.split())


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 3}', "[" * 100_000])
def test_what_is_no_evidence_is_one_line(project: Project, tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.json").write_text(content, encoding="utf-8")
    done = kpi_merge(project, tmp_path / "odd.json")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def tried(*tries: tuple[str, int, str]) -> list[Try]:
    """Verdict, attempt and machine of each file, in the order in which they were started."""
    return [Try(f"f{n}", verdict, attempt, f"t{n}", machine) for n, (verdict, attempt, machine) in enumerate(tries)]


@pytest.mark.parametrize(
    ("tries", "rule", "said"),
    [
        ([("INCONCLUSIVE", 1, "a"), ("PASS", 1, "a")], COUNTED, "several attempts on one machine"),
        ([("INCONCLUSIVE", 1, "a"), ("PASS", 2, "b")], COUNTED, "several attempts: INCONCLUSIVE in f0, PASS in f1"),
        ([("INCONCLUSIVE", 1, "a"), ("PASS", 1, "b")], COUNTED, ""),
        ([("PASS", 1, "a"), ("PASS", 2, "a")], COUNTED, ""),
        ([("INCONCLUSIVE", 1, "a"), ("PASS", 2, "a")], SPENT, ""),
        ([("INCONCLUSIVE", 1, "a"), ("PASS", 1, "a")], SPENT, "f1 says that it is attempt 1, but 1 before it"),
        ([("INCONCLUSIVE", 1, "a"), ("INCONCLUSIVE", 2, "a"), ("PASS", 2, "a")], SPENT, "--kpi-attempt=3"),
        ([("PASS", 1, "a"), ("PASS", 1, "a")], SPENT, ""),
        ([("INCONCLUSIVE", 1, "a")], SPENT, ""),
    ],
)
def test_a_rerun_does_not_buy_a_pass(tries: list[tuple[str, int, str]], rule: str, said: str) -> None:
    problem = several("a:p50", tried(*tries), rule)
    assert said in problem
    assert bool(said) is bool(problem)


def made(values: list[float], day: int, *, attempts: str, complete: bool = True) -> Evidence:
    run = evidence([Made("a", values)], f"2026-01-{day:02}T00:00:00.000+00:00")
    return replace(run, complete=complete, settings=replace(run.settings, attempts=attempts))


@pytest.mark.parametrize(("attempts", "told"), [(COUNTED, 1), (SPENT, 0)])
def test_a_run_that_was_stopped_is_made_up_for_where_error_is_spent(attempts: str, told: int) -> None:
    pieces = {
        "stopped": (made([0.001] * 12, 1, attempts=attempts, complete=False), ""),
        "whole": (made([0.001] * 12, 2, attempts=attempts), ""),
    }
    found = merge(pieces)
    assert sum("did not come to its end" in said for said in found.problems) == told
    assert any("did not come to its end" in said for said in merge({"stopped": pieces["stopped"]}).problems)
