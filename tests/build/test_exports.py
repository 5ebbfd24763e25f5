"""Exports of networks that take one batch size, or that an exporter can't follow: a reason, and a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch

from harness.core.errors import KpiError
from tests.support.small_models import CLASSES, SIDE, Stripes, apply

# Artifacts are exported and quantized, for seconds each.
pytestmark = pytest.mark.suite


def logits(folder: Path, feeds: Any) -> Any:
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


class Fixed(torch.nn.Module):
    """Reshapes to one sample, as many networks do that were only ever run on one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(SIDE * SIDE, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.linear(image.reshape(1, SIDE * SIDE))


class Constant(torch.nn.Module):
    """Computes with the batch size of its example."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape(2, -1)[:, :CLASSES]


class Branching(torch.nn.Module):
    """Looks at a value to decide what to do."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image.sum() > 0:
            return image.flatten(1)[:, :CLASSES]
        return -image.flatten(1)[:, :CLASSES]


class Guarding(Branching):
    """Looks at a value, but never does anything else because of it."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image.abs().sum() > 1e30:
            return -image.flatten(1)[:, :CLASSES]
        return image.flatten(1)[:, :CLASSES]


@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize("network", [Fixed, Constant])
def test_a_network_of_one_batch_size_names_axis_and_option(
    tmp_path: Path, name: str, network: type[torch.nn.Module]
) -> None:
    with pytest.raises(KpiError) as caught:
        apply(name, tmp_path, Stripes(network()))
    assert "batch" in caught.value.message
    assert "set batch = 1" in caught.value.remedy
    assert "\x1b" not in caught.value.message
    assert "step 1/3" not in caught.value.message


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_a_network_of_one_batch_size_is_exported_for_it(tmp_path: Path, exporter: str) -> None:
    workload = Stripes(Fixed())
    made, _ = apply("onnx", tmp_path, workload, batch=1, exporter=exporter)
    feeds = workload.split("evaluation").inputs(0, 1)
    assert logits(made, feeds).shape == (1, CLASSES)
    (value,) = onnx.load(made / "model.onnx").graph.input
    assert value.type.tensor_type.shape.dim[0].dim_value == 1


def test_a_program_of_one_batch_size(tmp_path: Path) -> None:
    made, _ = apply("torch", tmp_path, Stripes(Fixed()), batch=1)
    program = torch.export.load(made / "model.pt2").module()
    assert program(torch.zeros(1, 1, SIDE, SIDE)).shape == (1, CLASSES)


def test_what_torch_export_cannot_follow_names_the_line_and_the_other_exporter(tmp_path: Path) -> None:
    with pytest.raises(KpiError) as caught:
        apply("onnx", tmp_path / "dynamo", Stripes(Branching()))
    assert "if image.sum() > 0" in caught.value.message
    assert 'exporter = "torchscript"' in caught.value.remedy
    # A trace keeps the branch that its example took: right only where the others are never taken.
    with pytest.raises(KpiError, match="gives other answers than what it read"):
        apply("onnx", tmp_path / "wrong", Stripes(Branching()), exporter="torchscript")
    made, _ = apply("onnx", tmp_path / "traced", Stripes(Guarding()), exporter="torchscript")
    assert logits(made, Stripes().split("evaluation").inputs(0, 3)).shape == (3, CLASSES)
