"""What a forge sees of a run: remarks at their lines, a report, a badge; no name can pretend to be a command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.annotations import Annotation, annotate, print_github, write_gitlab
from harness.reports.badge import badge, svg, write_badge
from harness.spec.toml_lines import target_lines
from tests.support.made_runs import Made, evidence, keep
from tests.support.project import ROOT, SHIPPED, Project

HOSTILE = "<script>::error file=x::boom\r\n::error::y %0A ##[error]z \u202eevil\U0001f4a5" + "long" * 300

TOML = '''\
# [[kpi]]
[workload.x]
text = """
[[kpi]]
name = "not one"
"""
other = \'\'\'
[[kpi]]\'\'\'

[[kpi]]  # the first
name = "a"
targets = { "latency.p50" = "< 3 ms", "size" = "< 1 MB" }
  [["kpi"]]
description = "has \\"[[kpi]]\\" within, and 'latency.p50' = "
name = "b"

[kpi.targets]
"latency.p50" = [
  "< 3 ms",
]
size = "< 2 MB"
'''


def test_a_target_is_found_at_its_line() -> None:
    tomllib.loads(TOML)
    lines = target_lines(TOML)
    written = TOML.splitlines()
    assert {name for name, _ in lines} == {"a", "b"}
    assert written[lines["a", ""] - 1] == "[[kpi]]  # the first"
    assert lines["a", "size"] == lines["a", "latency.p50"] == lines["a", ""] + 2
    assert written[lines["b", ""] - 1] == '  [["kpi"]]'
    assert written[lines["b", "size"] - 1] == 'size = "< 2 MB"'


@pytest.mark.parametrize("file", SHIPPED[1:], ids=lambda file: file.parent.name)
def test_every_shipped_target_is_found(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines, written = target_lines(text), text.splitlines()
    for kpi in tomllib.loads(text)["kpi"]:
        assert written[lines[kpi["name"], ""] - 1].startswith("[[kpi]]")
        for metric in kpi["targets"]:
            assert f'"{metric}"' in written[lines[kpi["name"], metric] - 1]


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert all(line >= 1 for line in target_lines(f'[[kpi]]\n"{text}\n' + TOML).values())


def github(annotations: list[Annotation]) -> str:
    out = io.StringIO()
    print_github(annotations, out)
    return out.getvalue()


def test_no_name_breaks_out_of_a_command() -> None:
    made = evidence([Made(HOSTILE, size=10_000), Made("fine", size=1)])
    found = annotate(made, Path("kpis.toml"))
    assert [a.level for a in found] == ["error"]
    lines = github(found).splitlines()
    assert len(lines) == 1
    properties, _, data = lines[0].removeprefix("::").partition("::")
    assert properties.startswith("error file=")
    assert "::" not in properties
    assert properties.count(",") == 2
    assert "%0A" not in data.replace("%250A", "")
    assert "\u202e" not in lines[0]
    assert len(lines[0]) < 3000


def test_undecided_is_a_warning_and_in_a_release_all_that_is_not_proven_is_an_error() -> None:
    kpis = [Made("u", size=1, verdicts={"size": "INCONCLUSIVE"}), Made("o", size=1, verdicts={"size": "OFF_TARGET"})]
    assert [a.level for a in annotate(evidence(kpis), Path("x"))] == ["warning"]
    assert {a.level for a in annotate(evidence(kpis, release=True), Path("x"))} == {"error"}


def test_gitlab_gets_its_report(tmp_path: Path) -> None:
    write_gitlab(annotate(evidence([Made(HOSTILE, size=10_000)]), ROOT / "kpis.toml"), tmp_path)
    entries: list[dict[str, Any]] = json.loads((tmp_path / "gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert [set(entry) for entry in entries] == [{"description", "check_name", "fingerprint", "severity", "location"}]
    assert entries[0]["location"] == {"path": "kpis.toml", "lines": {"begin": 1}}
    assert entries[0]["severity"] == "critical"


def test_the_badge_is_green_only_when_everything_was_proven(tmp_path: Path) -> None:
    def colour(verdicts: dict[str, int], **more: Any) -> str:
        return str(badge(evidence([], verdicts=verdicts, **more))["color"])

    assert colour({"PASS": 3}) == "brightgreen"
    assert colour({"PASS": 3}, complete=False) == "yellow"
    assert colour({"PASS": 3}, problems=["machines disagree"]) == "red"
    assert colour({"PASS": 3, "UNAVAILABLE": 1}) == "yellow"
    assert colour({"PASS": 3, "FAIL": 1, "INCONCLUSIVE": 2}) == "red"
    assert colour({}) == "yellow"
    write_badge(evidence([Made("a", size=1)]), tmp_path)
    made = json.loads((tmp_path / "badge.json").read_text(encoding="utf-8"))
    assert made == {"schemaVersion": 1, "label": "KPIs", "message": "1 of 3 proven", "color": "yellow"}
    picture = ET.parse(tmp_path / "badge.svg").getroot()
    assert picture.get("aria-label") == "KPIs: 1 of 3 proven"
    odd = ET.fromstring(svg({"label": '<a "&', "message": "]]>\"'<script>", "color": "red"}))
    assert not list(odd.iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.suite
def test_a_run_annotates_where_it_is_asked_to(project: Project) -> None:
    name = "::error::boom"
    project.change('name = "stripes-int8"', f'name = "{name}"')
    project.change('"< 20 kB"', '"< 2 kB"')
    done = project.pytest("-k", "size", "--kpi-annotations=github")
    lines = done.stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert lines[0] == f"::stop-commands::{token}"
    assert len(token) > 20
    listening = lines.index(f"::{token}::")
    # Between the two nobody listens, whatever a name looks like; after them only what is ours is printed.
    assert any(line.startswith(name) for line in lines[1:listening])
    line = project.toml.read_text(encoding="utf-8").splitlines().index('"size" = "< 2 kB"') + 1
    assert [text.partition(",title")[0] for text in lines[listening + 1 :]] == [f"::error file=kpis.toml,line={line}"]
    assert done.returncode == 1
    assert project.pytest("-k", "size", "--kpi-annotations=gitlab").returncode == 1
    report = json.loads((project.folder / ".kpi/latest/gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert report[0]["location"]["lines"]["begin"] == line
    assert (project.folder / ".kpi/latest/badge.svg").exists()
    assert "::stop-commands::" not in project.pytest("-k", "size").stdout


def test_the_command_guards_its_output_on_a_runner(tmp_path: Path, project: Project) -> None:
    for day, size in (("1", 1), ("2", 2)):
        keep(tmp_path / ".kpi", evidence([Made("::error::boom", size=size)], f"2026-01-0{day}T00:00:00.000+00:00"))
    variables = {**project.variables, "GITHUB_ACTIONS": "true", "PYTHONPATH": str(ROOT)}

    def kpi(*arguments: str) -> list[str]:
        command = [sys.executable, "-m", "harness.cli.main", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    lines = kpi("compare")
    assert lines[0].startswith("::stop-commands::")
    assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"
    assert "::error::boom" in lines
    assert json.loads("\n".join(kpi("compare", "--json")))["schema"] == 1
