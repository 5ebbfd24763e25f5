"""Quantized weights are stored as integers, and nothing that is computed changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.tasks.question_answering.passes.qdq import fold_weights

ROWS, WIDE = 50, 8


def quantizer(name: str, weight: Any, scale: Any, axis: int | None) -> tuple[list[Any], list[Any]]:
    """Nodes from the float weight ``name`` to ``name_d``, with what they need."""
    more = {} if axis is None else {"axis": axis}
    zero = np.zeros(np.shape(scale), np.int8)
    stored = [
        numpy_helper.from_array(weight.astype(np.float32), name),
        numpy_helper.from_array(np.asarray(scale, np.float32), f"{name}_s"),
        numpy_helper.from_array(zero, f"{name}_z"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", [name, f"{name}_s", f"{name}_z"], [f"{name}_q"], **more),
        helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], [f"{name}_d"], **more),
    ]
    return nodes, stored


def network(*, per_row: bool) -> Any:
    """An embedding that is looked up, then a layer whose weight is transposed, as exporters write them."""
    random = np.random.default_rng(3)
    table, weight = random.normal(size=(ROWS, WIDE)), random.normal(size=(4, WIDE))
    table_scale = np.abs(table).max(1) / 127 if per_row else np.abs(table).max() / 127
    first, a = quantizer("table", table, table_scale, 0 if per_row else None)
    second, b = quantizer("weight", weight, np.abs(weight).max(1) / 127, 0)
    nodes = [
        *first,
        helper.make_node("Gather", ["table_d", "ids"], ["rows"]),
        *second,
        helper.make_node("Transpose", ["weight_d"], ["weight_t"], perm=[1, 0]),
        helper.make_node("MatMul", ["rows", "weight_t"], ["out"]),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "g", [ids], [out], [*a, *b])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answers(model: Any) -> Any:
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.arange(ROWS)})[0]


@pytest.mark.parametrize("scales", ["one", "one for each row"])
def test_weights_become_integers_and_answers_stay(scales: str) -> None:
    per_row = scales != "one"
    model = network(per_row=per_row)
    before, size = answers(model), model.ByteSize()
    assert fold_weights(model) == 2
    np.testing.assert_array_equal(answers(model), before)
    assert model.ByteSize() < size
    kinds = [node.op_type for node in model.graph.node]
    assert "QuantizeLinear" not in kinds
    assert "Transpose" not in kinds
    # One scale for the whole table: its rows are looked up as integers. A scale for each row can't wait.
    assert (kinds.index("Gather") < kinds.index("DequantizeLinear")) is not per_row
    floats = [t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    assert sorted(floats) == ["table_s", "weight_s"]
    assert fold_weights(model) == 0


def test_activations_are_left_alone() -> None:
    scale, zero = (numpy_helper.from_array(np.array(v), n) for v, n in ((np.float32(0.1), "s"), (np.uint8(3), "z")))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    before = model.SerializeToString()
    assert fold_weights(model) == 0
    assert model.SerializeToString() == before
    onnx.checker.check_model(model)
