"""A recipe that begins with a .tflite file: its names and sizes, what is refused, and names of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from harness.build.passes.base import PassContext
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.workloads.files.signature import read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import digits_data, digits_model, file_settings
from tests.support.small_models import apply
from tests.support.tflite_files import dense, opened

WEIGHT = np.random.default_rng(0).normal(0, 0.3, (5, 16)).astype(np.float32)


def workload(folder: Path, images: np.ndarray | None = None, **more: object) -> FileWorkload:
    if images is None:
        images = np.random.default_rng(1).uniform(-1, 1, (40, 16)).astype(np.float32)
    np.savez(folder / "d.npz", image=images)
    data = DataFiles(folder / "d.npz")
    return FileWorkload(file_settings("tensors", folder / "m.tflite", data, folder / "cache", **more))


@pytest.mark.parametrize(("names", "said"), [((), ["image", "scores"]), (("pixels", "classes"), ["pixels", "classes"])])
def test_names_are_those_of_the_signature_or_plain(tmp_path: Path, names: tuple[str, ...], said: list[str]) -> None:
    found = read_signature(dense(tmp_path / "m.tflite", WEIGHT, names=names))
    assert [port.name for port in (*found.inputs, *found.outputs)] == said
    assert found.inputs[0].shape == (None, 16)
    assert found.batch is None
    assert found.about == "TFLite, 1 operators"


def test_names_that_would_be_the_same_stay_whole(tmp_path: Path) -> None:
    made = opened()
    places = [made.tensor(name, (None, 3)) for name in ("serving_default_x:0", "x", "y")]
    made.operator("ADD", places[:2], places[2], made.schema.AddOptionsT())
    found = read_signature(made.save(tmp_path / "m.tflite", places[:2], places[2:]))
    assert [port.name for port in found.inputs] == ["serving_default_x:0", "x"]


def test_the_file_stays_as_it_is(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT)
    made, notes = apply("tflite-file", tmp_path / "out", workload(tmp_path), file=str(tmp_path / "m.tflite"))
    assert (made / "model.tflite").read_bytes() == (tmp_path / "m.tflite").read_bytes()
    assert notes["compared"]["batches"] == [1, 3]


def test_a_fixed_batch_is_asked_alone(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT, batch=1)
    _, notes = apply("tflite-file", tmp_path / "out", workload(tmp_path), file=str(tmp_path / "m.tflite"))
    assert notes["compared"]["batches"] == [1]


def remarks(folder: Path, made: FileWorkload) -> list[str]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PassContext, "remark", lambda _, text: said.append(text))
        apply("tflite-file", folder / "out", made, file=str(folder / "m.tflite"))
    return said


def test_integers_with_a_scale_are_seen_as_what_they_mean(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT, kind="int8")
    found = read_signature(tmp_path / "m.tflite")
    assert [port.dtype for port in (*found.inputs, *found.outputs)] == ["float32", "float32"]
    assert "seen as float32: image (int8, scale 0.007874, zero point 0)" in found.about
    assert remarks(tmp_path, workload(tmp_path)) == [
        "image (int8, scale 0.007874, zero point 0) says numbers from -1.008 to 1"
    ]


def test_data_beyond_what_its_integers_can_say_are_told(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT, kind="int8")
    bright = np.random.default_rng(1).uniform(0, 4, (40, 16)).astype(np.float32)
    (said,) = remarks(tmp_path, workload(tmp_path, bright))
    assert "of the samples' numbers lie outside" in said


def test_data_in_its_own_integers_fit_too(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT, kind="int8")
    made = workload(tmp_path, np.random.default_rng(1).integers(-127, 128, (40, 16), np.int8))
    assert made.inputs[0].dtype == "int8"
    assert remarks(tmp_path, made) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a model at all", "m.tflite is not a TFLite model: it does not begin with TFL3"),
        (b"", "m.tflite is not a TFLite model: it does not begin with TFL3"),
        (None, "m.tflite is not a TFLite model, or a truncated one"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = dense(tmp_path / "m.tflite", WEIGHT)
    file.write_bytes(file.read_bytes()[:400] if content is None else content)
    with pytest.raises(KpiError, match=said):
        read_signature(file)


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    made = opened()
    x, y = made.tensor("image", (None, 16)), made.tensor("scores", (None, 16))
    made.operator("Sparkle", (x,), y)
    made.save(tmp_path / "m.tflite", (x,), (y,))
    with pytest.raises(KpiError, match=r"the file does not run: .*Sparkle") as caught:
        apply("tflite-file", tmp_path / "out", workload(tmp_path), file=str(tmp_path / "m.tflite"))
    assert caught.value.remedy == "Sparkle is not one of LiteRT's operators: convert the model without it"


def test_state_in_variables_is_refused(tmp_path: Path) -> None:
    made = opened()
    x, y, held = made.tensor("image", (1, 16)), made.tensor("scores", (1, 16)), made.tensor("held", (), "resource")
    made.operator("VAR_HANDLE", (), held, made.schema.VarHandleOptionsT())
    made.operator("READ_VARIABLE", (held,), y, made.schema.ReadVariableOptionsT())
    made.save(tmp_path / "m.tflite", (x,), (y,))
    with pytest.raises(KpiError, match=r"m\.tflite keeps state in variables") as caught:
        apply("tflite-file", tmp_path / "out", workload(tmp_path), file=str(tmp_path / "m.tflite"))
    assert "as inputs and outputs" in caught.value.remedy


def test_sizes_that_are_open_are_those_of_the_data(tmp_path: Path) -> None:
    made = opened()
    x, y = made.tensor("serving_default_image:0", (None, None)), made.tensor("scores", (None, None))
    made.operator("LOGISTIC", (x,), y)
    made.save(tmp_path / "m.tflite", (x,), (y,))
    found = workload(tmp_path)
    assert found.inputs[0].shape == (16,)
    _, notes = apply("tflite-file", tmp_path / "out", found, file=str(tmp_path / "m.tflite"))
    assert notes["compared"]["batches"] == [1, 3]


def test_types_that_are_not_supported_are_named(tmp_path: Path) -> None:
    made = opened()
    x, y = made.tensor("image", (None, 16), "string"), made.tensor("scores", (None, 16), "string")
    made.operator("RESHAPE", (x,), y, None)
    made.save(tmp_path / "m.tflite", (x,), (y,))
    with pytest.raises(KpiError, match=r"image \(string \?x16\): inputs of type string are not supported yet"):
        _ = workload(tmp_path).inputs


def test_constants_of_it_are_refused(tmp_path: Path) -> None:
    made = opened()
    places = [made.tensor(name, (None, 16)) for name in ("image", "shift", "scores")]
    made.operator("ADD", places[:2], places[2], made.schema.AddOptionsT())
    made.save(tmp_path / "m.tflite", places[:2], places[2:])
    shifted = workload(tmp_path, constants={"shift": [[0.0] * 16]})
    with pytest.raises(KpiError, match=r"constants: inputs of a \.tflite file can't be made constants: shift"):
        apply("tflite-file", tmp_path / "out", shifted, file=str(tmp_path / "m.tflite"))


@pytest.fixture
def digits(tmp_path: Path) -> FileWorkload:
    digits_model(tmp_path / "digits.onnx")
    digits_data(tmp_path / "digits.npz")
    data = DataFiles(tmp_path / "digits.npz")
    return FileWorkload(file_settings("tabular-classification", tmp_path / "digits.onnx", data, tmp_path / "cache"))


def test_a_file_of_other_names_is_told_what_the_workload_calls_them(digits: FileWorkload, tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", np.eye(10, 64, dtype=np.float32), names=("pixels", "classes"))
    with pytest.raises(KpiError, match="takes pixels, the workload's model takes image") as caught:
        apply("tflite-file", tmp_path / "plain", digits, file=str(tmp_path / "m.tflite"))
    assert 'inputs = { "name in the file"' in caught.value.remedy
    named = {"inputs": {"pixels": "image"}, "outputs": {"classes": "scores"}}
    _, notes = apply("tflite-file", tmp_path / "named", digits, file=str(tmp_path / "m.tflite"), **named)
    assert notes["naming"] == named


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"inputs": {"pixel": "image"}}, 'inputs: unknown name "pixel"; did you mean "pixels"'),
        ({"inputs": {"pixels": "images"}}, "takes images, the workload's model takes image"),
        ({"inputs": {"pixels": "image"}}, "the file answers classes, not scores"),
        ({"inputs": {"pixels": {"name": "image", "axes": [0, 2, 1]}}}, r"axes = \[0, 2, 1\] names 3 axes"),
    ],
)
def test_names_that_do_not_fit(digits: FileWorkload, tmp_path: Path, named: dict[str, object], said: str) -> None:
    dense(tmp_path / "m.tflite", np.eye(10, 64, dtype=np.float32), names=("pixels", "classes"))
    with pytest.raises(KpiError, match=said):
        apply("tflite-file", tmp_path / "out", digits, file=str(tmp_path / "m.tflite"), **named)
