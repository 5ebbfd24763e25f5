"""Passes on real small models: their options, what they refuse, and that what they write runs where it is to run."""

from __future__ import annotations

import shutil
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from harness.build.artifact import write_manifest
from harness.build.passes import onnx_files
from harness.build.passes.base import Pass, PassContext
from harness.build.worker import run_step
from harness.core.errors import KpiError
from tests.support.small_models import CLASSES, SIDE, Stripes, apply

# Artifacts are exported and quantized, for seconds each.
pytestmark = pytest.mark.suite

QUANTIZERS = ("onnx-static-int8", "onnx-dynamic-int8", "nncf")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as an ONNX file, in a folder as a pass finds it."""
    return apply("onnx", tmp_path_factory.mktemp("exported"), Stripes())[0]


def traced(folder: Path, opset: int) -> Path:
    """The small model as exporters of years ago wrote it."""
    folder.mkdir()
    names = {"image": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        Stripes().model(),
        (torch.zeros(2, 1, SIDE, SIDE),),
        str(folder / "model.onnx"),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes=names,
        opset_version=opset,
        dynamo=False,
    )
    return folder


def operators(folder: Path) -> Counter[str]:
    """How many operators of each type a graph has."""
    return Counter(node.op_type for node in onnx.load(folder / "model.onnx").graph.node)


def logits(folder: Path, feeds: Any) -> Any:
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("opset", [11, 12])
def test_scales_of_channels_raise_an_old_opset(tmp_path: Path, opset: int) -> None:
    source = traced(tmp_path / "source", opset)
    made, _ = apply("onnx-static-int8", tmp_path / "made", Stripes(), source)
    assert onnx_files.opset(onnx.load(made / "model.onnx")) >= 13
    feeds = Stripes().split("evaluation").inputs(0, 8)
    assert np.abs(logits(made, feeds) - logits(source, feeds)).max() < 0.1


def test_an_opset_that_no_scale_of_channels_needs_stays(tmp_path: Path) -> None:
    source = traced(tmp_path / "source", 12)
    made, _ = apply("onnx-static-int8", tmp_path / "made", Stripes(), source, per_channel=False)
    assert onnx_files.opset(onnx.load(made / "model.onnx")) == 12


def wide_bias(folder: Path) -> Path:
    """A Gemm whose bias has two axes, (1, classes): ONNX Runtime's quantizer stops at it with scales of channels."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    size = SIDE * SIDE
    stored = [
        numpy_helper.from_array(chance.normal(size=(size, CLASSES)).astype(np.float32), "weight"),
        numpy_helper.from_array(np.ones((1, CLASSES), np.float32), "bias"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], name="head"),
    ]
    graph = helper.make_graph(nodes, "graph", [image], [out], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder


def test_what_a_library_stumbles_over_names_pass_options_file_and_remedy(tmp_path: Path) -> None:
    source = wide_bias(tmp_path / "source")
    with pytest.raises(KpiError) as caught:
        apply("onnx-static-int8", tmp_path / "made", Stripes(), source)
    said = caught.value.message
    assert 'pass "onnx-static-int8"' in said
    assert "per_channel = true" in said
    assert "model.onnx" in said
    assert "The truth value of an array with more than one element is ambiguous" in said
    assert "per_channel = false" in caught.value.remedy
    apply("onnx-static-int8", tmp_path / "other", Stripes(), source, per_channel=False)


class Rewriting(Pass):
    """Copies the model and changes the copy, as a pass with a fault does."""

    name = "rewriting"
    title = "a pass with a fault"
    input_formats = frozenset({"onnx"})
    output_format = "onnx"

    def run(self, job: PassContext) -> dict[str, Any]:
        model = onnx.load(job.input("model.onnx"))
        output = model.graph.output[0]
        if self.options == "renamed":
            model.graph.node[-1].output[0] = output.name = "scores"
        elif self.options == "flattened":
            model.graph.node[-1].output[0] = "inner"
            model.graph.node.append(helper.make_node("ReduceMax", ["inner"], [output.name], keepdims=0))
            del output.type.tensor_type.shape.dim[:]
        elif self.options == "shorter":
            model.graph.node[-1].output[0] = "inner"
            model.graph.node.append(helper.make_node("ReduceMax", ["inner"], [output.name], axes=[1]))
            model.opset_import[0].version = 17
            output.type.tensor_type.shape.dim[1].dim_value = 1
        elif self.options == "of another type":
            model.graph.node[-1].output[0] = "inner"
            model.graph.node.append(helper.make_node("Cast", ["inner"], [output.name], to=TensorProto.DOUBLE))
            output.type.tensor_type.elem_type = TensorProto.DOUBLE
        onnx.save(model, job.out / "model.onnx")
        if self.options == "truncated":
            file = job.out / "model.onnx"
            file.write_bytes(file.read_bytes()[:-2000])
        return {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("renamed", "answers scores, not logits"),
        ("flattened", "answers logits of shape (), what it read of shape (1, 4)"),
        ("shorter", "answers logits of shape (1, 1), what it read of shape (1, 4)"),
        ("of another type", "answers logits as float64, what it read as float32"),
        ("truncated", "does not run"),
        ("", ""),
    ],
)
def test_a_pass_answers_for_its_result(tmp_path: Path, exported: Path, fault: str, said: str) -> None:
    job = PassContext(exported, tmp_path, tmp_path, tmp_path, Stripes(), lambda _: None)
    if not fault:
        run_step(Rewriting(fault), job, {})
        return
    with pytest.raises(KpiError) as caught:
        run_step(Rewriting(fault), job, {})
    assert caught.value.message.startswith('pass "rewriting": what it wrote ')
    assert said in caught.value.message


