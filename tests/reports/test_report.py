"""The page of a run: one file, safe whatever the names are, small, from any evidence, with or without its libraries."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.main import main
from harness.core.units import BYTES, SHARE, TIME
from harness.evidence.model import Evidence, TargetLine
from harness.reports.html import render
from harness.reports.html.intervals import drawn
from harness.reports.html.ledger import rows
from harness.reports.html.page import _json
from harness.reports.html.recipes import front, recipes, regions
from harness.reports.html.scale import Axis
from harness.reports.html.trend import trends
from tests.support.plain_evidence import as_evidence, as_target, sealed_text
from tests.support.project import ROOT, Project
from tests.support.report_cases import HOSTILE, LONG, amended, history, recorded


@pytest.fixture
def plain() -> dict[str, Any]:
    return recorded()


@pytest.fixture
def evidence(plain: dict[str, Any]) -> Evidence:
    return as_evidence(plain)


class Elements(HTMLParser):
    """What a browser would find in a page, as far as harm goes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.found


def specs(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json" id="[^"]+">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


# ---- one file, small, from the evidence alone -------------------------------------------------------------------


@pytest.mark.suite
def test_a_run_leaves_a_page_beside_its_evidence(project: Project) -> None:
    done = project.pytest("-m", "size")
    assert done.returncode == 0, done.stdout
    assert "report: .kpi/latest/report.html" in done.stdout
    page = (project.folder / ".kpi/latest/report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 3_000_000
    links = [a.get(name, "#") for _, a in elements(page) for name in ("src", "href")]
    assert not [link for link in links if not str(link).startswith("#")]
    run = next((project.folder / ".kpi/runs").iterdir())
    assert (run / "report.html").read_text(encoding="utf-8") == page


def test_the_command_makes_the_same_page_of_any_evidence(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(sealed_text(evidence))
    assert main(["report", str(file)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert main(["report", str(file), "--out", str(tmp_path / "there.html")]) == 0
    assert (tmp_path / "there.html").read_bytes() == (tmp_path / "report.html").read_bytes()
    assert main(["report", str(tmp_path / "none.json")]) == 1
    assert main(["report", str(file), "--out", str(tmp_path / "no" / "folder.html")]) == 1
    assert "name a file with --out" in capsys.readouterr().err


def test_evidence_of_an_earlier_version_is_enough() -> None:
    old = json.loads((ROOT / "tests/recorded/evidence.json").read_text(encoding="utf-8"))
    assert old["schema"] == 1
    for key in ("seal", "libraries", "resume", "complete"):
        old.pop(key)
    for measurement in old["measurements"]:
        measurement.pop("placement", None)
        measurement.pop("environment", None)
    # A metric of another version has no title, and no place in a figure.
    old["targets"].append({**old["targets"][0], "metric": "gone.metric", "kpi": "older"})
    page = render(as_evidence(old))
    assert "gone.\u200bmetric" in page


def test_a_run_that_measured_nothing_has_a_page(evidence: Evidence) -> None:
    page = render(replace(evidence, measurements=[], targets=[]))
    assert "Nothing was asked of this run." in page


def test_samples_by_the_hundred_thousand_stay_small(plain: dict[str, Any]) -> None:
    for measurement in plain["measurements"]:
        for process in measurement["processes"]:
            process["samples_s"] = process["samples_s"] * 500
    many = as_evidence(plain)
    page = render(many)
    assert len(page.encode()) < 3_000_000
    told = sum(len(p.samples_s) for m in many.measurements for p in m.processes if m.scenario != "profile")
    assert told > 100_000
    # Every one of them is in the figure all the same.
    cells = [v for s in specs(page) for part in s["layer"] for v in part.get("data", {}).get("values", ()) if "n" in v]
    assert sum(cell["n"] for cell in cells) == told


def test_a_ledger_of_thousands_stays_small_and_says_what_it_left_out(evidence: Evidence) -> None:
    many = [replace(t, kpi=f"{t.kpi}-{k}", id=f"{t.id}-{k}") for k in range(200) for t in evidence.targets]
    page = render(replace(evidence, targets=many))
    assert len(page.encode()) < 3_000_000
    assert page.count('class="t"') == len(many)
    assert f"The last {len(many) - 400} targets have no room" in page


# ---- names that would do harm ----------------------------------------------------------------------------------


def test_hostile_names_stay_text(plain: dict[str, Any]) -> None:
    page = render(amended(plain), history(4))
    found = elements(page)
    scripts = [attributes for tag, attributes in found if tag == "script"]
    own = [attributes for attributes in scripts if attributes.get("type") != "application/json"]
    assert len(own) == 3
    assert not [tag for tag, _ in found if tag in ("img", "iframe", "object", "link", "base")]
    assert not [a for _, a in found if any(name.startswith("on") for name in a)]
    assert not [a for _, a in found if "javascript:" in (a.get("href") or "")]
    assert "\u202e" not in page
    assert "\U0001f4a5" in page
    for spec in specs(page):
        assert "script" not in json.dumps(spec).lower() or "alert(1)" in json.dumps(spec)


@given(st.text())
def test_data_of_a_script_can_not_leave_it(text: str) -> None:
    written = str(_json({"name": text}))
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"name": text}


def test_only_the_page_s_own_scripts_may_run(evidence: Evidence) -> None:
    page = render(evidence)
    policy = next(a["content"] for tag, a in elements(page) if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.suite
def test_hostile_names_are_harmless_in_every_view(project: Project) -> None:
    project.change('name = "stripes-int8"', f"name = {json.dumps(HOSTILE + LONG[:80], ensure_ascii=False)}")
    done = project.pytest("-m", "size", "--junitxml=junit.xml", "--color=yes")
    assert done.returncode == 0, done.stdout
    latest = project.folder / ".kpi/latest"
    summary = (latest / "summary.md").read_text(encoding="utf-8")
    page = (latest / "report.html").read_text(encoding="utf-8")
    kpis = done.stdout.partition(" KPIs ")[2]
    for text in (summary, page, kpis):
        assert "\u202e" not in text
    assert "<script>" not in summary
    assert "<img" not in summary
    assert "[bold]" in re.sub(r"\x1b\[[0-9;]*m|\n *", "", kpis)  # shown, not obeyed
    assert len([tag for tag, _ in elements(page) if tag == "img"]) == 0
    junit = ET.parse(project.folder / "junit.xml")
    assert {e.tag for e in junit.iter()} <= {"testsuites", "testsuite", "testcase", "properties", "property"}


# ---- without its libraries --------------------------------------------------------------------------------------


def without(project: Project, library: str) -> subprocess.CompletedProcess[str]:
    """A run where one library can't be imported."""
    (project.folder / "sitecustomize.py").write_text(
        f"import sys\nclass No:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == '{library}':\n            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, No())\n",
        encoding="utf-8",
    )
    project.environment["PYTHONPATH"] = f"{project.folder}:{ROOT}"
    return project.pytest("-m", "size")


@pytest.mark.suite
def test_without_the_library_that_draws_the_numbers_stay(project: Project) -> None:
    done = without(project, "vl_convert")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (project.folder / ".kpi/latest/report.html").read_text(encoding="utf-8")
    assert "pip install &#34;kpi-tests[report]&#34;" in page
    assert "stripes-int8" in page
    assert len(page) < 200_000


@pytest.mark.suite
def test_without_the_library_of_templates_one_line_says_why(project: Project) -> None:
    done = without(project, "jinja2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'report.html was not written: Jinja2 is not installed (pip install "kpi-tests[report]")' in done.stdout
    assert not (project.folder / ".kpi/latest/report.html").exists()
    assert (project.folder / ".kpi/latest/summary.md").exists()


# ---- what is drawn is right -------------------------------------------------------------------------------------


def test_every_figure_is_valid_vega_lite(plain: dict[str, Any]) -> None:
    import vl_convert

    page = render(amended(plain), history(6))
    drawings = specs(page)
    assert len(drawings) >= 7
    for spec in drawings:
        made = vl_convert.vegalite_to_vega(spec)
        assert made["marks"]


def target(**changes: object) -> TargetLine:
    made = {**recorded()["targets"][0], "value": 2.0, "low": 1.5, "high": 2.5, "limit": 3.0, "op": "<"}
    return as_target({**made, **changes})


@pytest.mark.parametrize("op", ["<", ">"])
@given(value=st.floats(-1e9, 1e9), arm=st.floats(0, 1e6), limit=st.floats(-1e9, 1e9))
def test_the_drawing_says_what_the_numbers_say(op: str, value: float, arm: float, limit: float) -> None:
    where = drawn(target(value=value, low=value - arm, high=value + arm, limit=limit, op=op))
    assert where is not None
    assert 0 <= where.low <= where.value <= where.high <= 100
    # Right of the bound, which stands at 30, the promise holds.
    if abs(value - limit) > 1e-3 * max(1.0, abs(limit), arm):
        assert (where.value > 30) is ((value < limit) is (op == "<"))


def test_an_interval_without_end_reaches_the_edge() -> None:
    where = drawn(target(low="-inf", high="inf"))
    assert where is not None
    assert (where.low, where.high, where.open_left, where.open_right) == (0, 100, True, True)
    assert drawn(target(value=None)) is None
    exact = drawn(target(low=None, high=None))
    assert exact is not None
    assert exact.low == exact.value == exact.high


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30), st.lists(st.floats(1e-9, 1e9), max_size=5))
def test_an_axis_shows_all_its_values(values: list[float], also: list[float]) -> None:
    for dimension in (TIME, BYTES, SHARE):
        axis = Axis.over("a", dimension, values, also)
        assert all(axis.shows(value) for value in values)
        for value in values:
            there = axis.along(value / axis.factor)
            assert -1e-9 <= there <= 1 + 1e-9
            assert axis.back(there) * axis.factor == pytest.approx(value, rel=1e-6)


def test_the_front_is_what_nothing_beats(evidence: Evidence) -> None:
    points = recipes("stripes", evidence)
    assert [point.name for point in points] == ["int8", "fp32"]
    names = ["size", "accuracy.top1"]
    best = front(points, names)
    for point in points:
        better = [
            other
            for other in points
            if other is not point
            and other.figures["size"].value <= point.figures["size"].value
            and other.figures["accuracy.top1"].value >= point.figures["accuracy.top1"].value
        ]
        assert (point in best) is not bool(better)


def test_a_comparison_is_drawn_as_the_figure_it_asks_for(evidence: Evidence) -> None:
    points = recipes("stripes", evidence)
    fp32 = next(point for point in points if point.name == "fp32")
    region = next(r for r in regions("stripes", evidence, points) if r.kpi == "stripes-int8")
    assert region.limits["size"] == 20_000
    top1 = fp32.value("accuracy.top1")
    assert top1 is not None
    # ">= 80 %" and "drop <= 3 pp vs fp32": the tighter of the two.
    assert region.limits["accuracy.top1"] == pytest.approx(max(0.8, top1 - 0.03))
    assert region.limits["latency.p50"] <= 0.05


def test_what_needs_a_person_stands_first(plain: dict[str, Any]) -> None:
    states = [row.state for row in rows(amended(plain))]
    assert states[:3] == ["fail", "error", "inconclusive"]
    assert states[-1] == "unselected"


def test_a_target_brings_all_that_stands_behind_it(evidence: Evidence) -> None:
    row = next(row for row in rows(evidence) if row.metric == "latency.p50")
    facts = " ".join(said for _, said in row.facts)
    digest = evidence.targets[0].artifact
    measurement = next(t for t in evidence.targets if t.metric == "latency.p50").measurements[0]
    for wanted in (f"SHA-256 {digest}", measurement, "onnxruntime", "97 % confidence", "pytest -k", "processes"):
        assert wanted in facts


@pytest.mark.suite
def test_a_rerun_names_exactly_its_target(project: Project, evidence: Evidence) -> None:
    row = next(row for row in rows(evidence) if row.bound.startswith("drop"))
    command = next(said for what, said in row.facts if what == "rerun")
    done = project.pytest(*command.split()[1:], "--collect-only", "-q")
    asked = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(asked) == 1, (command, done.stdout)
    assert f"[{row.kpi}:top1-drop-fp32]" in asked[0]


# ---- the trend --------------------------------------------------------------------------------------------------


def test_machines_are_kept_apart() -> None:
    (drawing,) = trends(history(10))
    names = {row["m"] for row in drawing.spec["layer"][0]["data"]["values"]}
    assert len(names) == 2  # of one name, of two identities
    assert {row[1] for row in drawing.table.rows} == names
    assert len(drawing.choices) == 2


def test_one_run_is_no_trend_and_what_was_not_measured_is_no_point() -> None:
    assert list(trends(history(1))) == []
    unknown = [*history(2), *(replace(p, value=math.nan, low=math.nan, high=math.nan, run="x") for p in history(1))]
    (drawing,) = trends(unknown)
    assert len(drawing.spec["layer"][0]["data"]["values"]) == 4


def test_a_long_history_is_thinned_and_says_so() -> None:
    (drawing,) = trends(history(100, kpis=166))
    assert len(drawing.spec["layer"][0]["data"]["values"]) <= 5000
    assert "newest 30 values" in drawing.notes[0]


def test_the_harness_brings_the_page_s_files() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"reports/html/assets/*"' in text
    assert {p.name for p in (ROOT / "harness/reports/html/assets").iterdir()} == {"page.html", "page.js", "style.css"}
    assert sys.version_info >= (3, 11)
