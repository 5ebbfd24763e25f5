"""A failing test says enough to act on, and `kpi explain` says the same later."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.core.bounds import parse_bound
from harness.core.codec import of_plain
from harness.core.errors import KpiError
from harness.core.score_bounds import Scores
from harness.core.units import POINTS, SHARE
from harness.evidence.explain import _placed, _proof
from harness.evidence.model import Known
from harness.evidence.text import precision_of
from harness.judge.metrics.latency import LatencyP99
from harness.judge.verdict import judge_samples, too_small
from harness.measure.machine.detect import Detected
from harness.measure.records import Measurement, ProcessRecord, Proof
from tests.support.made_runs import MACHINE
from tests.support.project import Project

OTHER = """
[[kpi]]
name = "stripes-fp32"
workload = "stripes"
recipe = "fp32"
machine = "any-cpu"
targets = { "latency.p50" = "< 1 min", "size" = "< 1 GB" }
"""
PROOF = Proof("ort", "1", "CPU", "unknown")
MEASURED = Measurement("one", "a/b", "f" * 64, 1000, "ort", "cpu", "single-stream")


@pytest.mark.suite
def test_a_failure_says_what_to_know_and_what_to_try(project: Project) -> None:
    text = project.toml.read_text(encoding="utf-8") + OTHER
    project.toml.write_text(text, encoding="utf-8")
    bound = text.partition('"latency.p50" = "')[2].partition('"')[0]
    project.change(f'"{bound}"', '"< 1 us"')
    project.look_as_usual()
    project.leave_alone()
    done = project.pytest("-k", "p50")
    assert done.returncode == 1
    for said in ("promised   latency.p50 < 1 us", "measured   ", "97 % confidence", "machine    ", "onnxruntime 1."):
        assert said in done.stdout
    later = project.cli("explain", "stripes-int8")
    assert later.returncode == 0, later.stderr
    lines = later.stdout.splitlines()
    assert "stripes-int8:p50  FAIL" in lines
    assert any(line.startswith("  slowest    ") and " us" in line for line in lines)
    assert any("misses < 1 us by" in line for line in lines)
    assert "try" not in {line.split()[0] for line in lines}  # the FP32 recipe does not keep it either


@pytest.mark.suite
def test_other_recipes_that_keep_the_promise_are_named(project: Project) -> None:
    project.toml.write_text(project.toml.read_text(encoding="utf-8") + OTHER, encoding="utf-8")
    assert project.pytest("-k", "size").returncode == 0
    sizes = {t["recipe"]: t["value"] for t in project.evidence()["targets"] if t["metric"] == "size"}
    small, large = sorted(sizes, key=lambda name: float(sizes[name]))
    bound = {"int8": '"< 20 kB"', "fp32": '"< 1 GB"'}[large]
    project.change(bound, f'"< {sum(sizes.values()) / 2:.0f} B"')
    done = project.pytest("-k", "size")
    assert done.returncode == 1
    assert f"  try        {small}: " in project.cli("explain", f"stripes-{large}:size").stdout


@pytest.mark.suite
def test_explain_needs_evidence_and_a_known_kpi(project: Project) -> None:
    done = project.cli("explain", "stripes-int8")
    assert done.returncode == 1
    assert "run pytest first" in done.stderr
    project.pytest("-k", "size")
    done = project.cli("explain", "stripes-int9")
    assert done.returncode == 4
    assert 'did you mean "stripes-int8"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.suite
def test_where_a_recipe_was_placed_is_said(project: Project) -> None:
    project.change("threads = 1 }", 'threads = 1 }\ncores = "0"')
    assert project.pytest("-k", "agreement").returncode == 0
    said = project.cli("explain", "stripes-int8:agreement").stdout
    assert re.search(r"^  placed     processors 0(; read back: 0|$)", said, re.MULTILINE), said
    # Two at once are not read back from the first alone; what was never placed says nothing.
    sample = replace(MEASURED, placement={"cores": ["0", "1"], "numa_node": 0, "instances": 2})
    assert _placed([sample]) == "2 instances side by side, processors 0 and 1, memory node 0"
    assert _placed([MEASURED]) == _placed([]) == ""


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("unknown", ""),
        ("int8+unknown", ", int8"),
        ("not said by the protocol", ", precision not said by the protocol"),
        ("int8+f32", ", int8+f32"),
    ],
)
def test_a_precision_that_is_not_known_is_not_shown_as_one(precision: str, said: str) -> None:
    assert precision_of(replace(PROOF, precision=precision)) == said


def test_what_the_profile_saw_of_the_artifact_is_said() -> None:
    def said(*measured: Measurement) -> str:
        return _proof([measured[0]], Known(machine=of_plain(MACHINE, Detected), targets=(), measurements=measured))

    seen = replace(PROOF, precision="int8", heavy_ops=4, integer_ops=3)
    timed, profile = (
        replace(MEASURED, processes=[ProcessRecord("", 1.0, 0.1, 0.01, 1, 2, proof)]) for proof in (PROOF, seen)
    )
    assert said(timed) == ", ort 1 on CPU"
    assert said(timed, profile) == ", ort 1 on CPU, int8, 3 of 4 heavy operations in INT8"
    assert said(timed, replace(profile, artifact="e" * 64)) == ", ort 1 on CPU"


@pytest.mark.suite
def test_evidence_that_was_edited_is_explained_with_a_warning(project: Project) -> None:
    project.pytest("-k", "size")
    file = project.folder / ".kpi/latest/evidence.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"PASS"', '"FAIL"'), encoding="utf-8")
    done = project.cli("explain", "stripes-int8")
    assert "changed after it was sealed" in done.stdout


@pytest.mark.parametrize(
    ("text", "scores", "others", "said"),
    [
        ("drop <= 0.2 pp vs fp32", [1.0, 0.0] * 250, [1.0, 1.0, 0.0, 0.0] * 125, "are too few for drop <= 0.2 pp"),
        (
            ">= 99.9 % of fp32",
            [1.0, 0.0] * 250,
            [1.0, 1.0, 0.0, 0.0] * 125,
            "nor would 1000 times as many",
        ),
        (">= 90 %", [1.0] * 91 + [0.0] * 9, None, "100 other samples might give another"),
        ("drop <= 20 pp vs fp32", [1.0, 0.0] * 250, [1.0, 1.0, 0.0, 0.0] * 125, ""),
        (">= 50 %", [1.0] * 91 + [0.0] * 9, None, ""),
        ("drop <= 0 pp vs fp32", [1.0, 0.0] * 250, [1.0, 0.0] * 250, "the figure is at its bound"),
    ],
)
def test_a_set_that_is_too_small_for_the_promise_is_said_so(
    text: str, scores: list[float], others: list[float] | None, said: str
) -> None:
    bound = parse_bound(text, SHARE)
    judged = Scores(scores, others, (0.0, 1.0))
    found = list(too_small(bound, judge_samples(bound, judged, 0.97), judged, POINTS if "drop" in text else SHARE))
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_as_many_samples_as_the_note_asks_for_would_do() -> None:
    bound = parse_bound("drop <= 1 pp vs fp32", SHARE)

    def note(times: int) -> list[str]:
        # Three of a hundred are lost, three are gained.
        own, others = [0.0] * 3 * times + [1.0] * 97 * times, [1.0] * 97 * times + [0.0] * 3 * times
        scores = Scores(own, others, (0.0, 1.0))
        return list(too_small(bound, judge_samples(bound, scores, 0.97), scores, POINTS))

    needed = int(re.search(r"about ([\d,]+) like these", note(1)[0])[1].replace(",", ""))
    assert 100 < needed < 100_000
    assert note(needed // 100 - 1)
    assert not note(needed // 100 + 1)


def test_a_tail_from_too_few_samples_is_refused_with_the_number_needed() -> None:
    record = ProcessRecord("", 1.0, 0.1, 0.01, 1, 2, Proof("r", "1", "CPU", "f32"), samples_s=(0.001,) * 300)
    with pytest.raises(KpiError, match=r"latency\.p99 at 97 % confidence needs 349 samples of a process, not 300"):
        LatencyP99.bounds(record, 0.97)
