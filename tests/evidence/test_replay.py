"""The example that recomputes every verdict agrees with a real run, and notices what was edited."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.merge import merge
from harness.reports.figures import figures
from tests.support.plain_evidence import as_evidence, read_plain, sealed_text
from tests.support.project import Project, make_project
from tests.support.replayed import PROGRAM, Json, replay

MORE = """
"memory.peak" = "< 1 GB"
"load" = "< 1 min"
"first_inference" = "< 1 min"
"throughput.single" = [">= 1 fps", ">= 0.01 x fp32"]
"throughput.offline" = ">= 1 fps"
"latency.p95" = "< 1 min"
"quantized.ops" = ">= 0.1 %"
"parity.adversarial" = "<= 1000"
"parity.cosine" = ">= 0.1"
"energy.per_sample" = "< 1 kJ"
"cost.per_million" = "< 1000 USD"

[machine.other]
device = "cpu"
cpu = "Some Other Processor*"

[machine.gpu]
device = "gpu"
gpu = "NVIDIA Nothing*"

[[kpi]]
name = "elsewhere"
workload = "stripes"
recipe = "int8"
machine = "other"
targets = { "latency.p50" = "< 1 us", "accuracy.top1" = ">= 98 % of fp32", "size" = "<= 0.9 x fp32" }

[[kpi]]
name = "no-gpu"
workload = "stripes"
recipe = "fp32"
machine = "gpu"
targets = { "latency.p50" = "< 1 min", "size" = "< 1 MB" }
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    """A run of the real suite: figures of every kind, another machine, a device that is not there."""
    project: Project = make_project(tmp_path_factory.mktemp("replayed"), shared_store)
    project.change('device = "cpu"\n', 'device = "cpu"\nprice = "1 USD/h"\n')
    project.change('"latency.p50" = "< 50 ms"', '"latency.p50" = ["< 50 ms", "<= 100 x fp32"]')
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(MORE.lstrip())
    project.leave_alone()
    project.pytest()
    return project.folder / ".kpi/latest/evidence.json"


@pytest.fixture(scope="module")
def evidence(file: Path) -> Json:
    """What the file says, its numbers in plain lists, which the program takes as well."""
    return read_plain(file)


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Json], tuple[int, list[str]]]:
    """What the program says of evidence, and its exit code."""

    def run(data: Json) -> tuple[int, list[str]]:
        file = tmp_path / "evidence.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        code = replay.main([str(file)])
        said = capsys.readouterr()
        assert not said.err
        return code, said.out.splitlines()

    return run


@pytest.mark.suite
def test_a_real_run_agrees(file: Path, evidence: Json, tmp_path: Path) -> None:
    verdicts = {target["verdict"] for target in evidence["targets"]}
    assert {"PASS", "OFF_TARGET", "UNAVAILABLE"} <= verdicts
    # Without the folders of libraries, and in a folder of its own: nothing but Python is needed.
    command = [sys.executable, "-E", "-S", str(PROGRAM), str(file)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean, check=False, timeout=60)
    total = len(evidence["targets"])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{total} targets, {total} recomputed, 0 not\n", "")


def find(evidence: Json, name: str) -> Json:
    found: Json = next(t for t in evidence["targets"] if t["id"] == name)
    return found


def measured(evidence: Json, name: str) -> Json:
    wanted = find(evidence, name)["measurements"][0]
    found: Json = next(m for m in evidence["measurements"] if m["id"] == wanted)
    return found


def slow(evidence: Json) -> None:
    for process in measured(evidence, "stripes-int8:p50")["processes"]:
        process["samples_s"] = [1e3 * sample for sample in process["samples_s"]]


def wrong_answers(evidence: Json) -> None:
    scores = measured(evidence, "stripes-int8:top1")["scores"]["accuracy.top1"]
    scores[:] = [0.0] * len(scores)


def change(name: str, **fields: Any) -> Callable[[Json], None]:
    return lambda evidence: find(evidence, name).update(fields)


