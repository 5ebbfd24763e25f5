"""Every pass, runtime, scenario and metric, for real, on a small convolutional network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project, copied_project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite


@pytest.fixture
def gratings(tmp_path: Path, shared_store: Path) -> Project:
    return copied_project("gratings", tmp_path, shared_store)


@pytest.mark.long
def test_every_recipe_is_built_run_and_as_right_as_fp32(gratings: Project) -> None:
    done = gratings.pytest("-k", "not every-metric", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {k: v for k, v in gratings.verdicts().items() if not k.startswith("every-metric")}
    assert set(verdicts.values()) == {"PASS"}, verdicts
    proofs: dict[str, dict[str, object]] = {}
    for measurement in gratings.evidence()["measurements"]:
        name = measurement["recipe"].partition("/")[2]
        # The look inside says more than the others: it replaces theirs.
        if measurement["scenario"] == "profile" or name not in proofs:
            proofs[name] = measurement["processes"][0]["proof"]
    for measurement in gratings.evidence()["measurements"]:
        export, *_ = measurement["compared"]
        assert export["pass"] in {"onnx", "torch"}
        assert 0 <= export["difference"] < export["tolerance"]
        assert export["batches"] == [1, 3]
    assert proofs["openvino"]["integer_ops"] == 0
    assert all(proofs[name]["integer_ops"] == 3 for name in ("qdq", "qoperator", "dynamic", "nncf")), proofs
    assert all(proofs[name]["layers"] for name in ("qdq", "nncf"))
    assert proofs["openvino"]["precision"] == "f32"
    assert proofs["openvino-fp16"]["threads"] == 1
    assert proofs["torch-bf16"]["precision"] == "bf16"
    # Normalization was folded into the convolutions: the artifact holds fewer operations.
    assert proofs["torch"]["device"] == "cpu"


def test_every_metric_is_measured_and_recomputable(gratings: Project) -> None:
    gratings.leave_alone()
    done = gratings.pytest("-k", "every-metric", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    evidence = gratings.evidence()
    targets = [t for t in evidence["targets"] if t["kpi"] == "every-metric"]
    assert {t["verdict"] for t in targets} == {"PASS"}, targets
    assert all(t["value"] is not None for t in targets), targets
    assert len({t["artifact"] for t in targets}) == 1
    measurements = {m["id"]: m for m in evidence["measurements"]}
    assert all(set(t["measurements"]) <= set(measurements) for t in targets)
    p50 = next(t for t in targets if t["metric"] == "latency.p50" and t["relation"] == "value")
    processes = measurements[p50["measurements"][0]]["processes"][: p50["n"]]
    medians = sorted(sorted(p["samples_s"])[len(p["samples_s"]) // 2] for p in processes)
    assert medians[0] <= p50["value"] <= medians[-1]
    top1 = next(t for t in targets if t["metric"] == "accuracy.top1" and t["relation"] == "value")
    scores = measurements[top1["measurements"][0]]["scores"]["accuracy.top1"]
    assert top1["value"] == pytest.approx(sum(scores) / len(scores))
    offline = next(m for m in evidence["measurements"] if m["scenario"] == "offline")
    assert offline["processes"][0]["batch"] == 8
    assert offline["runtime_options"]["hint"] == "throughput"
    pair = next(t for t in targets if t["metric"] == "latency.p50" and t["relation"] == "ratio")
    assert len(pair["measurements"]) == 2
    starts = [sorted(p["started"] for p in measurements[name]["processes"]) for name in pair["measurements"]]
    # Interleaved: neither recipe was measured in one block.
    assert starts[0][-1] > starts[1][0]
    assert starts[1][-1] > starts[0][0]


@pytest.mark.long
def test_answers_of_nan_are_an_error(gratings: Project) -> None:
    gratings.environment["GRATINGS_NAN"] = "1"
    gratings.environment["KPI_STORE"] = str(gratings.folder / "store")
    done = gratings.pytest("-k", "optimized and cosine or every-metric and p50", timeout=600)
    assert done.returncode == 1
    verdicts = gratings.verdicts()
    assert verdicts["optimized:cosine"] == "ERROR"
    assert "NaN" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.long
def test_a_truncated_artifact_is_rebuilt_and_one_never_made_right_is_an_error(gratings: Project) -> None:
    assert gratings.pytest("-k", "optimized", timeout=600).returncode == 0
    damaged = 0
    for manifest in (gratings.store / "objects").glob("*/manifest.json"):
        if json.loads(manifest.read_text(encoding="utf-8"))["format"] == "onnx":
            model = manifest.parent / "model.onnx"
            model.write_bytes(model.read_bytes()[:100])
            damaged += 1
    assert damaged
    assert gratings.pytest("-k", "optimized", timeout=600).returncode == 0
