"""Files for LiteRT judged by the suite: one in integers throughout, on the data of the one in floating point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from tests.support.model_files import FAST
from tests.support.project import Project
from tests.support.tflite_files import dense

pytestmark = pytest.mark.suite

TEXT = (
    FAST
    + """
[workload.mine]
task = "tensors"
model = "mine.tflite"
data = "mine.npz"
reference = "as-delivered"

[workload.mine.recipe.as-delivered]
runtime = "litert"

[workload.mine.recipe.integers]
runtime = { name = "litert", threads = 2 }
model = "integers.tflite"

[workload.mine.recipe.integers.scenario.offline]
batch = 4

[[kpi]]
name = "integers"
workload = "mine"
recipe = "integers"
machine = "any-cpu"

[kpi.targets]
"parity.relative_error" = "<= 5 %"
"size" = "<= 0.5 x as-delivered"
"quantized.ops" = ">= 100 %"
"latency.p50" = "< 10 s"
"throughput.offline" = "> 0.001 fps"
"""
)


def test_integers_are_judged_on_the_data_of_floating_point(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(0, 0.05, (64, 256)).astype(np.float32)
    dense(tmp_path / "mine.tflite", weight)
    dense(tmp_path / "integers.tflite", weight, kind="int8", spread=3)
    np.savez(tmp_path / "mine.npz", image=np.random.default_rng(1).uniform(-1, 1, (100, 256)).astype(np.float32))
    project = Project(tmp_path, tmp_path / "store")
    project.toml.write_text(TEXT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = project.pytest()
    verdicts = project.verdicts()
    assert len(verdicts) == 5
    assert set(verdicts.values()) == {"PASS"}, done.stdout + done.stderr
    measured = project.evidence()["measurements"]
    proofs = [process["proof"] for one in measured for process in one["processes"] if one["recipe"] == "mine/integers"]
    assert {(proof["runtime"], proof["threads"], proof["details"]["delegate"]) for proof in proofs} == {
        ("litert", 2, "XNNPACK")
    }
    parity = next(target for target in project.evidence()["targets"] if target["metric"] == "parity.relative_error")
    # Rounding to integers shows: the two are not one and the same file.
    assert parity["value"] > 0.001
