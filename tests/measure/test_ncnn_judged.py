"""ncnn judged by the suite: a file as delivered, one in INT8, and an ONNX file that becomes such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")

from tests.support.model_files import FAST, save
from tests.support.ncnn_files import dense
from tests.support.project import Project

pytestmark = pytest.mark.suite

TEXT = (
    FAST
    + """
[workload.mine]
task = "tensors"
model = "mine.onnx"
data = "mine.npz"
reference = "as-delivered"

[workload.mine.recipe.as-delivered]
runtime = "onnxruntime"

[workload.mine.recipe.converted]
runtime = { name = "ncnn", threads = 1 }
passes = ["ncnn"]

[workload.mine.recipe.integers]
runtime = "ncnn"
model = "integers.param"
inputs = { image = "x" }
outputs = { scores = "y" }

[[kpi]]
name = "converted"
workload = "mine"
recipe = "converted"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 0.01 %", "latency.p50" = "< 10 s", "throughput.offline" = "> 0.001 fps" }

[[kpi]]
name = "integers"
workload = "mine"
recipe = "integers"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 5 %", "size" = "<= 0.5 x converted", "quantized.ops" = ">= 100 %" }
"""
)


def test_files_are_judged_on_the_data_of_the_onnx_file(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(0, 0.05, (64, 256)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    save(tmp_path / "mine.onnx", nodes, {"x": ["N", 256]}, {"y": ["N", 64]}, {"w": weight.T.copy()})
    dense(tmp_path / "integers.param", weight, integer=True)
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(1).uniform(-1, 1, (100, 256)).astype(np.float32))
    project = Project(tmp_path, tmp_path / "store")
    project.toml.write_text(TEXT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = project.pytest()
    verdicts = project.verdicts()
    assert len(verdicts) == 6
    assert set(verdicts.values()) == {"PASS"}, done.stdout + done.stderr
    measured = project.evidence()["measurements"]
    proofs = [process["proof"] for one in measured for process in one["processes"] if one["recipe"] == "mine/converted"]
    assert {(proof["runtime"], proof["threads"], proof["precision"]) for proof in proofs} == {("ncnn", 1, "fp32")}
    parity = next(
        t for t in project.evidence()["targets"] if t["metric"] == "parity.relative_error" and t["kpi"] == "integers"
    )
    # Rounding to integers shows: what is judged is the file of integers.
    assert parity["value"] > 0.001
