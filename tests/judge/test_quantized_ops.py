"""The share of integer operations is one of work, knows recurrent layers, and names what stayed in floating point."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from harness.core.codec import of_plain, plain
from harness.judge.metrics.quantized_ops import QuantizedOps
from harness.measure.records import ProcessRecord, Proof
from harness.measure.runtimes import runtimes
from harness.measure.runtimes.work import HeavyOp, onnx_work, weighed
from tests.support.small_models import CLASSES, SIDE, Stripes, apply

# Artifacts are exported and quantized, for seconds each.
pytestmark = pytest.mark.suite


class Recurrent(torch.nn.Module):
    """A small convolution, a heavy LSTM, a small linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.lstm = torch.nn.LSTM(SIDE, 32, batch_first=True)
        self.head = torch.nn.Linear(32, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.conv(image).mean(1))
        return self.head(states[:, -1])


CONV = 16 * SIDE * SIDE * 9
LSTM = SIDE * 4 * 32 * (SIDE + 32)
HEAD = 32 * CLASSES


def record(proof: Proof) -> ProcessRecord:
    return ProcessRecord("", 1, 1, 1, 1, 1, proof)


def profiled(folder: Path, runtime: str) -> ProcessRecord:
    """What the runtime proves after two profiled requests."""
    cls = runtimes()[runtime]
    session = cls(cls.Options(), timed=False).load(folder, "cpu", 1, profile=True)
    feeds = Stripes().split("evaluation").inputs(0, 1)
    for _ in range(2):
        session.run(feeds)
    return record(session.proof())


@pytest.fixture(scope="module")
def workload() -> Stripes:
    torch.manual_seed(0)
    return Stripes(Recurrent())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, workload: Stripes) -> Path:
    return apply("onnx", tmp_path_factory.mktemp("exported"), workload, exporter="torchscript")[0]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_work_of_each_kind_is_counted(exported: Path, runtime: str) -> None:
    found = profiled(exported, runtime)
    assert (found.proof.heavy_ops, found.proof.integer_ops) == (3, 0)
    assert (found.proof.heavy_work, found.proof.integer_work) == (CONV + LSTM + HEAD, 0)
    assert QuantizedOps.of(found) == 0
    assert [share for _, _, share in found.proof.float_layers] == [
        pytest.approx(work / (CONV + LSTM + HEAD)) for work in (LSTM, CONV, HEAD)
    ]


@pytest.mark.parametrize(("name", "runtime"), [("onnx-static-int8", "onnxruntime"), ("nncf", "openvino")])
def test_a_recurrent_layer_in_floating_point_is_no_whole_quantization(
    tmp_path: Path, workload: Stripes, exported: Path, name: str, runtime: str
) -> None:
    made, _ = apply(name, tmp_path, workload, exported)
    found = profiled(made, runtime)
    assert (found.proof.heavy_ops, found.proof.integer_ops) == (3, 2)
    assert QuantizedOps.of(found) == pytest.approx((CONV + HEAD) / (CONV + LSTM + HEAD))
    (said,) = QuantizedOps.remarks(found)
    assert said.startswith("in floating point: ")
    assert f"{100 * LSTM / (CONV + LSTM + HEAD):.1f}"[:2] in said
    assert "LSTM" in said


def test_a_recurrent_layer_that_is_quantized_counts(tmp_path: Path, workload: Stripes, exported: Path) -> None:
    made, _ = apply("onnx-dynamic-int8", tmp_path, workload, exported)
    found = profiled(made, "onnxruntime")
    assert QuantizedOps.of(found) == 1
    assert QuantizedOps.remarks(found) == []


def test_work_that_is_not_known_is_not_weighed() -> None:
    ops = [HeavyOp("a", "Conv", integer=True, work=None), HeavyOp("b", "MatMul", integer=False, work=8)]
    found = Proof("r", "1", "cpu", "int8", **weighed(ops))
    assert QuantizedOps.of(record(found)) == 0.5
    (said,) = QuantizedOps.remarks(record(found))
    assert "counted, not weighed" in said


def test_the_same_request_again_weighs_the_same() -> None:
    ops = [HeavyOp("a", "Conv", integer=True, work=30), HeavyOp("b", "MatMul", integer=False, work=10)]
    once, twice = weighed(ops), weighed([*ops, *ops], runs=2)
    assert once == twice
    assert once["float_layers"] == (("b", "MatMul", 0.25),)


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "work"),
    [
        ("Conv", [(1, 8, 32, 32), (16, 8, 3, 3)], (1, 16, 30, 30), 16 * 30 * 30 * 8 * 9),
        ("Conv", [(1, 8, 32, 32), (8, 1, 3, 3)], (1, 8, 30, 30), 8 * 30 * 30 * 9),  # depthwise
        ("QLinearConv", [(1, 32, 32, 8), None, None, (16, 8, 3, 3)], (1, 30, 30, 16), 16 * 30 * 30 * 8 * 9),
        ("ConvTranspose", [(1, 8, 5, 5), (8, 4, 2, 2)], (1, 4, 10, 10), 8 * 25 * 4 * 4),
        ("Gemm", [(2, 64), (64, 10)], (2, 10), 2 * 64 * 10),
        ("MatMul", [(2, 4, 8, 16), (2, 4, 16, 8)], (2, 4, 8, 8), 2 * 4 * 8 * 16 * 8),
        ("LSTM", [(7, 2, 5), None], (7, 2, 2, 6), 7 * 2 * 2 * 4 * 6 * (5 + 6)),  # both directions
        ("GRU", [(7, 2, 5), None], (1, 2, 6), 7 * 2 * 3 * 6 * (5 + 6)),  # only the last states
        ("Attention", [(1, 10, 8), (8, 24)], (1, 10, 8), 10 * 8 * 24 + 2 * 10 * 10 * 8),
        ("MultiHeadAttention", [(1, 10, 8), (1, 20, 8)], (1, 10, 8), 2 * 10 * 20 * 8),
        ("Conv", [(1, 8, 32, 32)], (1, 16, 30, 30), None),
        ("MatMul", [None, (3, 4)], (1, 4), None),
    ],
)
def test_multiplications_follow_from_shapes(
    kind: str, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], work: int | None
) -> None:
    assert onnx_work(kind, inputs, [output], transposed=False) == work


def test_a_transposed_factor() -> None:
    assert onnx_work("Gemm", [(64, 2), (64, 10)], [(2, 10)], transposed=True) == math.prod((2, 64, 10))


def test_a_record_of_an_earlier_version_is_still_read() -> None:
    made = plain(record(Proof("r", "1", "cpu", "int8", heavy_ops=4, integer_ops=3)))
    for name in ("heavy_work", "integer_work", "float_layers"):
        del made["proof"][name]
    assert QuantizedOps.of(of_plain(made, ProcessRecord)) == 0.75
