"""``kpi init``: what it finds in a model and its data, and that what it writes is judged as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.cli.main import main
from harness.cli.starting import provable_drop
from harness.spec.reader import read_spec
from tests.support.model_files import digits_data, digits_model, save
from tests.support.ncnn_files import dense
from tests.support.project import Project
from tests.support.unchanged import judged_unchanged

TWICE = [helper.make_node("Add", ["x", "x"], ["y"])]


def init(folder: Path, *arguments: str) -> int:
    return main(["--kpis", str(folder / "kpis.toml"), "init", *arguments])


def test_a_classifier_is_recognized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = digits_model(tmp_path / "digits.onnx"), digits_data(tmp_path / "digits.npz")
    assert init(tmp_path, str(model), "--data", str(data)) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    assert spec.workloads["digits"].task == "tabular-classification"
    assert {kpi.recipe for kpi in spec.kpis} == {"as-delivered", "int8-onnxruntime", "fp16-openvino", "int8-openvino"}
    assert any(target.metric_name == "accuracy.top1" for target in spec.targets)
    said = capsys.readouterr().out
    assert "takes image (float32 ?x64)" in said
    assert (
        said.endswith("now: pytest --pyargs kpi_tests --kpis " + str(tmp_path / "kpis.toml") + "\n")
        or "now: pytest" in said
    )


def test_without_labels_parity_judges(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 3]}, {"y": ["n", 3]}, {})
    np.savez(tmp_path / "d.npz", pixels=np.random.default_rng(0).random((40, 3), np.float32))
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    workload = spec.workloads["m"]
    assert workload.task == "tensors"
    assert workload.data_files is not None
    assert workload.data_files.inputs == {"x": "pixels"}


def test_random_numbers_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    model = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, {}, dtype=TensorProto.INT64)
    assert init(tmp_path, str(model)) == 0
    assert "random numbers" in capsys.readouterr().out
    assert "RANDOM NUMBERS" in (tmp_path / "kpis.toml").read_text(encoding="utf-8")
    with np.load(tmp_path / "m-random.npz") as arrays:
        assert arrays["x"].dtype == np.int64


def test_files_of_ncnn_are_recognized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ncnn")
    model = dense(tmp_path / "m.param", np.eye(10, 64, dtype=np.float32), sizes=False)
    assert init(tmp_path, str(model)) == 1
    assert "--shape image=3x224x224" in capsys.readouterr().err
    assert init(tmp_path, str(model), "--data", str(digits_data(tmp_path / "digits.npz"))) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    assert spec.workloads["m"].task == "tabular-classification"
    assert spec.recipe("m", "as-delivered").runtime == "ncnn"
    (tmp_path / "kpis.toml").unlink()
    model.with_suffix(".bin").unlink()
    assert init(tmp_path, str(model), "--shape", "image=64") == 1
    assert "m.param needs its weights, m.bin, next to it" in capsys.readouterr().err


def test_sizes_that_a_file_does_not_say_are_given(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    model = dense(tmp_path / "m.param", np.eye(10, 64, dtype=np.float32), sizes=False)
    assert init(tmp_path, str(model), "--shape", "image=64") == 0
    with np.load(tmp_path / "m-random.npz") as arrays:
        assert arrays["image"].shape == (64, 64)


def test_labels_under_another_name(tmp_path: Path) -> None:
    model = digits_model(tmp_path / "digits.onnx")
    with np.load(digits_data(tmp_path / "all.npz")) as arrays:
        np.savez(tmp_path / "d.npz", X=arrays["image"], y=arrays["label"])
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    found = read_spec(tmp_path / "kpis.toml").workloads["digits"]
    assert found.data_files is not None
    assert (found.data_files.inputs, found.data_files.label) == ({"image": "X"}, "y")
    assert found.task == "tabular-classification"


UNUSED = {
    "one-hot": (np.eye(10, dtype=np.int64)[np.arange(40) % 10], "save label.argmax(axis=1)"),
    "numbers as floats": ((np.arange(40) % 10).astype(float), "save label.astype(int)"),
    "too large": (np.arange(40), "labels go from 0 to 39, scores has 10 classes"),
}


@pytest.mark.parametrize(("label", "said"), UNUSED.values(), ids=UNUSED)
def test_labels_that_do_not_fit_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: np.ndarray, said: str
) -> None:
    model = digits_model(tmp_path / "digits.onnx")
    np.savez(tmp_path / "d.npz", image=np.random.default_rng(0).random((40, 64), np.float32), label=label)
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "kpis.toml").read_text(encoding="utf-8")
    assert read_spec(tmp_path / "kpis.toml").workloads["digits"].task == "tensors"


@pytest.mark.parametrize("kind", ["U3", "S3"])
def test_labels_that_are_names_are_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    model = digits_model(tmp_path / "digits.onnx")
    label = np.array(["dog", "cat"] * 20).astype(kind)
    np.savez(tmp_path / "d.npz", image=np.random.default_rng(0).random((40, 64), np.float32), label=label)
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    assert "hold it against the order of the model's outputs" in capsys.readouterr().out
    found = read_spec(tmp_path / "kpis.toml").workloads["digits"]
    assert found.data_files is not None
    assert (found.task, found.data_files.classes) == ("tabular-classification", ("cat", "dog"))


def test_numbers_are_a_regression(tmp_path: Path) -> None:
    model = digits_model(tmp_path / "digits.onnx")
    chance = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", image=chance.random((40, 64), np.float32), label=chance.normal(0, 1, (40, 10)))
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    assert spec.workloads["digits"].task == "regression"
    assert any(target.metric_name == "error.r2" for target in spec.targets)


@pytest.mark.suite
def test_a_regression_that_loses_nothing_passes_what_is_proposed(tmp_path: Path, shared_store: Path) -> None:
    import onnxruntime

    model, chance = digits_model(tmp_path / "digits.onnx"), np.random.default_rng(0)
    image = chance.random((60, 64), np.float32)
    (answers,) = onnxruntime.InferenceSession(str(model)).run(None, {"image": image})
    np.savez(tmp_path / "d.npz", image=image, label=answers + chance.normal(0, 0.1, answers.shape))
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    judged = judged_unchanged(Project(tmp_path, shared_store), "digits", "parity.relative_error")
    assert judged["verdict"] == "PASS", judged


@pytest.mark.parametrize(
    ("metric", "samples", "points"),
    [("accuracy.top1", 1000, 1), ("accuracy.top1", 100, 10), ("accuracy.map", 1000, 3), ("accuracy.map", 20, 30)],
)
def test_the_drop_that_is_proposed_is_one_that_so_many_samples_can_prove(
    metric: str, samples: int, points: int
) -> None:
    assert provable_drop(metric, samples) == points


def test_nothing_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kpis.toml").write_text("# mine\n", encoding="utf-8")
    model = digits_model(tmp_path / "digits.onnx")
    assert init(tmp_path, str(model)) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "kpis.toml").read_text(encoding="utf-8") == "# mine\n"


def test_data_that_do_not_fit_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = digits_model(tmp_path / "digits.onnx")
    np.savez(tmp_path / "d.npz", image=np.zeros((4, 64)))
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 1
    assert '"image" in d.npz is float64, digits.onnx takes image (float32 ?x64)' in capsys.readouterr().err
    assert not (tmp_path / "kpis.toml").exists()


MORE = """
[metric."recall.worst_class"]
function = "metrics.py:worst_class_recall"
of = "set"
unit = "%"

