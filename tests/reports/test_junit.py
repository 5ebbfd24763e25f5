"""Merged evidence as JUnit's XML: every target a case, whatever was not proven failed."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from harness.judge.verdict import Verdict
from harness.reports.junit import render
from tests.support.made_runs import Made, evidence, latencies


def test_what_was_not_proven_failed_and_says_why() -> None:
    run = evidence([Made("a\x1b]evil", latencies(0.001, 12, 1), size=5000.0, scores=[1.0] * 40)])
    lines = [replace(t, verdict=Verdict.ERROR, reason="broke") if t.metric == "size" else t for t in run.targets]
    run = replace(run, targets=lines)
    suite = ET.fromstring(render(run, ["b.json: it is of another commit", f"{run.targets[0].id}: known already"]))[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
    }
    latency, size, accuracy, problem = suite
    assert (latency.get("classname"), latency.get("name")) == (
        "kpi_tests.test_latency",
        "test_latency[a?]evil:latency.p50]",
    )
    told = {one.get("name"): one.get("value") for one in latency.iter("property")}
    assert (told["kpi.verdict"], told["kpi.bound"], told["kpi.machine"]) == ("PASS", "< 10 ms", "any-cpu on Some CPU")
    assert told["kpi.value"].startswith("1.0")  # type: ignore[union-attr]
    assert size.find("error").get("message") == "ERROR: broke"  # type: ignore[union-attr]
    assert accuracy.find("failure") is accuracy.find("error") is None
    assert problem.find("failure").text == "b.json: it is of another commit"  # type: ignore[union-attr]