def test_every_kind_of_conversion_passes_its_own_check(tmp_path: Path, exported: Path) -> None:
    for name in (*QUANTIZERS, "onnx-optimize", "openvino"):
        apply(name, tmp_path / name, Stripes(), exported)


def test_samples_read_for_the_comparison_are_not_those_that_a_pass_read(tmp_path: Path, exported: Path) -> None:
    _, notes = apply("openvino", tmp_path / "converted", Stripes(), exported)
    assert notes["compared"]["samples"] == 4
    assert notes["seen"] == {}
    _, notes = apply("nncf", tmp_path / "quantized", Stripes(), exported, calibration=8)
    assert len(notes["seen"]["training"]) == 8


@pytest.mark.parametrize("name", QUANTIZERS)
def test_ignored_operators_stay_in_floating_point(tmp_path: Path, exported: Path, name: str) -> None:
    nodes = onnx.load(exported / "model.onnx").graph.node
    head = next(node for node in nodes if node.op_type == "Gemm")
    kinds = {"types": ["Convolution" if name == "nncf" else "Conv"]}
    made, notes = apply(name, tmp_path / "types", Stripes(), exported, ignored=kinds)
    assert len(notes["ignored"]) == 2
    assert float_operators(made) == {"Conv": 2}
    if name == "nncf":  # OpenVINO splits the head and gives it another name
        return
    made, _ = apply(name, tmp_path / "name", Stripes(), exported, ignored={"names": [head.name]})
    assert float_operators(made) == {"Gemm": 1}
    made, _ = apply(name, tmp_path / "all", Stripes(), exported, ignored={"patterns": [".*"]})
    assert float_operators(made) == {"Conv": 2, "Gemm": 1}


def float_operators(folder: Path) -> dict[str, int]:
    """The convolutions and matrix products whose weights are stored as floating-point numbers."""
    if (folder / "model.xml").exists():
        model = ov.Core().read_model(folder / "model.xml")
        heavy = [op for op in model.get_ops() if op.get_type_name() in ("Convolution", "MatMul")]
        plain = [op for op in heavy if op.input_value(1).get_node().get_type_name() == "Constant"]
        return dict(Counter("Conv" if op.get_type_name() == "Convolution" else "Gemm" for op in plain))
    graph = onnx.load(folder / "model.onnx").graph
    floats = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    heavy = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return dict(Counter("Conv" if node.op_type == "Conv" else "Gemm" for node in heavy if node.input[1] in floats))


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        ({"names": ["haed"]}, 'unknown operator "haed"'),
        ({"types": ["Linear"]}, 'unknown type of operator "Linear"'),
        ({"patterns": ["head.*"]}, "no operator's whole name fits 'head.*'"),
    ],
)
def test_what_ignores_nothing_says_what_there_is(
    tmp_path: Path, exported: Path, name: str, ignored: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(KpiError) as caught:
        apply(name, tmp_path, Stripes(), exported, ignored=ignored)
    assert said in caught.value.message
    assert "conv" in caught.value.message.lower()  # what there is


def test_the_name_of_an_operator_that_is_fused_means_the_fused_one(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(784, 4)
    )
    source = tmp_path / "source"
    source.mkdir()
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 1, SIDE, SIDE),),
        str(source / "model.onnx"),
        input_names=["image"],
        output_names=["logits"],
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )
    (norm,) = [
        node.name for node in onnx.load(source / "model.onnx").graph.node if node.op_type == "BatchNormalization"
    ]
    made, notes = apply("onnx-static-int8", tmp_path / "made", Stripes(network), source, ignored={"names": [norm]})
    assert len(notes["ignored"]) == 1
    assert float_operators(made) == {"Conv": 1}


@pytest.mark.parametrize("ignored", [{"name": ["a"]}, {"names": []}, {"patterns": ["("]}])
def test_ignored_is_checked_when_it_is_read(ignored: dict[str, list[str]]) -> None:
    from harness.build.passes.ignored import check_ignored

    with pytest.raises(ValueError, match="ignored: "):
        check_ignored(ignored)


