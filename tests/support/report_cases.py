"""A recorded run, and what it would be with everything that the report can show, hostile names included."""

from __future__ import annotations

import copy
import json
from typing import Any

from harness.core.codec import encode
from harness.evidence.history.points import Point
from harness.evidence.model import Evidence
from harness.evidence.reader import read_evidence
from harness.judge.verdict import Verdict
from tests.support.plain_evidence import as_evidence, unpacked
from tests.support.project import ROOT

HOSTILE = (
    "<script>alert(1)</script></script><img src=x onerror=alert(2)> javascript:alert(3) [bold]b[/] \u202eevil\U0001f4a5"
)
"""Markup of HTML, of a script's end, of rich; a right-to-left override, an emoji."""
LONG = "very-long-name-" * 20


def history(runs: int, kpis: int = 2) -> list[Point]:
    """Runs on two machines of one name, in turn; the second is three times as slow."""
    return [
        point(f"kpi-{kpi}", run, (1 + (run + kpi) % 7 / 10) * (1e-3, 3e-3)[run % 2], "PASS" if run % 5 else "FAIL")
        for run in range(runs)
        for kpi in range(kpis)
    ]


def point(kpi: str, run: int, value: float, verdict: str) -> Point:
    """What one run said of a target on the median latency."""
    return Point(
        run=f"run{run}", started=f"2026-01-{1 + run // 24:02}T{run % 24:02}:00:00+00:00", commit="", complete=True,
        machine=f"machine-{run % 2}", machine_name="AMD EPYC", kpi=kpi, workload="", recipe="", device="cpu",
        metric="latency.p50", bound="< 3 ms", relation="value", versus=None, value=value, low=0.9 * value,
        high=1.1 * value, unit="s", n=6, of="processes", verdict=Verdict(verdict), reason="", artifact="",
    )  # fmt: skip


def windows(count: int = 100) -> dict[str, list[float | None]]:
    """A process of ten minutes on a machine that becomes hot, and then slow; its temperature was not read at once."""
    slow = [max(1.0, 2 * k / count) for k in range(count)]
    celsius: list[float | None] = [None, *(45 + 40 * k / count for k in range(1, count))]
    return {
        "end_s": [600 * (k + 1) / count for k in range(count)], "requests": [50.0] * count,
        "p50_s": [0.012 * s for s in slow], "p99_s": [0.016 * s for s in slow], "celsius": celsius,
        "mhz": [2400 / s for s in slow],
    }  # fmt: skip


def recorded() -> dict[str, Any]:
    """The evidence that a run of the guide's example left on some day, with fewer samples; that of a file of old.

    The reference, which nobody had asked to time, has the times of the other recipe, half as fast.
    """
    made = unpacked(json.loads(encode(read_evidence(ROOT / "tests/recorded/evidence.json", None)[0])))
    timed = next(m for m in made["measurements"] if m["scenario"] == "single-stream")
    slower = copy.deepcopy(timed) | {"id": "slower", "recipe": "stripes/fp32", "artifact_bytes": 19_000}
    for process in slower["processes"]:
        process["samples_s"] = [2 * seconds for seconds in process["samples_s"]]
    made["measurements"].append(slower)
    return made


def amended(evidence: dict[str, Any]) -> Evidence:
    """The same with every verdict, published figures, a disturbed process, layers, timelines, names that do harm."""
    made = copy.deepcopy(evidence)
    first = made["targets"][0]
    states = ["FAIL", "ERROR", "INCONCLUSIVE", "OFF_TARGET", "UNAVAILABLE"]
    for state, name in zip(states, [HOSTILE, LONG, "c", "d", "e"], strict=True):
        nothing = state in ("ERROR", "UNAVAILABLE")
        other = {**first, "kpi": name, "id": f"{name}:size", "verdict": state, "reason": f"because {HOSTILE}"}
        made["targets"].append({**other, **({"value": None, "low": None, "high": None} if nothing else {})})
        made["kpis"].append({**made["kpis"][0], "name": name, "description": HOSTILE})
    made["targets"].append({**first, "kpi": "f", "low": "-inf", "high": "inf", "of": "processes", "n": 2})
    made["targets"].append(
        {**first, "kpi": "g", "verdict": "INCONCLUSIVE", "value": None, "low": None, "high": None,
         "reason": "left out", "cause": "unselected"}
    )  # fmt: skip
    # Promised on another machine, and so tight that it shows in the figures.
    made["targets"][5] |= {"bound": "< 9 us", "limit": 9e-6}
    made["published"] = [
        {
            "workload": first["workload"], "source": HOSTILE, "recipe": HOSTILE, "machine": "theirs",
            "values": {"latency.p50": [1e-5, 2e-5], "size": [9000.0, 9000.0], "accuracy.top1": [0.9, 0.9]},
        }
    ]  # fmt: skip
    timed = next(m for m in made["measurements"] if m["scenario"] == "single-stream")
    process = timed["processes"][1]
    process["disturbed"] = f"the kernel was slow {HOSTILE}"
    process["proof"]["layers"] = [[HOSTILE, "Conv", 2e-4], ["b", "MatMul", 1e-4]]
    points = [(k / 20, 10_000_000 + 50_000 * (k % 90) * k, k / 25) for k in range(300)]
    process["details"]["timeline"] = {"points": points, "marks": {"load": 0.5, "timing": 4.0}, "devices": {}}
    process["details"] |= {"windows": windows(), "part_s": 60.0, "span_s": 600.0}
    other = copy.deepcopy(timed)
    other |= {"id": "hostile", "recipe": f"{first['workload']}/{HOSTILE}"}
    other["processes"][0]["proof"]["layers"] = [[LONG, HOSTILE, 2e-4]]
    made["measurements"].append(other)
    made["machine"]["cpu"] = f"AMD {HOSTILE}"
    return as_evidence(made)
