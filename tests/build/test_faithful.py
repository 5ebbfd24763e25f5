"""What a pass wrote is held against what it read: names, numbers, batches of one and of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.build.passes import faithful
from harness.build.passes.base import Pass, PassContext
from harness.build.passes.network import exportable, named_outputs
from harness.build.passes.onnx import Onnx
from harness.build.passes.torch import Torch
from harness.core.errors import KpiError
from harness.workloads.base import ArraySplit, Settings, Split, TensorSpec, TensorWorkload

# Artifacts are exported and quantized, for seconds each.
pytestmark = pytest.mark.suite

SETTINGS = Settings("made", "image-classification", None, None, None, None, False, False, Path())  # noqa: FBT003


class Made(TensorWorkload):
    """A workload around a network that a test gives."""

    inputs = (TensorSpec("x", (5,)),)

    def __init__(self, network: torch.nn.Module, outputs: tuple[str, ...] = ("logits",)) -> None:
        super().__init__(SETTINGS)
        self.network = network
        self.outputs = outputs  # type: ignore[misc]

    def fingerprint(self) -> str:
        return ""

    def about(self) -> dict[str, str]:
        return {}

    def model(self) -> torch.nn.Module:
        return self.network

    def split(self, name: str) -> Split:
        random = np.random.default_rng(len(name))
        return ArraySplit({"x": random.normal(size=(9, 5)).astype(np.float32)}, np.zeros(9, np.int64))


class Net(torch.nn.Module):  # type: ignore[misc]
    """A linear layer, and a function of what it was given and what it answers."""

    def __init__(self, after: Any = None) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 3)
        self.after = after

    def forward(self, x: torch.Tensor) -> Any:
        made = self.linear(x)
        return self.after(x, made) if self.after else made


def job(tmp_path: Path, network: torch.nn.Module, outputs: tuple[str, ...] = ("logits",)) -> PassContext:
    (tmp_path / "out").mkdir()
    return PassContext(None, tmp_path / "out", tmp_path, tmp_path, Made(network.eval(), outputs), lambda _: None)


def compared(made: PassContext, cls: type[Pass] = Onnx) -> dict[str, Any]:
    chosen = cls(cls.Options())
    chosen.run(made)
    found = faithful.check(made, chosen)
    assert found is not None
    return found


@pytest.mark.parametrize("cls", [Onnx, Torch])
def test_a_faithful_export_is_told_with_its_difference(tmp_path: Path, cls: type[Pass]) -> None:
    found = compared(job(tmp_path, Net()), cls)
    assert found["pass"] == cls.name
    assert found["batches"] == [1, 3]
    assert found["samples"] == 4
    assert 0 <= found["difference"] < found["tolerance"]


@pytest.mark.parametrize(
    "after",
    [
        lambda _, made: made.roll(1, dims=1) if torch.compiler.is_exporting() else made,
        lambda _, made: made.round() if torch.compiler.is_exporting() else made,
        lambda x, made: made + x.mean() if torch.compiler.is_exporting() else made,
    ],
    ids=["another class", "rounded", "by the batch"],
)
def test_an_export_that_answers_otherwise_is_an_error(tmp_path: Path, after: Any) -> None:
    with pytest.raises(KpiError, match=r'pass "onnx": what it wrote gives other answers .* permitted are 0.1 %'):
        compared(job(tmp_path, Net(after)))


def test_a_network_that_is_random_is_an_error(tmp_path: Path) -> None:
    noisy = Net(lambda _, made: made + torch.randn_like(made))
    with pytest.raises(KpiError, match="answers the same sample differently each time"):
        compared(job(tmp_path, noisy))


def test_numbers_that_are_none_are_named_with_the_sample(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="it read answers logits with NaN or infinity on sample 0"):
        compared(job(tmp_path, Net(lambda _, made: made / 0)))


def test_a_mapping_is_exported_by_its_keys(tmp_path: Path) -> None:
    both = Net(lambda x, made: {"logits": made, "hidden": x[:, :3] * 2})
    made = job(tmp_path, both, ("hidden", "logits"))
    found = compared(made)
    assert found["difference"] < 1e-4
    import onnx

    assert [output.name for output in onnx.load(made.out / "model.onnx").graph.output] == ["hidden", "logits"]


def test_a_network_in_training_mode_is_put_into_evaluation_mode_and_that_is_said(tmp_path: Path) -> None:
    network = Net()
    network.normal = torch.nn.BatchNorm1d(3)
    network.after = lambda _, made: network.normal(made)
    made = job(tmp_path, network)
    network.train()
    assert not exportable(made).training
    assert made.remarks == ["the network was in training mode: it was put into evaluation mode"]


@pytest.mark.parametrize(
    ("said", "names", "message"),
    [
        ((1, 2), ("logits",), "returns 2 tensors, the workload names 1: logits"),
        (1, ("features", "logits"), "returns 1 tensors, the workload names 2"),
        ({"a": 1}, ("logits",), "returns a, not logits"),
    ],
)
def test_outputs_that_nobody_named_are_an_error(said: Any, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(KpiError, match=message):
        named_outputs(names, said)


@pytest.mark.parametrize(("outputs", "scored", "found"), [(("a",), None, "a"), (("a", "b"), "b", "b")])
def test_the_scored_output_is_the_marked_or_the_only_one(outputs: Any, scored: Any, found: str) -> None:
    made = Made(Net(), outputs)
    made.scored = scored
    assert made.scored_output == found


@pytest.mark.parametrize(("scored", "said"), [(None, "has 2 outputs: a, b"), ("c", "scored names c")])
def test_several_outputs_without_a_mark_are_an_error(scored: Any, said: str) -> None:
    made = Made(Net(), ("a", "b"))
    made.scored = scored
    with pytest.raises(KpiError, match=said):
        _ = made.scored_output