@pytest.mark.suite
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (slow, "stripes-int8:p50: value"),
        (slow, "elsewhere:p50: value"),
        (wrong_answers, "stripes-int8:top1: PASS is said, FAIL follows; value"),
        (wrong_answers, "stripes-int8:top1-drop-fp32: PASS is said, FAIL follows; value"),
        (
            change("stripes-int8:p50", limit=0.06),
            "stripes-int8:p50: the bound '< 50 ms' is not value < 0.06",
        ),
        (change("stripes-int8:p50", bound="< 1 ns", limit=1e-9), "stripes-int8:p50: PASS is said, "),
        (change("stripes-int8:p50", high="inf"), "stripes-int8:p50: high inf is said, "),
        (change("stripes-int8:agreement", low=0.5), "stripes-int8:agreement: low 0.5 is said, "),
        (change("stripes-int8:top1", value=0.99), "stripes-int8:top1: value 0.99 is said, "),
        (change("stripes-int8:top1", verdict="FAIL"), "stripes-int8:top1: FAIL is said, PASS follows"),
        (change("stripes-int8:top1", verdict="OFF_TARGET"), "stripes-int8:top1: OFF_TARGET on the machine that was"),
        (change("stripes-int8:top1", measurements=["none"]), "stripes-int8:top1: PASS is said, but the measurements"),
        (change("stripes-int8:top1", artifact="0" * 64), "stripes-int8:top1: PASS is said, but the measurements"),
        (change("stripes-int8:size", value=1.0), "stripes-int8:size: value 1 is said, "),
        (change("elsewhere:size-ratio-fp32", verdict="FAIL"), "elsewhere:size-ratio-fp32: FAIL is said, PASS follows"),
        (change("elsewhere:p50", verdict="PASS"), "elsewhere:p50: PASS on another machine than promised"),
        (change("elsewhere:p50", would_be="PASS"), "elsewhere:p50: OFF_TARGET is said"),
        (change("no-gpu:p50", verdict="PASS"), "no-gpu:p50: PASS without a value"),
        (lambda e: e["machine"].update(gpus=["a GPU"]), "no-gpu:p50: UNAVAILABLE because of a missing gpu, which"),
        (lambda e: e["settings"].update(against=[2]), "settings: looks with [2] exceptions are wrong "),
        (lambda e: e["verdicts"].update(PASS=99), "verdicts: they are not those of the targets"),
    ],
)
def test_an_edit_is_noticed(
    evidence: Json, told: Callable[[Json], tuple[int, list[str]]], edit: Callable[[Json], None], said: str
) -> None:
    edited = copy.deepcopy(evidence)
    edit(edited)
    code, lines = told(edited)
    assert code == 1
    assert any(line.startswith(said) for line in lines), lines
    assert lines[-1].startswith(f"{len(evidence['targets'])} targets, ")


def counted(evidence: Json) -> dict[str, int]:
    return dict(Counter(target["verdict"] for target in evidence["targets"]))


@pytest.mark.suite
def test_merged_evidence_agrees(evidence: Json, told: Callable[[Json], tuple[int, list[str]]]) -> None:
    whole = as_evidence(evidence)
    merged = merge({"a.json": (whole, ""), "b.json": (whole, "")}).evidence
    code, lines = told(json.loads(sealed_text(merged)))
    assert (code, len(lines)) == (0, 1), lines


@pytest.mark.suite
def test_what_can_not_be_recomputed_is_counted_by_reason(
    evidence: Json, told: Callable[[Json], tuple[int, list[str]]]
) -> None:
    edited, nothing = copy.deepcopy(evidence), {"value": None, "low": None, "high": None, "measurements": [], "n": 0}
    change("stripes-int8:top1", **nothing, verdict="ERROR", reason="it broke")(edited)
    change("stripes-int8:cosine", **nothing, verdict="INCONCLUSIVE", reason="not measured")(edited)
    change("stripes-int8:agreement", metric="somebodys.own")(edited)
    edited["verdicts"] = counted(edited)
    code, lines = told(edited)
    assert (code, len(lines)) == (0, 1), lines
    total = len(evidence["targets"])
    assert lines[0].startswith(f"{total} targets, {total - 3} recomputed, 3 not (1 ")
    for reason in ("1 ERROR whose cause left no samples", "1 not measured", "1 figures of a metric that is not known"):
        assert reason in lines[0]


