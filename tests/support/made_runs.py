"""Evidence as runs would have written it, without running: figures drawn with a seed, sealed, laid out alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.bounds import Relation, judged_in, parse_bound
from harness.core.statistics import median, median_bounds, plan_looks
from harness.evidence.model import Evidence
from harness.judge.metrics import metrics
from harness.spec.model import MeasureSettings
from tests.support.plain_evidence import as_evidence, resealed, sealed_text

MACHINE: Mapping[str, Any] = {
    "cpu": "Some CPU", "cores": 2, "memory": 16_000_000_000, "os": "Linux", "arch": "x86_64", "gpus": [], "npus": [],
    "instructions": ["avx2"], "governor": None, "boot": "b", "python": "3.12",
}  # fmt: skip
SETTINGS = MeasureSettings()


@dataclass
class Made:
    """One KPI's figures: a median latency in seconds, a size in bytes, scores of an evaluation set."""

    name: str = "a"
    latency: Sequence[float] = ()
    size: float = 1000.0
    scores: Sequence[float] = ()
    artifact: str = "a" * 64
    recipe: str = "int8"
    workload: str = "w"
    disturbed: Sequence[bool] = ()
    bounds: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 50

    def bound(self, metric: str) -> str:
        plain = {"latency.p50": "< 10 ms", "size": "< 2 kB", "accuracy.top1": ">= 50 %"}
        return self.bounds.get(metric, plain[metric])


def latencies(middle: float, count: int, seed: int, spread: float = 0.01) -> list[float]:
    """Medians of processes around ``middle`` seconds."""
    drawn = np.random.default_rng(seed)
    return [middle * (1 + float(drawn.normal(0, spread))) for _ in range(count)]


def process(latency: float, samples: int, *, disturbed: bool) -> dict[str, Any]:
    """A process whose median latency is ``latency`` seconds."""
    return {
        "started": "2026-01-01T00:00:00+00:00", "wall_s": 1.0, "load_s": 0.1, "first_inference_s": 0.1,
        "memory_before": 0, "memory_peak": 1000, "completed": samples, "elapsed_s": samples * latency,
        "samples_s": [latency * (1 + 0.001 * (n - samples // 2)) for n in range(2 * (samples // 2) + 1)],
        "proof": {"runtime": "openvino", "version": "1", "device": "CPU", "precision": "f32"},
        "system": {}, "disturbed": "a neighbour" if disturbed else "",
    }  # fmt: skip


def measurement(made: Made, scenario: str) -> dict[str, Any]:
    spoilt = made.disturbed or [False] * len(made.latency)
    timed = scenario == "single-stream"
    every = [process(s, made.samples, disturbed=d) for s, d in zip(made.latency, spoilt, strict=True)]
    return {
        "id": f"{scenario}-{made.workload}-{made.recipe}-{made.artifact[:8]}", "artifact": made.artifact,
        "recipe": f"{made.workload}/{made.recipe}", "artifact_bytes": int(made.size), "runtime": "openvino",
        "runtime_options": dict(made.options), "environment": None, "placement": {}, "device": "cpu",
        "scenario": scenario, "scenario_options": {}, "pairs": {}, "scored_with": {}, "taken_over": None,
        "processes": every if timed else [],
        "scores": {} if timed else {"accuracy.top1": list(made.scores)},
        "conditions": {"harness": "0.1.0", "machine": "m", "inputs": f"inputs of {made.workload}", "runtime": {}},
    }  # fmt: skip


def target(made: Made, metric: str) -> dict[str, Any]:
    text = made.bound(metric)
    bound = parse_bound(text, metrics()[metric].dimension)
    found: dict[str, Any] = {"value": None, "low": None, "high": None, "n": 0, "of": "", "measurements": []}
    if metric == "size":
        found |= dict.fromkeys(("value", "low", "high"), made.size) | {"n": 1, "of": "exact"}
    elif metric == "latency.p50" and made.latency:
        look = plan_looks(SETTINGS.looks, SETTINGS.confidence)[0]
        low, high = median_bounds(made.latency[: look.processes], look.against)
        found |= {"value": median(list(made.latency)), "low": low, "high": high, "n": len(made.latency)}
        found |= {"of": "processes", "measurements": [measurement(made, "single-stream")["id"]]}
    elif metric == "accuracy.top1" and made.scores:
        value = sum(made.scores) / len(made.scores)
        found |= {"value": value, "low": value - 0.01, "high": value + 0.01, "n": len(made.scores), "of": "samples"}
        found |= {"measurements": [measurement(made, "evaluate")["id"]]}
    measured = found["value"] is not None
    said = "PASS" if measured and bound.holds(found["value"]) else "FAIL" if measured else "INCONCLUSIVE"
    return {
        "id": f"{made.name}:{metric}", "kpi": made.name, "workload": made.workload, "recipe": made.recipe,
        "machine": "any-cpu", "device": "cpu", "metric": metric, "scenario": metrics()[metric].scenario or "",
        "bound": text, "op": bound.op, "limit": bound.limit, "relation": bound.relation.value, "versus": None,
        "unit": judged_in(metrics()[metric].dimension, Relation(bound.relation)).base, "usd_per_hour": None,
        "verdict": made.verdicts.get(metric, said), "confidence": 0.97, "artifact": made.artifact if measured else "",
        "reason": "" if measured else "not measured: not selected by -k or -m", "remedy": "", "notes": [],
        "cause": None if measured else "unselected", "would_be": None, "seconds": 0.0, **found,
    }  # fmt: skip


def evidence(
    kpis: Iterable[Made],
    started: str = "2026-01-01T00:00:00.000+00:00",
    *,
    machine: Mapping[str, Any] = MACHINE,
    **more: Any,
) -> Evidence:
    """A whole, sealed record; ``more`` replaces its parts."""
    every = list(kpis)
    targets = [target(made, metric) for made in every for metric in ("latency.p50", "size", "accuracy.top1")]
    kept = [(m, s) for m in every for s, has in (("single-stream", m.latency), ("evaluate", m.scores)) if has]
    measurements = {(found := measurement(made, scenario))["id"]: found for made, scenario in kept}
    verdicts: dict[str, int] = {}
    for found in targets:
        verdicts[found["verdict"]] = verdicts.get(found["verdict"], 0) + 1
    plain = {
        "schema": 2, "harness": "0.1.0", "file": "kpis.toml", "kpis_digest": "p", "commit": "c" * 40,
        "started": started, "written": started, "release": False, "complete": True, "resume": False,
        "machine": dict(machine), "libraries": {}, "published": [], "verdicts": verdicts, "targets": targets,
        "settings": {
            "confidence": SETTINGS.confidence, "drift": SETTINGS.drift, "looks": list(SETTINGS.looks),
            "against": [look.against for look in plan_looks(SETTINGS.looks, SETTINGS.confidence, SETTINGS.drift)],
        },
        "kpis": [
            {"name": m.name, "workload": m.workload, "recipe": m.recipe, "machine": "any-cpu", "device": "cpu"}
            for m in every
        ],
        "measurements": list(measurements.values()),
    }  # fmt: skip
    return resealed(as_evidence({**plain, **more}))


def keep(folder: Path, made: Evidence) -> Path:
    """Writes evidence where a run would: ``runs/<start>/evidence.json`` below ``folder``."""
    file = folder / "runs" / made.started.replace(":", "-") / "evidence.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sealed_text(made))
    return file
