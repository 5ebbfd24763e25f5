"""A recipe's file with names and axes of its own, on the whole way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from harness.core.errors import KpiError
from harness.core.naming import Naming
from tests.support.model_files import FAST, save
from tests.support.project import Project

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

[workload.mine.recipe.other]
runtime = "onnxruntime"
model = "other.onnx"
inputs = { pixels = { name = "image", axes = [0, 2, 3, 1] } }
outputs = { heat = { name = "map", axes = [0, 3, 1, 2] } }

[[kpi]]
name = "other"
workload = "mine"
recipe = "other"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 0.001 %", "latency.p50" = "< 10 s", "throughput.offline" = "> 0.001 fps" }
"""
)


@pytest.mark.suite
def test_it_is_judged_as_the_file_that_it_is_another_form_of(tmp_path: Path) -> None:
    scale = np.random.default_rng(0).normal(0, 1, (3, 1, 1)).astype(np.float32)
    node = helper.make_node("Mul", ["image", "scale"], ["map"])
    sizes: list[int | str] = ["n", 3, 4, 5]
    save(tmp_path / "mine.onnx", [node], {"image": sizes}, {"map": sizes}, {"scale": scale})
    node = helper.make_node("Mul", ["pixels", "scale"], ["heat"])
    turned: list[int | str] = ["n", 4, 5, 3]
    save(tmp_path / "other.onnx", [node], {"pixels": turned}, {"heat": turned}, {"scale": scale.reshape(3)})
    np.savez(tmp_path / "mine.npz", image=np.random.default_rng(1).normal(0, 1, (60, 3, 4, 5)).astype(np.float32))
    project = Project(tmp_path, tmp_path / "store")
    project.toml.write_text(TEXT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = project.pytest()
    assert project.verdicts() == dict.fromkeys(project.verdicts(), "PASS"), done.stdout + done.stderr
    assert len(project.verdicts()) == 3


def test_names_and_axes_go_both_ways() -> None:
    naming = Naming.of({"pixels": {"name": "image", "axes": [0, 2, 3, 1]}}, {"heat": "map"})
    image = np.arange(120).reshape(2, 3, 4, 5)
    asked = naming.asked({"image": image, "size": image})
    assert asked.keys() == {"pixels", "size"}
    assert np.array_equal(asked["pixels"], image.transpose(0, 2, 3, 1))
    assert naming.answered({"heat": image, "rest": image}).keys() == {"map", "rest"}
    assert Naming() == Naming.of({}, {})
    assert not Naming()


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(KpiError, match=r"inputs: two of m\.onnx would be called b"):
        Naming.of({"a": "b"}, {}).check("m.onnx", {"a": 1, "b": 2}, {})