@pytest.mark.suite
def test_a_comparison_without_an_undisturbed_pair_has_no_value(
    evidence: Json, told: Callable[[Json], tuple[int, list[str]]]
) -> None:
    edited, name = copy.deepcopy(evidence), "stripes-int8:p50-ratio-fp32"
    said = {"verdict": "INCONCLUSIVE", "reason": "no pairs", "value": None, "low": "-inf", "high": "inf", "n": 0}
    change(name, **said)(edited)
    edited["verdicts"] = counted(edited)
    assert told(edited)[0] == 0
    change(name, high=5.0)(edited)
    assert told(edited)[1][0] == f"{name}: high 5 is said, inf follows"


@pytest.mark.suite
def test_scores_of_a_metric_of_ones_own_are_judged_by_what_the_target_says(
    evidence: Json, told: Callable[[Json], tuple[int, list[str]]]
) -> None:
    edited = copy.deepcopy(evidence)
    target = find(edited, "stripes-int8:top1-drop-fp32")
    assert (target["better"], target["ends"], target["paired"]) == ("higher", [0.0, 1.0], False)
    target["metric"] = "somebodys.own"
    for measurement in edited["measurements"]:
        if "accuracy.top1" in measurement["scores"]:
            measurement["scores"]["somebodys.own"] = measurement["scores"]["accuracy.top1"]
    assert told(edited)[0] == 0
    target["better"] = "lower"
    assert told(edited)[0] == 1
    del target["ends"]
    assert "1 scores of a metric that is not known" in told(edited)[1][-1]


BAD = {
    "schema": 2, "targets": [{"id": "a\nb", "verdict": "PASS"}], "measurements": [],
    "settings": {"looks": [6], "against": [0], "confidence": 0.97},
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"schema": 2}',
        '{"schema": 1}',
        '{"schema": 3}',
        "9" * 5000,
        "[" * 100_000,
        json.dumps({**BAD, "verdicts": {}}),
        json.dumps({**BAD, "settings": {"looks": [10**9]}}),
        json.dumps({**BAD, "settings": None}),
    ],
)
def test_what_can_not_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "odd.json"
    file.write_text(text, encoding="utf-8")
    assert replay.main([str(file)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith(f"{file} can't be read: ")
    assert len(said.err.splitlines()) == 1


def test_a_file_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "binary"):
        assert replay.main([str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.suite
@pytest.mark.parametrize("key", ["settings", "targets", "measurements", "kpis", "machine", "verdicts"])
def test_a_missing_key_is_named(evidence: Json, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({name: value for name, value in evidence.items() if name != key}), encoding="utf-8")
    assert replay.main([str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the key '{key}' is missing" in line


@pytest.mark.suite
def test_intervals_in_reports_are_those_of_the_verdicts(evidence: Json) -> None:
    whole, compared = as_evidence(evidence), set()
    for target in whole.targets:
        if not target.known or target.relation != "value":
            continue
        for own in (whole.by_id[name] for name in target.measurements[:1]):
            if target.of == "processes" and target.n != len(own.processes):
                continue  # others asked for more processes later
            shown = {f.metric.name: f for f in figures(own, whole.settings, target.usd_per_hour)}
            found = shown[target.metric]
            stated = [target.value, target.low, target.high]
            if found.low is None:
                assert stated == pytest.approx([found.value] * 3)
            else:
                assert stated == pytest.approx([found.value, found.low, found.high])
            compared.add(target.metric)
    assert compared >= {"latency.p50", "latency.p95", "throughput.offline", "cost.per_million", "accuracy.top1"}
