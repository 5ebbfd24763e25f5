"""Models that are files, made without any framework, with their data: what a user brings along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.core.data_files import DataFiles
from harness.workloads.base import Settings

Array = npt.NDArray[Any]
FAST = """
[measure]
seconds = "20 ms"
samples = 20
budget = "40 s"
confidence = "70 %"
looks = [2]

[machine.any-cpu]
device = "cpu"
"""
"""The head of a project whose targets only have to be decided, soon."""


def save(
    file: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    weights: Mapping[str, Array],
    *,
    dtype: int = TensorProto.FLOAT,
    external: bool = False,
) -> Path:
    """Writes a graph; sizes that are text are axes that vary."""
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info(name, dtype, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(file), save_as_external_data=external, location=f"{file.stem}.weights", size_threshold=0)
    return file


def digits_data(file: Path) -> Path:
    """Handwritten digits of 8 x 8 pixels, 1797 of them, as the model takes them."""
    from sklearn.datasets import load_digits

    found = load_digits()
    np.savez(file, image=(found.data / 16).astype(np.float32), label=found.target.astype(np.int64))
    return file


def digits_model(file: Path, *, batch: int | str = "N", hidden: int = 128) -> Path:
    """A network with one hidden layer of random features, its last layer fitted to the first 1200 digits."""
    from sklearn.datasets import load_digits

    found, chance = load_digits(), np.random.default_rng(0)
    images, labels = (found.data[:1200] / 16).astype(np.float32), found.target[:1200]
    first = chance.normal(0, 0.5, (64, hidden)).astype(np.float32)
    shift = chance.normal(0, 0.5, hidden).astype(np.float32)
    features = np.maximum(images @ first + shift, 0).astype(np.float64)
    wanted = np.eye(10)[labels] * 2 - 1
    last = np.linalg.solve(features.T @ features + 1.0 * np.eye(hidden), features.T @ wanted).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["image", "first"], ["sums"]),
        helper.make_node("Add", ["sums", "shift"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["features"]),
        helper.make_node("MatMul", ["features", "last"], ["scores"]),
    ]
    weights = {"first": first, "shift": shift, "last": last}
    return save(file, nodes, {"image": [batch, 64]}, {"scores": [batch, 10]}, weights)


def file_settings(task: str, model: Path, data: DataFiles, cache: Path, **more: Any) -> Settings:
    """The settings of a workload without a fixture."""
    return Settings(
        name="mine",
        task=task,
        checkpoint=None,
        checkpoint_sha256=None,
        model=str(model),
        data=None,
        allow_pickle=False,
        trust_remote_code=False,
        cache=cache,
        data_files=data,
        **more,
    )


def plain_settings(settings: Settings) -> dict[str, Any]:
    """The settings as a worker is sent them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return plain


WIDTH = 32
"""Numbers of a frame, and of the state, of the model that keeps state."""
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def words_tokenizer(file: Path, texts: Sequence[str], *, padding: bool = False) -> Any:
    """A tokenizer of whole words, with BERT's special tokens, saved as ``tokenizer.json``."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=list(WORDS)))
    special = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    if padding:
        made.enable_padding(direction="left", pad_id=0, pad_token="[PAD]", length=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(file))
    return made


def text_classifier(file: Path, weights: Array, length: int | str = "tokens", dtype: int = TensorProto.INT64) -> Path:
    """The mean of what the words of a text say, (vocabulary, classes), whatever fills it up."""
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["said"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["columns"]),
        helper.make_node("Mul", ["said", "columns"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens_axis"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["columns", "tokens_axis"], ["counts"], keepdims=0),
        helper.make_node("Div", ["sums", "counts"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["logits"], name="head"),
    ]
    axes = {"last": np.array([2], np.int64), "tokens_axis": np.array([1], np.int64)}
    kept = {"weights": weights, "head": np.eye(weights.shape[1], dtype=np.float32), **axes}
    inputs = {"input_ids": ["n", length], "attention_mask": ["n", length]}
    return save(file, nodes, inputs, {"logits": ["n", weights.shape[1]]}, kept, dtype=dtype)


def tagger(file: Path, weights: Array, length: int | str = "tokens") -> Path:
    """What each token says by itself, (vocabulary, classes)."""
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["said"]),
        helper.make_node("MatMul", ["said", "head"], ["logits"], name="head"),
    ]
    outputs = {"logits": ["n", length, weights.shape[1]]}
    kept = {"weights": weights, "head": np.eye(weights.shape[1], dtype=np.float32)}
    return save(file, nodes, {"input_ids": ["n", length]}, outputs, kept, dtype=TensorProto.INT64)


def write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A file of JSON lines."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


MEMORY = """
[machine.any-cpu]
device = "cpu"

[measure]
seconds = "20 ms"
samples = 20
looks = [2]
confidence = "70 %"

[workload.memory]
task = "tensors"
model = "memory.onnx"
data = "data.npz"
constants = { gain = 0.5 }
state = { h = "hN" }
reference = "as-delivered"

[workload.memory.recipe.as-delivered]
runtime = "onnxruntime"

[workload.memory.recipe.openvino]
runtime = { name = "openvino", precision = "f32" }
passes = ["openvino"]
"""
"""A project of the file that ``memory`` makes, as delivered and by OpenVINO; without a KPI."""


def memory(file: Path, batch: int | str = "n") -> Path:
    """hN = gain * h + x W, y = tanh(hN): what it answers depends on all frames before."""
    weights = np.random.default_rng(0).normal(0, 0.2, (WIDTH, WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["new"]),
        helper.make_node("Mul", ["h", "gain"], ["old"]),
        helper.make_node("Add", ["new", "old"], ["hN"]),
        helper.make_node("Tanh", ["hN"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, WIDTH]),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, [batch, WIDTH]),
        helper.make_tensor_value_info("gain", TensorProto.FLOAT, []),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, WIDTH]) for name in ("y", "hN")]
    graph = helper.make_graph(nodes, "memory", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), file)
    return file
