"""Library messages become one line that carries the reason: real messages, as the libraries of today raise them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError, reason, shortened


def raised(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is looked at by the test
        call()
    return caught.value


def softmax(shape: list[Any], **attributes: Any) -> bytes:
    """An ONNX graph of one softmax over "x" of ``shape``."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], **attributes)], "graph", [x], [y])
    opsets = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_onnx_runtime_says_why_a_graph_is_invalid() -> None:
    import onnxruntime as ort

    said = reason(raised(lambda: ort.InferenceSession(softmax(["n", 3], axis=1, bogus=3))))
    assert said.endswith("Error Unrecognized attribute: bogus for operator Softmax")


def test_onnx_runtime_says_which_dimension_is_wrong() -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(softmax([2, 3], axis=1))
    said = reason(raised(lambda: session.run(None, {"x": np.zeros((5, 4), np.float32)})))
    assert "index: 0 Got: 5 Expected: 2" in said
    assert "index: 1 Got: 4 Expected: 3" in said
    assert "\n" not in said


def test_openvino_says_the_reason_and_not_its_own_files(tmp_path: Path) -> None:
    import openvino as ov

    compiled = ov.compile_model(ov.Core().read_model(softmax(["n", 3], axis=1)), "CPU")
    said = reason(raised(lambda: compiled({"x": np.zeros((2, 4), np.float32)})))
    assert said.startswith("Can't set the input tensor with index: 0, because the model input")
    assert ".cpp" not in said
    (tmp_path / "cut.xml").write_bytes(b"cut off")
    said = reason(raised(lambda: ov.Core().read_model(str(tmp_path / "cut.xml"))))
    assert said.startswith("Unable to read the model")
    assert ".cpp" not in said


def test_torch_export_names_the_line_without_colours() -> None:
    import torch

    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : max(1, int(x.abs().sum()) % 8)]

    error = raised(lambda: torch.export.export(Branching(), (torch.zeros(2, 9),)))
    # torch.onnx wraps it so, with colour codes, an outline of what to do next and the message again.
    outer = RuntimeError(
        "Failed to export the model with torch.export. \x1b[96mThis is step 1/3\x1b[0m of exporting the model to ONNX. "
        "Next steps:\n- Modify the model code\n\n## Exception summary\n\n"
        f"<class 'torch.fx.experimental.symbolic_shapes.{type(error).__name__}'>: {error}\n\n"
        "(Refer to the full stack trace above for more information.)"
    )
    outer.__cause__ = error
    said = reason(outer)
    assert said.startswith("Could not guard on data-dependent expression")
    assert f'File "{__file__}"' in said
    assert "max(1, int(x.abs().sum()) % 8)" in said
    assert "\x1b" not in said
    assert "TORCH_LOGS" not in said


def test_what_an_error_was_raised_from_is_said() -> None:
    outer = ValueError("the model can't be read.")
    outer.__cause__ = OSError("no such device")
    assert reason(outer) == "the model can't be read: no such device"
    outer.__cause__ = KpiError("weights are missing", "fetch them")
    assert reason(outer).endswith("weights are missing")


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("x"), "KeyError: 'x'"), (ValueError(), "ValueError"), (ValueError(" \n a \n b "), "a b")],
)
def test_bare_and_empty_messages(error: Exception, said: str) -> None:
    assert reason(error) == said


def test_a_circle_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert reason(one) == "one: two"


def test_a_long_text_keeps_both_ends() -> None:
    text = "begins here " + "x" * 5000 + " Error Unrecognized attribute: axis"
    said = reason(RuntimeError(text))
    assert len(said) <= 600
    assert said.startswith("begins here")
    assert said.endswith("Error Unrecognized attribute: axis")
    assert shortened("short", 5) == "short"
