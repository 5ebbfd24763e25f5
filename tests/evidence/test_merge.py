"""Merging fails closed: what nobody measured, what contradicts, what was edited or belongs elsewhere is not green."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.core.attempts import COUNTED, SPENT, Try, several
from harness.core.errors import KpiError
from harness.evidence.merge import merge
from harness.evidence.model import Evidence
from harness.evidence.reader import read_evidence
from harness.evidence.writer import counts
from harness.judge.verdict import Verdict
from harness.reports import junit, markdown
from harness.reports.annotations import annotate
from harness.reports.badge import badge
from tests.support.edited_evidence import Edit, forge
from tests.support.made_runs import Made, evidence, keep
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
        (verdict("stripes-int8", "FAIL"), "attempts on one machine disagree"),
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
        ([("PASS", 2, "a")], COUNTED, "f0 is attempt 2, and 0 before it are known"),
        ([("INCONCLUSIVE", 1, "b"), ("PASS", 3, "a")], SPENT, "f1 is attempt 3, and 1 before it are known"),
        ([("PASS", 1, "b"), ("PASS", 3, "a")], COUNTED, ""),
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


def test_attempts_that_a_file_tells_of_need_not_be_given() -> None:
    one = Try("f", "PASS", 3, "t", "a", earlier={"PASS": 2})
    assert several("a:p50", [one], COUNTED) == several("a:p50", [one], SPENT) == ""
    undecided = replace(one, earlier={"PASS": 1, "INCONCLUSIVE": 1})
    assert "INCONCLUSIVE before f" in several("a:p50", [undecided], COUNTED)
    assert several("a:p50", [undecided], SPENT) == ""
    assert "attempt 3, and 1 before it are known" in several("a:p50", [replace(one, earlier={"PASS": 1})], SPENT)


def test_an_attempt_that_broke_was_given_one_of_another_target_was_not() -> None:
    broke = Try("f0", "ERROR", 1, "t0", "b", judged=False)
    unavailable = Try("f0", "UNAVAILABLE", 1, "t0", "b", judged=False)
    second = Try("f1", "PASS", 2, "t1", "a")
    assert several("a:p50", [broke, second], COUNTED) == ""
    assert "attempt 2, and 0 before it are known" in several("a:p50", [unavailable, second], COUNTED)
    assert several("a:p50", [replace(unavailable, machine="a"), second], COUNTED) == ""


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


def later(run: Evidence, attempt: int) -> Evidence:
    targets = [replace(t, attempt=attempt) if t.metric == "latency.p50" else t for t in run.targets]
    return replace(run, targets=targets)


def test_the_last_of_several_attempts_is_not_green_alone_though_all_are_merged_step_by_step() -> None:
    size = [0.001] * 12
    first, second = made(size, 1, attempts=SPENT), later(made(size, 2, attempts=SPENT), 2)
    assert any("b is attempt 2, and 0 before it are known" in said for said in merge({"b": (second, "")}).problems)
    both = merge({"a": (first, ""), "b": (second, "")}).evidence
    assert not any("attempt" in said for said in merge({"both": (both, "")}).problems)
    alone = merge({"b": (second, "")}).evidence
    assert any("is attempt 2" in said for said in merge({"alone": (alone, "")}).problems)


def test_a_target_that_the_first_file_does_not_know_is_in_the_ledger_too() -> None:
    whole = made([0.001] * 12, 1, attempts=COUNTED)
    less = replace(whole, targets=[t for t in whole.targets if t.metric != "size"])
    for order in ({"less": (less, ""), "whole": (whole, "")}, {"whole": (whole, ""), "less": (less, "")}):
        assert {t.metric for t in merge(order).evidence.targets} == {t.metric for t in whole.targets}
    assert merge({"none": (replace(whole, targets=[]), "")}).problems == ("no target is promised",)


def test_attempts_of_one_machine_are_not_called_two_machines() -> None:
    good, bad = made([0.001] * 12, 1, attempts=COUNTED), made([0.1] * 12, 2, attempts=COUNTED)
    said = " ".join(merge({"a": (good, ""), "b": (bad, "")}).problems)
    assert "attempts on one machine disagree: PASS in a" in said
    there = replace(bad, machine=replace(bad.machine, boot="another", cpu="Another CPU"))
    assert "machines disagree: PASS in a" in " ".join(merge({"a": (good, ""), "b": (there, "")}).problems)


def green_but(problem: str) -> Evidence:
    run = made([0.001] * 12, 1, attempts=COUNTED)
    kept = [replace(t, verdict=Verdict.PASS) for t in run.targets if t.metric != "accuracy.top1"]
    return replace(run, targets=kept, verdicts=counts(kept), release=True, problems=(problem,) if problem else ())


@pytest.mark.parametrize("problem", ["a:latency.p50: it is not so", "b.json: it is of another commit"])
def test_every_report_is_red_where_a_problem_alone_forbids_green(problem: str, tmp_path: Path) -> None:
    run = green_but(problem)
    suite = ET.fromstring(junit.render(run, run.problems))[0]
    assert suite.get("failures") == "1"
    assert problem in (suite.find("testcase/failure").text or "")  # type: ignore[union-attr]
    assert markdown.render(run).splitlines()[0] == "# KPIs: not green: 2 PASS"
    assert badge(run)["color"] == "red"
    assert badge(run)["message"] == "2 of 2 proven, not green"
    (remark,) = annotate(run, tmp_path / "kpis.toml")
    assert (remark.level, remark.text) == ("error", problem)
    quiet = green_but("")
    assert ET.fromstring(junit.render(quiet))[0].get("failures") == "0"
    assert (badge(quiet)["color"], annotate(quiet, tmp_path / "kpis.toml")) == ("brightgreen", [])


@pytest.mark.parametrize("option", ["--out", "--junit-xml"])
def test_a_place_of_a_merge_that_can_not_be_written_is_one_line(tmp_path: Path, option: str) -> None:
    file = keep(tmp_path, made([0.001] * 12, 1, attempts=COUNTED))
    project = Project(tmp_path, tmp_path / "store")
    wrong = {"--out": str(file), "--junit-xml": str(tmp_path)}[option]
    done = project.cli("merge", str(file), option, wrong)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"{wrong} can't be written" in done.stderr


def test_a_unit_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    file = keep(tmp_path, made([0.001] * 12, 1, attempts=COUNTED))
    odd = forge(file, tmp_path / "odd.json", lambda data: data["targets"][0].update(unit="furlong"))
    with pytest.raises(KpiError, match=r'the unit "furlong" is not one of s, B'):
        read_evidence(odd, None)
