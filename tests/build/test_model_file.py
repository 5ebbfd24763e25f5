"""A recipe that begins with a model file: what is kept of it, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.build.passes.base import PassContext
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.workloads.checkpoint import file_digest
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import digits_data, digits_model, file_settings, save
from tests.support.small_models import apply


@pytest.fixture
def digits(tmp_path: Path) -> FileWorkload:
    digits_model(tmp_path / "digits.onnx")
    digits_data(tmp_path / "digits.npz")
    data = DataFiles(tmp_path / "digits.npz")
    return FileWorkload(file_settings("tabular-classification", tmp_path / "digits.onnx", data, tmp_path / "cache"))


def test_the_file_stays_as_it_is(digits: FileWorkload, tmp_path: Path) -> None:
    made, notes = apply("onnx-file", tmp_path / "out", digits, file=str(tmp_path / "digits.onnx"))
    assert (made / "model.onnx").read_bytes() == (tmp_path / "digits.onnx").read_bytes()
    assert notes["compared"]["difference"] == pytest.approx(0, abs=1e-5)


def test_weights_next_to_it_come_along(tmp_path: Path) -> None:
    weights = {"w": np.eye(3, dtype=np.float32) * 2}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    file = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, weights, external=True)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((40, 3), np.float32))
    made = FileWorkload(file_settings("tensors", file, DataFiles(tmp_path / "d.npz"), tmp_path / "cache"))
    out, _ = apply("onnx-file", tmp_path / "out", made, file=str(file))
    assert sorted(path.name for path in out.iterdir()) == ["m.weights", "model.onnx"]


def test_a_file_that_somebody_else_quantized(digits: FileWorkload, tmp_path: Path) -> None:
    """Its ranges are those of the batch, so that answers depend on it: that is noted, not refused."""
    source, _ = apply("onnx-file", tmp_path / "file", digits, file=str(tmp_path / "digits.onnx"))
    quantized, _ = apply("onnx-dynamic-int8", tmp_path / "int8", digits, source)
    _, notes = apply("onnx-file", tmp_path / "vendor", digits, file=str(quantized / "model.onnx"))
    assert 0 < notes["compared"]["difference"] < 0.1


def test_outputs_that_are_not_judged_are_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Mul", ["x", "x"], ["box"])]
    file = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3], "box": ["n", 3]}, {})
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((40, 3), np.float32))
    data = DataFiles(tmp_path / "d.npz")
    made = FileWorkload(file_settings("tensors", file, data, tmp_path / "cache", scored="y"))
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PassContext, "remark", lambda _, text: said.append(text))
        apply("onnx-file", tmp_path / "out", made, file=str(file))
    assert said == ["only the output y is judged, not box"]
    with pytest.raises(KpiError, match=r"workload mine has 2 outputs: y, box"):
        _ = FileWorkload(file_settings("tensors", file, data, tmp_path / "cache")).scored_output


def test_a_pinned_digest(digits: FileWorkload, tmp_path: Path) -> None:
    file = tmp_path / "digits.onnx"
    apply("onnx-file", tmp_path / "right", digits, file=str(file), sha256=file_digest(file))
    with pytest.raises(KpiError, match=r"digits\.onnx has the digest .*, pinned is 000"):
        apply("onnx-file", tmp_path / "wrong", digits, file=str(file), sha256="0" * 64)


def test_other_inputs_are_refused(digits: FileWorkload, tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["pixels", "pixels"], ["scores"])]
    other = save(tmp_path / "other.onnx", nodes, {"pixels": ["n", 64]}, {"scores": ["n", 64]}, {})
    with pytest.raises(KpiError, match=r"other\.onnx takes pixels, the workload's model takes image"):
        apply("onnx-file", tmp_path / "out", digits, file=str(other))
    with pytest.raises(KpiError, match=r'pass "openvino-file" takes no \.onnx'):
        apply("openvino-file", tmp_path / "out2", digits, file=str(other))


def broken(folder: Path, nodes: list[object]) -> FileWorkload:
    save(folder / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, {"one": np.ones(1, np.float32)})
    np.savez(folder / "d.npz", x=np.random.default_rng(0).normal(0, 1, (40, 3)).astype(np.float32))
    return FileWorkload(file_settings("tensors", folder / "m.onnx", DataFiles(folder / "d.npz"), folder / "cache"))


def test_nan_and_chance_are_refused(tmp_path: Path) -> None:
    made = broken(tmp_path, [helper.make_node("Sqrt", ["x"], ["y"])])
    with pytest.raises(KpiError, match="answers y with NaN or infinity on sample"):
        apply("onnx-file", tmp_path / "nan", made, file=str(tmp_path / "m.onnx"))
    noise = helper.make_node("RandomNormalLike", ["x"], ["y"], dtype=TensorProto.FLOAT)
    made = broken(tmp_path, [noise])
    with pytest.raises(KpiError, match="answers the same sample differently each time"):
        apply("onnx-file", tmp_path / "noise", made, file=str(tmp_path / "m.onnx"))


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    import onnx

    node = helper.make_node("Sparkle", ["x"], ["y"], domain="vendor.example")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y")]
    graph = helper.make_graph([node], "m", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("vendor.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((40, 3), np.float32))
    data = DataFiles(tmp_path / "d.npz")
    made = FileWorkload(file_settings("tensors", tmp_path / "m.onnx", data, tmp_path / "cache"))
    with pytest.raises(KpiError, match=r"the file does not run: .*vendor\.example:Sparkle"):
        apply("onnx-file", tmp_path / "out", made, file=str(tmp_path / "m.onnx"))
