"""Models whose batch is not the first axis: declared or read from the names of axes, turned within the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from harness.build.passes.model_file import turns
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, SpecError
from harness.spec.reader import read_spec
from harness.workloads.files.shared import batch_axes, batch_first
from harness.workloads.files.signature import Port, Signature, read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import FAST, file_settings, save
from tests.support.project import Project
from tests.support.small_models import apply

STEPS, WIDTH = 5, 8


def steps_first(file: Path, batch: str = "n") -> Path:
    """Takes (sequence, batch, features), answers (sequence, batch, 4), and a sum of each sequence (batch, 4)."""
    chance = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["each"]),
        helper.make_node("ReduceSum", ["each", "first"], ["sums"], keepdims=0),
    ]
    weights = {"w": chance.normal(0, 0.5, (WIDTH, 4)).astype(np.float32), "first": np.array([0], np.int64)}
    outputs: dict[str, list[int | str]] = {"each": [STEPS, batch, 4], "sums": [batch, 4]}
    return save(file, nodes, {"x": [STEPS, batch, WIDTH]}, outputs, weights)


def data(folder: Path) -> DataFiles:
    given = np.random.default_rng(1).normal(0, 1, (60, STEPS, WIDTH)).astype(np.float32)
    np.savez(folder / "d.npz", x=given)
    return DataFiles(folder / "d.npz")


DECLARED = {"x": 1, "each": 1}


def workload(folder: Path, **more: Any) -> FileWorkload:
    given = {"scored": "each", "batch_axis": DECLARED, **more}
    return FileWorkload(file_settings("tensors", folder / "m.onnx", data(folder), folder / "cache", **given))


def test_axes_go_there_and_back() -> None:
    array = np.zeros((2, 3, 5, 7))
    there, back = turns(2, 4)
    assert array.transpose(there).shape == (3, 5, 2, 7)
    assert array.transpose(there).transpose(back).shape == array.shape


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_the_artifact_has_the_batch_first(tmp_path: Path, kind: str) -> None:
    model = steps_first(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(model))
    made = workload(tmp_path)
    assert made.inputs[0].shape == (STEPS, WIDTH)
    given = made.split("evaluation").inputs(0, 3)["x"]
    wanted = session.run(["each", "sums"], {"x": given.transpose(1, 0, 2)})
    if kind == "openvino":
        ov = pytest.importorskip("openvino")
        ov.save_model(ov.convert_model(str(model)), tmp_path / "m.xml", compress_to_fp16=False)
        out, _ = apply("openvino-file", tmp_path / "out", made, file=str(tmp_path / "m.xml"))
        compiled = ov.Core().compile_model(str(out / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        said = compiled({"x": given})
        found = [said["each"], said["sums"]]
    else:
        out, _ = apply("onnx-file", tmp_path / "out", made, file=str(model))
        onnx.checker.check_model(str(out / "model.onnx"))
        found = onnxruntime.InferenceSession(str(out / "model.onnx")).run(["each", "sums"], {"x": given})
        assert read_signature(out / "model.onnx").batch_names == ["n"]
    np.testing.assert_allclose(found[0], wanted[0].transpose(1, 0, 2), atol=1e-5)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-5)


def test_names_of_axes_say_it_too(tmp_path: Path) -> None:
    signature = read_signature(steps_first(tmp_path / "m.onnx", "batch_size"))
    axes = batch_axes(signature, {}, (), "m.onnx")
    assert axes == {"x": 1, "each": 1}
    turned = batch_first(signature, axes)
    assert [port.shape for port in turned.inputs] == [(None, STEPS, WIDTH)]
    assert [port.shape for port in turned.outputs] == [(None, STEPS, 4), (None, 4)]
    assert turned.inputs[0].axes[0] == "batch_size"
    # What is declared counts, and state is left as it is.
    assert batch_axes(signature, {"x": 0}, ("each",), "m.onnx") == {}


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    steps_first(tmp_path / "m.onnx")
    with pytest.raises(KpiError, match='batch_axis: unknown name "y"'):
        workload(tmp_path, batch_axis={"y": 1})
    with pytest.raises(KpiError, match=r"batch_axis: x = 3: m\.onnx has x \(float32 5x\?x8\)"):
        workload(tmp_path, batch_axis={"x": 3})
    scalar = Signature((Port("s", "float32", ()),), (), "")
    with pytest.raises(KpiError, match="axes are counted from 0"):
        batch_axes(scalar, {"s": 0}, (), "m.onnx")


def test_a_branch_may_take_what_is_turned(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["kept"])],
        "kept",
        [],
        [helper.make_tensor_value_info("kept", onnx.TensorProto.FLOAT, [STEPS, "n", WIDTH])],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["less"])],
        "less",
        [],
        [helper.make_tensor_value_info("less", onnx.TensorProto.FLOAT, [STEPS, "n", WIDTH])],
    )
    nodes = [helper.make_node("If", ["yes"], ["each"], then_branch=branch, else_branch=other)]
    model = save(
        tmp_path / "m.onnx",
        nodes,
        {"x": [STEPS, "n", WIDTH]},
        {"each": [STEPS, "n", WIDTH]},
        {"yes": np.zeros((), bool)},
    )
    out, _ = apply("onnx-file", tmp_path / "out", workload(tmp_path), file=str(model))
    given = np.random.default_rng(2).normal(0, 1, (2, STEPS, WIDTH)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(str(out / "model.onnx")).run(None, {"x": given})
    np.testing.assert_array_equal(found, -given)


TOML = """
[workload.steps]
task = "tensors"
model = "m.onnx"
data = "d.npz"
scored = "each"
batch_axis = { x = 1, each = 1 }
reference = "as-delivered"

[workload.steps.recipe.as-delivered]
runtime = "onnxruntime"

[workload.steps.recipe.int8]
runtime = { name = "openvino", precision = "f32" }
passes = ["openvino", { pass = "nncf", calibration = 12 }]

[[kpi]]
name = "delivered"
workload = "steps"
recipe = "as-delivered"
machine = "any-cpu"
targets = { "latency.p50" = "< 1 s", "throughput.offline" = "> 1 fps" }

[[kpi]]
name = "int8"
workload = "steps"
recipe = "int8"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 10 %" }
"""


@pytest.mark.suite
def test_another_batch_axis_is_judged(tmp_path: Path, shared_store: Path) -> None:
    steps_first(tmp_path / "m.onnx")
    data(tmp_path)
    (tmp_path / "kpis.toml").write_text(FAST + TOML, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    project = Project(tmp_path, shared_store)
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.verdicts().values()) == {"PASS"}


def test_mistakes_of_the_table(tmp_path: Path) -> None:
    for given, told in (("{ x = -1 }", "batch_axis"), ('{ x = "1" }', "batch_axis"), ("1", "batch_axis")):
        text = FAST + TOML.replace("{ x = 1, each = 1 }", given)
        (tmp_path / "kpis.toml").write_text(text, encoding="utf-8")
        with pytest.raises(SpecError) as error:
            read_spec(tmp_path / "kpis.toml")
        assert any(told in problem for problem in error.value.problems), error.value.problems
