"""A stranger's program recomputes verdicts from evidence.json: it imports nothing of the harness."""

from __future__ import annotations

import base64
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.support.project import Project

pytestmark = pytest.mark.suite

HOLDS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def written(project: Project) -> dict[str, Any]:
    """The evidence of the latest run, word for word."""
    found: dict[str, Any] = json.loads((project.folder / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))
    return found


def numbers(kept: str) -> list[float]:
    """Raw numbers, as a file keeps them: the base64 of doubles, little-endian."""
    return np.frombuffer(base64.b64decode(kept, validate=True), "<f8").tolist()


def recompute(target: dict[str, Any], evidence: dict[str, Any]) -> str:
    """The verdict of a plain bound on a median latency, on an exact figure, on an accuracy, or of a paired drop."""
    holds = HOLDS[target["op"]]
    measurements = {m["id"]: m for m in evidence["measurements"]}
    own = measurements[target["measurements"][0]] if target["measurements"] else {}
    if target["of"] == "exact":
        return "PASS" if holds(target["value"], target["limit"]) else "FAIL"
    if target["of"] == "samples":
        scores = numbers(own["scores"][target["metric"]])
        return "PASS" if holds(sum(scores) / len(scores), target["limit"]) else "FAIL"
    if target["of"] == "paired samples":
        other = measurements[target["measurements"][1]]
        drops = np.subtract(*(numbers(m["scores"][target["metric"]]) for m in (other, own)))
        random = np.random.default_rng(1)
        means = [drops[random.integers(0, len(drops), len(drops))].mean() for _ in range(4000)]
        low, high = np.quantile(means, [1 - target["confidence"], target["confidence"]])
        assert low == pytest.approx(target["low"], abs=2e-3)
        assert high == pytest.approx(target["high"], abs=2e-3)
        return "PASS" if holds(high, target["limit"]) else "INCONCLUSIVE"
    assert target["metric"] == "latency.p50"
    medians = [float(np.median(numbers(p["samples_s"]))) for p in own["processes"]]
    settings = evidence["settings"]
    for size, against, margin in zip(settings["looks"], settings["against"], settings["margin"], strict=True):
        worst = [m * (1 + margin) for m in medians[:size]]
        if size <= len(medians) and sum(not holds(m, target["limit"]) for m in worst) <= against:
            return "PASS"
    return "undecided here"


def false_decisions(looks: list[int], against: list[int]) -> Fraction:
    """The probability that fair coins ever decide, in exact arithmetic, by counting paths."""
    paths, seen, decided = {0: Fraction(1)}, 0, Fraction(0)
    for size, allowed in zip(looks, against, strict=True):
        for _ in range(size - seen):
            grown: dict[int, Fraction] = {}
            for count, weight in paths.items():
                for step in (0, 1):
                    grown[count + step] = grown.get(count + step, Fraction(0)) + weight / 2
            paths = grown
        seen = size
        decided += sum((weight for count, weight in paths.items() if count <= allowed), Fraction(0))
        paths = {count: weight for count, weight in paths.items() if count > allowed}
    return decided


def test_every_verdict_can_be_recomputed(project: Project) -> None:
    project.look_as_usual()
    assert project.pytest().returncode == 0
    evidence = written(project)
    assert evidence["schema"] == 2
    for target in evidence["targets"]:
        assert recompute(target, evidence) == target["verdict"], target
    settings = evidence["settings"]
    assert float(false_decisions(settings["looks"], settings["against"])) <= 1 - settings["confidence"]


def test_evidence_holds_what_the_format_promises(project: Project) -> None:
    assert project.pytest("-k", "p50").returncode == 0
    evidence = written(project)
    needed = {
        "kpi", "workload", "recipe", "machine", "device", "metric", "bound", "verdict", "reason", "value", "low",
        "high", "unit", "confidence", "artifact", "measurements",
    }  # fmt: skip
    assert all(needed <= set(target) for target in evidence["targets"])
    process = evidence["measurements"][0]["processes"][0]
    samples = numbers(process["samples_s"])
    assert len(samples) >= 20
    assert all(math.isfinite(s) and s > 0 for s in samples)
    assert process["proof"]["device"] == "CPUExecutionProvider"
    assert numbers(process["kernel_s"])
    assert {"steal", "others"} <= set(process["system"])


def test_no_secret_reaches_the_evidence(project: Project) -> None:
    project.environment["HF_TOKEN"] = "hf_verysecretvalue"
    assert project.pytest("-k", "size or p50").returncode == 0
    for file in (project.folder / ".kpi").rglob("*"):
        if file.is_file():
            assert b"hf_verysecretvalue" not in file.read_bytes()


def test_hostile_names_are_harmless(project: Project) -> None:
    name = "<script>alert(1)</script> | `x` \u202eevil\U0001f4a5" + "long" * 30
    project.change('name = "stripes-int8"', f"name = {json.dumps(name, ensure_ascii=False)}")
    done = project.pytest("-m", "size", "--junitxml=junit.xml")
    assert done.returncode == 0, done.stdout
    summary = (project.folder / ".kpi/latest/summary.md").read_text(encoding="utf-8")
    assert "<script>" not in summary
    assert "\u202e" not in summary
    assert project.evidence()["targets"][0]["kpi"] == name
    kpis = done.stdout.partition(" KPIs ")[2]
    assert "\u202e" not in kpis
    assert max(map(len, kpis.splitlines())) <= 100
