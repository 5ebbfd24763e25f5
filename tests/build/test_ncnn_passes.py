"""A recipe that begins with ncnn's files, and an ONNX file that becomes such: names, sizes, what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")

from harness.build.passes.ncnn_file import NcnnFile
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.core.ncnn import read_param
from harness.workloads.files.signature import model_files, read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import digits_data, digits_model, file_settings, save
from tests.support.ncnn_files import dense
from tests.support.small_models import Stripes, apply

WEIGHT = np.random.default_rng(0).normal(0, 0.3, (5, 16)).astype(np.float32)


def workload(folder: Path, name: str = "m.param") -> FileWorkload:
    np.savez(folder / "d.npz", image=np.random.default_rng(1).uniform(-1, 1, (40, 16)).astype(np.float32))
    return FileWorkload(file_settings("tensors", folder / name, DataFiles(folder / "d.npz"), folder / "cache"))


def test_names_and_sizes_are_those_of_the_text(tmp_path: Path) -> None:
    found = read_signature(dense(tmp_path / "m.param", WEIGHT))
    assert [str(port) for port in (*found.inputs, *found.outputs)] == [
        "image (float32 ?x16)",
        "scores (float32 ?x5)",
    ]
    assert (found.batch, found.about) == (None, "ncnn, 2 layers")
    assert read_signature(dense(tmp_path / "n.param", WEIGHT, sizes=False)).inputs[0].shape is None
    assert [file.name for file in model_files(tmp_path / "m.param")] == ["m.param", "m.bin"]


def test_sizes_are_those_of_convolutions_and_dense_layers_where_none_are_named(tmp_path: Path) -> None:
    source, _ = apply("onnx", tmp_path / "onnx", Stripes())
    made, _ = apply("ncnn", tmp_path / "ncnn", Stripes(), source)
    found = read_signature(made / "model.param")
    assert [str(port) for port in (*found.inputs, *found.outputs)] == [
        "image (float32 ?x1x?x?)",
        "logits (float32 ?x4)",
    ]


def test_the_files_stay_as_they_are(tmp_path: Path) -> None:
    dense(tmp_path / "m.param", WEIGHT, integer=True)
    made, notes = apply("ncnn-file", tmp_path / "out", workload(tmp_path), file=str(tmp_path / "m.param"))
    for end in (".param", ".bin"):
        assert (made / f"model{end}").read_bytes() == (tmp_path / f"m{end}").read_bytes()
    assert notes["compared"]["batches"] == [1, 3]


def test_what_is_pinned_is_both(tmp_path: Path) -> None:
    file = dense(tmp_path / "m.param", WEIGHT)
    both = hashlib.sha256(file.read_bytes() + file.with_suffix(".bin").read_bytes()).hexdigest()
    assert NcnnFile.digest(file) == both
    named = {"file": str(file), "sha256": both}
    apply("ncnn-file", tmp_path / "out", workload(tmp_path), **named)
    dense(file, WEIGHT + 1)
    with pytest.raises(KpiError, match=r"m\.param has the digest .*, pinned is"):
        apply("ncnn-file", tmp_path / "again", workload(tmp_path), **named)


def text(*layers: str, count: int | None = None) -> str:
    return "\n".join(["7767517", f"{len(layers) if count is None else count} 2", *layers, ""])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not a text that begins with 7767517"),
        (b"\x85\xd6\x76\x00" * 9, "it is not a text that begins with 7767517"),
        (b"7767517\n", "or a truncated one"),
        (text("Input x 0 1 x", count=7).encode(), "1 of 7 layers are there"),
        (text("Input x 0 1").encode(), "x names fewer than 1 values"),
        (text("Input x 0 1 x", "ReLU r 1 one x y").encode(), "a line is not as it should be"),
        (text("Input x 0 1 x", "ReLU r 1 1 x y 0").encode(), "or a truncated one"),
        (text("ReLU r 1 1 x y").encode(), "r takes x, which no layer before it gives"),
        (text("Input x 0 1 x", "Noop n 1 0 x").encode(), "it has no inputs or no outputs"),
        (text("pnnx.Input x 0 1 x").encode(), r"m\.param is a graph of pnnx, not a model of ncnn"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes, said: str) -> None:
    dense(tmp_path / "m.param", WEIGHT).write_bytes(content)
    with pytest.raises(KpiError, match=said) as caught:
        read_signature(tmp_path / "m.param")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_without_its_weights_it_is_refused(tmp_path: Path) -> None:
    dense(tmp_path / "m.param", WEIGHT).with_suffix(".bin").unlink()
    with pytest.raises(KpiError, match=r"m\.param needs its weights, m\.bin, next to it"):
        read_signature(tmp_path / "m.param")


def test_an_onnx_file_becomes_one_under_its_own_names(tmp_path: Path) -> None:
    digits_model(tmp_path / "digits.onnx")
    digits_data(tmp_path / "digits.npz")
    data = DataFiles(tmp_path / "digits.npz")
    digits = FileWorkload(file_settings("tabular-classification", tmp_path / "digits.onnx", data, tmp_path / "cache"))
    source, _ = apply("onnx-file", tmp_path / "file", digits, file=str(tmp_path / "digits.onnx"))
    made, notes = apply("ncnn", tmp_path / "ncnn", digits, source)
    found = read_signature(made / "model.param")
    assert [port.name for port in (*found.inputs, *found.outputs)] == ["image", "scores"]
    assert notes["compared"]["batches"] == [1, 3]
    half, notes = apply("ncnn", tmp_path / "half", digits, source, weights="fp16")
    assert (half / "model.bin").stat().st_size < 0.6 * (made / "model.bin").stat().st_size
    assert 0 < notes["compared"]["difference"] < 0.01


def test_a_torch_network_becomes_one(tmp_path: Path) -> None:
    source, _ = apply("onnx", tmp_path / "onnx", Stripes())
    made, notes = apply("ncnn", tmp_path / "ncnn", Stripes(), source)
    assert {layer.kind for layer in read_param(made / "model.param").layers} >= {"Convolution", "InnerProduct"}
    assert notes["compared"]["difference"] < 1e-3


def test_names_that_pnnx_gives_to_what_lies_between(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["image"], ["a"]), helper.make_node("Sigmoid", ["a"], ["1"])]
    save(tmp_path / "m.onnx", nodes, {"image": ["N", 16]}, {"1": ["N", 16]}, {})
    made = workload(tmp_path, "m.onnx")
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(tmp_path / "m.onnx"))
    folder, _ = apply("ncnn", tmp_path / "ncnn", made, source)
    assert read_param(folder / "model.param").outputs == ("1",)


def test_what_it_can_not_convert_is_one_line(tmp_path: Path) -> None:
    nodes = [helper.make_node("Mod", ["image", "image"], ["scores"], fmod=1)]
    save(tmp_path / "m.onnx", nodes, {"image": ["N", 16]}, {"scores": ["N", 16]}, {})
    made = workload(tmp_path, "m.onnx")
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(tmp_path / "m.onnx"))
    with pytest.raises(KpiError) as caught:
        apply("ncnn", tmp_path / "ncnn", made, source)
    assert "\n" not in str(caught.value)