[[kpi]]
name = "parts"
workload = "digits"
recipe = "int8-onnxruntime"
machine = "any-cpu"

[kpi.targets]
"accuracy.top1[slice=even]" = [">= 80 %", "drop <= 3 pp vs as-delivered"]
"accuracy.top1[class=8]" = ">= 80 %"
"accuracy.top1[slice=rare]" = ">= 1 %"
"accuracy.top1[class=*]" = ">= 60 %"
"accuracy.macro_f1[slice=*]" = "drop <= 99 pp vs as-delivered"
"recall.worst_class" = ">= 60 %"
"recall.worst_class[slice=even]" = ">= 60 %"
"""
METRIC = """
def worst_class_recall(outputs, labels):
    found = outputs.argmax(axis=1)
    return min((found[labels == one] == one).mean() for one in set(labels.tolist()))
"""


@pytest.mark.suite
def test_what_it_writes_is_judged(tmp_path: Path, shared_store: Path) -> None:
    """With slices and a metric of one's own added, and a program that knows nothing of the harness agrees."""
    digits_model(tmp_path / "digits.onnx", hidden=2048)
    with np.load(digits_data(tmp_path / "all.npz")) as arrays:
        slices = np.where(arrays["label"] % 2 == 0, "even", "odd")
        slices[np.arange(len(slices)) % 100 == 0] = "rare"
        np.savez(tmp_path / "digits.npz", slice=slices, **arrays)
    project = Project(tmp_path, shared_store)
    done = project.cli("init", "digits.onnx", "--data", "digits.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("now: pytest\n")
    (tmp_path / "metrics.py").write_text(METRIC, encoding="utf-8")
    project.toml.write_text(project.toml.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    done = project.pytest("-m", "size or accuracy or recall", pyargs=False)
    assert done.returncode == 0, done.stdout + done.stderr
    judged = {name: verdict for name, verdict in project.verdicts().items() if "p50" not in name}
    assert judged.pop("parts:top1[slice=rare]") == "INCONCLUSIVE"
    assert judged.pop("parts:macro_f1[slice=*]-drop-as-delivered") == "INCONCLUSIVE"  # the rare ones are among them
    assert set(judged.values()) == {"PASS"}, judged
    assert len(judged) == 8 + 6
    again = project.recomputed()
    assert again.returncode == 0, again.stdout
    told = project.cli("explain", "parts")
    assert "accuracy.top1[slice=rare]" in told.stdout, told.stderr
    rows = [line for line in told.stdout.splitlines() if line.lstrip().startswith("parts ")]
    assert len(rows) == 2, told.stdout
    assert all(f"{digit} " in rows[0] for digit in range(10))


TABLE = "sepal;petal;kind\n" + "".join(f"{n / 10};{n % 3};{('setosa', 'virginica')[n % 2]}\n" for n in range(60))


def test_a_table_is_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns divided by semicolons, names of classes: what is guessed is written down, and read again."""
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 2]}, {"y": ["n", 2]}, {})
    (tmp_path / "d.csv").write_text(TABLE.replace("kind", "Class"), encoding="utf-8")
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.csv")) == 0
    found = read_spec(tmp_path / "kpis.toml").workloads["m"]
    assert found.task == "tabular-classification"
    assert found.data_files is not None
    assert (found.data_files.label, found.data_files.delimiter) == ("Class", ";")
    assert found.data_files.classes == ("setosa", "virginica")
    said = capsys.readouterr().out
    assert "takes the 2 columns of d.csv in their order, sepal, petal" in said
    assert "classes are in the order of their names" in said


def test_a_table_without_a_label_that_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", 2]}, {"y": ["n", 2]}, {})
    (tmp_path / "d.csv").write_text(TABLE, encoding="utf-8")
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.csv")) == 1
    assert 'or say which is the label: label = "..."' in capsys.readouterr().err


GUESSED = {
    "regression": ((np.arange(40) * 3)[:, None], 1, "regression"),
    "two classes": (np.arange(40) % 2, 1, "tabular-classification"),
    "several labels": (np.arange(120).reshape(40, 3) % 2, 3, "multi-label-classification"),
    "identities": (np.arange(40) % 9 + 100, 5, "embeddings"),
    "each alone": (np.arange(40) + 100, 5, "tensors"),
}


@pytest.mark.parametrize(("label", "size", "task"), GUESSED.values(), ids=GUESSED)
def test_tasks_are_guessed(tmp_path: Path, label: np.ndarray, size: int, task: str) -> None:
    model = save(tmp_path / "m.onnx", TWICE, {"x": ["n", size]}, {"y": ["n", size]}, {})
    label = label[:, 0] if label.ndim == 2 and label.shape[1] == 1 else label
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((40, size), np.float32), label=label)
    assert init(tmp_path, str(model), "--data", str(tmp_path / "d.npz")) == 0
    assert read_spec(tmp_path / "kpis.toml").workloads["m"].task == task