@pytest.mark.parametrize("name", ["onnx-static-int8", "onnx-dynamic-int8"])
def test_a_reduced_range_takes_seven_bits(tmp_path: Path, exported: Path, name: str) -> None:
    spans = []
    for reduced in (False, True):
        made, _ = apply(name, tmp_path / str(reduced), Stripes(), exported, reduce_range=reduced)
        stored = [numpy_helper.to_array(t) for t in onnx.load(made / "model.onnx").graph.initializer]
        bytes_ = [array.astype(int) for array in stored if array.dtype in (np.int8, np.uint8) and array.ndim > 1]
        spans.append(max(int(array.max() - array.min()) for array in bytes_))
    assert spans[0] > 200
    assert spans[1] <= 128


def test_half_the_range_of_weights_where_overflow_is_fixed(tmp_path: Path, exported: Path) -> None:
    spans = {}
    for chosen in ("disable", "enable"):
        made, _ = apply("nncf", tmp_path / chosen, Stripes(), exported, overflow_fix=chosen)
        model = ov.Core().read_model(made / "model.xml")
        stored = [op.get_data() for op in model.get_ops() if op.get_type_name() == "Constant"]
        spans[chosen] = max(int(np.abs(a.astype(int)).max()) for a in stored if a.dtype == np.int8)
    assert spans["disable"] > 120
    assert spans["enable"] <= 64


@pytest.mark.parametrize("name", ["onnx-static-int8", "nncf"])
@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_calibration_sample_that_is_no_number_is_named(
    tmp_path: Path, exported: Path, name: str, value: float, said: str
) -> None:
    workload = Stripes()
    workload.arrays["image"][7, 0, 3, 3] = value
    with pytest.raises(KpiError, match=f'calibration sample 7 .* holds {said} in input "image"'):
        apply(name, tmp_path, workload, exported, calibration=20)
    apply(name, tmp_path / "before", workload, exported, calibration=7)


@pytest.mark.parametrize("name", ["onnx-static-int8", "nncf"])
def test_fewer_calibration_samples_than_asked_are_noted(tmp_path: Path, exported: Path, name: str) -> None:
    _, notes = apply(name, tmp_path / "fewer", Stripes(samples=12), exported, calibration=100)
    assert notes["fewer"] == "12 calibration samples were used, 100 were asked for: there are no more"
    _, notes = apply(name, tmp_path / "enough", Stripes(samples=12), exported, calibration=12)
    assert "fewer" not in notes


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_histograms_take_no_memory_for_each_sample(tmp_path: Path, exported: Path, method: str) -> None:
    peaks = []
    for samples in (8, 66):  # 66: the last stride is not full
        workload = Stripes(samples=samples)
        tracemalloc.start()
        apply("onnx-static-int8", tmp_path / str(samples), workload, exported, method=method, calibration=samples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    activations = 4 * (8 * SIDE * SIDE + 16 * 49) * 66
    assert peaks[1] - peaks[0] < activations / 2


@pytest.mark.parametrize("name", ["onnx-optimize", "onnx-static-int8", "onnx-dynamic-int8", "openvino", "nncf"])
def test_models_beyond_the_limit_of_one_file_load_from_their_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(onnx_files, "PROTOBUF_LIMIT", 0)
    source, _ = apply("onnx", tmp_path / "source", Stripes())
    assert (source / "model.onnx.data").exists()
    options = {"max_drop": "90 pp", "tuning": 8} if name == "onnx-static-int8" else {}
    made, _ = apply(name, tmp_path / "made", Stripes(), source, **options)
    feeds = Stripes().split("evaluation").inputs(0, 3)
    wanted = logits(source, feeds)
    shutil.rmtree(source)
    if name in ("openvino", "nncf"):
        found = ov.compile_model(made / "model.xml", "CPU")(feeds)[0]
    else:
        found = logits(made, feeds)
    assert np.abs(found - wanted).max() < 0.1
    weights = sum(p.numel() for p in Stripes().network.parameters())
    size = write_manifest(made, "key", "onnx", {}).size
    if name in ("onnx-optimize", "openvino"):
        assert size > 4 * weights
    else:
        # As large as with one file, but for what the graph itself takes: nothing is stored twice.
        assert weights < size < 2 * weights + 40_000


def test_a_rewritten_model_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an accuracy limit the same file is written several times."""
    monkeypatch.setattr(onnx_files, "PROTOBUF_LIMIT", 0)
    source, _ = apply("onnx", tmp_path / "source", Stripes())
    once, _ = apply("onnx-static-int8", tmp_path / "once", Stripes(), source)
    often, _ = apply("onnx-static-int8", tmp_path / "often", Stripes(), source, max_drop="0 pp", tuning=40)
    data = [(folder / "model.onnx.data").stat().st_size for folder in (once, often)]
    assert data[1] <= data[0] + 4 * sum(p.numel() for p in Stripes().network.parameters())
