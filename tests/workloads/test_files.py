"""Models and data that are files: what they say of themselves, how they fit, how samples are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import Settings
from harness.workloads.checks import checked, described
from harness.workloads.files.arrays import Arrays, ArraySamples
from harness.workloads.files.division import divided
from harness.workloads.files.signature import model_files, read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import digits_data, digits_model, file_settings, save

TWICE = [helper.make_node("Add", ["x", "x"], ["y"])]


def settings(folder: Path, model: Path, data: DataFiles, task: str = "image-classification", **more: Any) -> Settings:
    return file_settings(task, model, data, folder / "cache", **more)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    digits_model(folder / "digits.onnx")
    digits_data(folder / "digits.npz")
    return folder


def test_a_file_says_its_inputs_and_outputs(digits: Path) -> None:
    found = read_signature(digits / "digits.onnx")
    assert [str(port) for port in found.inputs] == ["image (float32 ?x64)"]
    assert [str(port) for port in found.outputs] == ["scores (float32 ?x10)"]
    assert found.batch is None
    assert found.batch_names == ["N"]
    assert "opset 17" in found.about


def test_an_openvino_file_says_the_same(digits: Path, tmp_path: Path) -> None:
    import openvino as ov

    ov.save_model(ov.convert_model(str(digits / "digits.onnx")), tmp_path / "digits.xml")
    found = read_signature(tmp_path / "digits.xml")
    assert [str(port) for port in (*found.inputs, *found.outputs)] == ["image (float32 ?x64)", "scores (float32 ?x10)"]
    assert [file.name for file in model_files(tmp_path / "digits.xml")] == ["digits.xml", "digits.bin"]


def test_a_batch_of_one_is_seen(tmp_path: Path) -> None:
    assert read_signature(digits_model(tmp_path / "one.onnx", batch=1)).batch == 1


def test_weights_next_to_the_graph_belong_to_it(tmp_path: Path) -> None:
    weights = {"w": np.ones((4, 4), np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    file = save(tmp_path / "m.onnx", nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights, external=True)
    assert [one.name for one in model_files(file)] == ["m.onnx", "m.weights"]
    (tmp_path / "m.weights").unlink()
    with pytest.raises(KpiError, match=r"m\.onnx: its weights are in m\.weights, which is not here"):
        model_files(file)


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    weights = {"w": np.ones((4, 4), np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    file = save(tmp_path / "m.onnx", nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights, external=True)
    model = onnx.load(file, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secrets"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(KpiError, match="outside of its folder"):
        model_files(file)


@pytest.mark.parametrize("content", [b"", b"no model", None], ids=["empty", "text", "truncated"])
def test_a_file_that_is_no_model_is_refused(digits: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes((digits / "digits.onnx").read_bytes()[:5000] if content is None else content)
    with pytest.raises(KpiError, match=r"broken\.onnx is not an ONNX model, or a truncated one"):
        read_signature(file)


def test_a_damaged_openvino_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.xml").write_text("<net/>", encoding="utf-8")
    with pytest.raises(KpiError, match=r"broken\.xml is not an OpenVINO model, or a damaged one"):
        read_signature(tmp_path / "broken.xml")


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is not here"):
        read_signature(tmp_path / "no.onnx")
    with pytest.raises(Unavailable, match="is not here"):
        Arrays(tmp_path / "no.npz")


def test_a_workload_of_files(digits: Path, tmp_path: Path) -> None:
    made = checked(FileWorkload(settings(tmp_path, digits / "digits.onnx", DataFiles(digits / "digits.npz"))), tmp_path)
    assert isinstance(made, FileWorkload)
    fingerprint, about, inputs = described(made, tmp_path)
    assert inputs == ["image"]
    assert about["data"] == "digits.npz, divided with seed 0: 359 for training, 359 for validation, 1079 for evaluation"
    assert made.inputs[0].shape == (64,)
    evaluation = made.split("evaluation")
    assert len(evaluation) == 1079
    assert evaluation.inputs(0, 3)["image"].shape == (3, 64)
    assert evaluation.labels.shape == (1079,)
    other = FileWorkload(settings(tmp_path, digits / "digits.onnx", DataFiles(digits / "digits.npz", seed=1)))
    assert other.fingerprint() != fingerprint


def test_splits_share_no_sample(digits: Path, tmp_path: Path) -> None:
    made = FileWorkload(settings(tmp_path, digits / "digits.onnx", DataFiles(digits / "digits.npz")))
    seen: list[bytes] = []
    for name in ("training", "validation", "evaluation"):
        split = made.split(name)
        images = split.inputs(0, len(split))["image"]
        seen += {image.tobytes() for image in images}
        with np.load(digits / "digits.npz") as whole:
            by_content = {image.tobytes(): label for image, label in zip(whole["image"], whole["label"], strict=True)}
        assert [by_content[image.tobytes()] for image in images] == split.labels.tolist()
    assert len(seen) == len(set(seen))


def test_a_file_for_each_split(digits: Path, tmp_path: Path) -> None:
    data = DataFiles(splits={"evaluation": digits / "digits.npz"})
    made = FileWorkload(settings(tmp_path, digits / "digits.onnx", data))
    assert len(made.split("evaluation")) == 1797
    with pytest.raises(KpiError, match=r"no training data: there are files for evaluation.*training = "):
        made.split("training")


@pytest.mark.parametrize("seed", range(3))
def test_equal_samples_are_in_one_split(seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 20, (400, 1)).astype(np.float32)
    found = divided([str(row[0]) for row in rows], {"training": 0.3, "validation": 0.2}, seed)
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(400))
    contents = [set(rows[part, 0].tolist()) for part in found.values()]
    assert not contents[0] & contents[1]
    assert not (contents[0] | contents[1]) & contents[2]
    assert len(found["training"]) >= 120


def test_a_cluster_is_in_one_split() -> None:
    clusters = [f"clip {row // 10}" for row in range(300)]
    found = divided(clusters, {"training": 0.2, "validation": 0.2}, 0)
    named = [{clusters[row] for row in part} for part in found.values()]
    assert not named[0] & named[2]
    assert len(found["training"]) == 60


def test_nothing_left_to_judge_by_is_said() -> None:
    with pytest.raises(KpiError, match="none is left for the evaluation"):
        divided(["same"] * 10, {"training": 0.2, "validation": 0.0}, 0)


X = {"x": np.zeros((5, 3), np.float32)}
LABEL = {"label": np.zeros(5, np.int64)}
WRONG = [
    ({"z": X["x"]}, {}, r'd\.npz has no array "x", it has z; m\.onnx takes x \(float32 \?x3\).*inputs = { "x" = "z" }'),
    ({"z": X["x"]}, {"inputs": {"x": "q"}}, 'd.npz has no array "q"'),
    ({"x": X["x"].astype(np.float64)}, {}, r'"x" in d\.npz is float64.*array\.astype\("float32"\)'),
    ({"x": np.zeros((5, 4), np.float32)}, {}, r'"x" in d\.npz has the shape \(5, 4\).*first axis counts samples'),
    ({"x": np.zeros(3, np.float32)}, {}, r'"x" in d\.npz has the shape \(3,\)'),
    ({**X, "label": np.zeros(4, np.int64)}, {}, '"label" has 4 entries, "x" has 5'),
    ({"x": np.zeros((0, 3), np.float32)}, {}, "has no samples"),
]


@pytest.mark.parametrize(("arrays", "keys", "said"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_data_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], keys: dict[str, Any], said: str) -> None:
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 3]}, {"y": ["n", 3]}, {})
    np.savez(tmp_path / "d.npz", **arrays)
    data = DataFiles(tmp_path / "d.npz", **keys)
    with pytest.raises(KpiError, match=said):
        ArraySamples(tmp_path / "d.npz", read_signature(model), "m.onnx", data)


def test_numbers_for_a_model_of_whole_ones_are_not_rounded(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    model = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, {}, dtype=TensorProto.UINT8)
    np.savez(tmp_path / "d.npz", x=np.full((5, 3), 0.5, np.float32))
    with pytest.raises(KpiError, match="rounding these would change them"):
        ArraySamples(tmp_path / "d.npz", read_signature(model), "m.onnx", DataFiles(tmp_path / "d.npz"))


def test_any_name_of_an_input_becomes_a_file(tmp_path: Path) -> None:
    """Exported graphs have names with slashes and colons; what latency is measured with is a file for each input."""
    name = "serving/default:0"
    nodes = [helper.make_node("Add", [name, name], ["y"])]
    model = save(tmp_path / "m.onnx", nodes, {name: ["n", 3]}, {"y": ["n", 3]}, {})
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((40, 3), np.float32))
    data = DataFiles(tmp_path / "d.npz", inputs={name: "x"})
    FileWorkload(settings(tmp_path, model, data, "tensors")).write_samples(tmp_path, 8)
    (file,) = tmp_path.glob("*.npy")
    assert unquote(file.stem) == name


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(KpiError, match="is a folder"):
        read_signature(tmp_path / "m.onnx")


def test_missing_labels_name_what_there_is(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 3]}, {"y": ["n", 3]}, {})
    np.savez(tmp_path / "d.npz", **X, lable=LABEL["label"])
    made = FileWorkload(settings(tmp_path, model, DataFiles(tmp_path / "d.npz")))
    with pytest.raises(KpiError, match=r'no labels: unknown array "label"; did you mean "lable".*label = '):
        made.split("evaluation")
    free = FileWorkload(settings(tmp_path, model, DataFiles(tmp_path / "d.npz", training=0), "tensors"))
    assert len(free.inputs) == 1


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(KpiError, match=r'd\.npz: "x" can\'t be read'):
        Arrays(tmp_path / "d.npz")["x"]


def test_a_truncated_file_is_told(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes((digits / "digits.npz").read_bytes()[:2000])
    with pytest.raises(KpiError, match=r"d\.npz can't be read"):
        Arrays(tmp_path / "d.npz")


def test_arrays_of_other_formats(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x": X["x"], **LABEL}, tmp_path / "d.safetensors")
    assert sorted(Arrays(tmp_path / "d.safetensors")) == ["label", "x"]
    np.save(tmp_path / "d.npy", X["x"])
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 3]}, {"y": ["n", 3]}, {})
    read = ArraySamples(tmp_path / "d.npy", read_signature(model), "m.onnx", DataFiles(tmp_path / "d.npy"))
    assert read.specs[0].shape == (3,)
    (tmp_path / "d.txt").write_text("1", encoding="utf-8")
    with pytest.raises(KpiError, match=r"d\.txt is of no format that is known"):
        Arrays(tmp_path / "d.txt")


def test_integers_are_inputs_too(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    model = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, {}, dtype=TensorProto.INT32)
    np.savez(tmp_path / "d.npz", x=np.zeros((5, 3), np.int32))
    read = ArraySamples(tmp_path / "d.npz", read_signature(model), "m.onnx", DataFiles(tmp_path / "d.npz"))
    assert read.specs[0].dtype == "int32"


def arrays(folder: Path, **given: Any) -> ArraySamples:
    save(folder / "m.onnx", TWICE, {"x": ["n", 2]}, {"y": ["n", 2]}, {})
    np.savez(folder / "d.npz", **{"x": np.zeros((3, 2), np.float32), **given})
    data = DataFiles(folder / "d.npz", classes=("cat", "dog"))
    return ArraySamples(folder / "d.npz", read_signature(folder / "m.onnx"), "m.onnx", data)


@pytest.mark.parametrize(
    "labels", [["cat", "dog", "cat"], [b"cat", b"dog", b"cat"], [False, True, False]], ids=["text", "bytes", "bool"]
)
def test_labels_of_arrays_may_be_names(tmp_path: Path, labels: list[Any]) -> None:
    found = arrays(tmp_path, label=np.array(labels)).labels
    assert found is not None
    assert (found.dtype.kind, found.tolist()) == ("i", [0, 1, 0])


def test_a_name_that_is_no_class_is_told(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r'"label" in d.npz, sample 1: unknown class "fog"; did you mean "dog"'):
        _ = arrays(tmp_path, label=np.array(["cat", "fog", "dog"])).labels


def test_slices_may_be_bytes(tmp_path: Path) -> None:
    assert arrays(tmp_path, slice=np.array([b"day", b"night", b"day"])).slices == ["day", "night", "day"]


@pytest.mark.parametrize("name", ["[day]", "*", " "])
def test_a_slice_that_no_target_can_name_is_refused(tmp_path: Path, name: str) -> None:
    file = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 2]}, {"y": ["n", 2]}, {})
    np.savez(tmp_path / "d.npz", x=np.arange(40, dtype=np.float32).reshape(20, 2), slice=np.array(["a", name] * 10))
    workload: Any = checked(FileWorkload(settings(tmp_path, file, DataFiles(tmp_path / "d.npz"), "tensors")), tmp_path)
    with pytest.raises(KpiError, match=r"d.npz: slices hold the name"):
        _ = workload.split("evaluation").slices


def test_a_sample_without_anything_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", TWICE, {"x": ["n", "t"]}, {"y": ["n", "t"]}, {})
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 0), np.float32))
    with pytest.raises(KpiError, match="there is nothing in a sample"):
        ArraySamples(tmp_path / "d.npz", read_signature(tmp_path / "m.onnx"), "m.onnx", DataFiles(tmp_path / "d.npz"))


def test_a_missing_input_is_not_replaced_by_another_one(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "state"], ["y"])]
    save(tmp_path / "m.onnx", nodes, {"x": ["n", 2], "state": ["n", 2]}, {"y": ["n", 2]}, {})
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 2), np.float32))
    with pytest.raises(KpiError) as told:
        ArraySamples(tmp_path / "d.npz", read_signature(tmp_path / "m.onnx"), "m.onnx", DataFiles(tmp_path / "d.npz"))
    assert '"state" = "..."' in told.value.remedy
    assert "state" in told.value.remedy.rpartition(";")[2]


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(Unavailable, match=r"m.onnx is a pointer of Git LFS.*git lfs pull"):
        read_signature(tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["m.pt2", "folder"])
def test_kpi_init_names_a_network_as_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).touch()
    with pytest.raises(KpiError, match=r"is a torch network.*kpis.toml by hand"):
        read_signature(tmp_path / name)


def test_samples_that_are_all_alike_are_told() -> None:
    with pytest.raises(KpiError, match="all 3 samples are the same, or of one cluster"):
        divided(["a"] * 3, {"training": 0.2}, 0)
