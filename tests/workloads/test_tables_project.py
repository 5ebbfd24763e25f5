"""Tables, scikit-learn's models, samples with several labels and embeddings, judged as a user would have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skl2onnx
from onnx import helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.support.model_files import save
from tests.support.project import Project

pytestmark = pytest.mark.suite


def agreed(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """The targets of a run by their ids, once a program that knows nothing of the harness agrees with each."""
    done = project.pytest(*arguments, pyargs=False)
    assert done.returncode == 0, done.stdout + done.stderr
    again = project.recomputed()
    assert again.returncode == 0, again.stdout
    return {target["id"]: target for target in project.evidence()["targets"]}


def test_a_model_of_scikit_learn_on_a_table(tmp_path: Path, shared_store: Path) -> None:
    """Classes have names, the answers hold them too, and each second row was learned from."""
    found = load_breast_cancer()
    kinds = found.target_names[found.target]
    names = [name.replace(" ", "_") for name in found.feature_names]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(found.data[::2], kinds[::2])
    text = skl2onnx.to_onnx(
        model, found.data[:1].astype(np.float32), options={id(model): {"zipmap": False}}, target_opset=17
    )
    (tmp_path / "cancer.onnx").write_bytes(text.SerializeToString())
    rows = [",".join([*map(str, row), kind]) for row, kind in zip(found.data[1::2].tolist(), kinds[1::2], strict=True)]
    (tmp_path / "cancer.csv").write_text("\n".join([",".join([*names, "target"]), *rows]) + "\n", encoding="utf-8")
    project = Project(tmp_path, shared_store)
    done = project.cli("init", "cancer.onnx", "--data", "cancer.csv")
    assert done.returncode == 0, done.stderr
    assert "takes the 30 columns of cancer.csv in their order, mean_radius" in done.stdout
    assert "no pass makes less of LinearClassifier, Scaler" in done.stdout
    project.change("[kpi.targets]", '[kpi.targets]\n"accuracy.auc" = ">= 0.95"')
    judged = agreed(project, "-m", "size or accuracy")
    top1 = judged["cancer-as-delivered:top1"]
    assert top1["verdict"] == judged["cancer-as-delivered:auc"]["verdict"] == "PASS"
    assert top1["value"] == pytest.approx(model.score(found.data[1::2], kinds[1::2]), abs=0.03)
    assert any("in their order" in note for note in top1["notes"])


def test_an_input_for_each_column(tmp_path: Path, shared_store: Path) -> None:
    """As a pipeline that picks its columns by name is exported; of several files each has its own order."""
    found = load_breast_cancer()
    picked = {"mean_radius": 0, "mean_texture": 1, "worst_concavity": 26}
    data = found.data[:, list(picked.values())].astype(np.float32)
    model = make_pipeline(ColumnTransformer([("all", StandardScaler(), [0, 1, 2])]), LogisticRegression())
    model.fit(data[::2], found.target[::2])
    inputs = [(name, FloatTensorType([None, 1])) for name in picked]
    text = skl2onnx.convert_sklearn(
        model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=17
    )
    (tmp_path / "m.onnx").write_bytes(text.SerializeToString())
    header = ",".join(["patient", "label", *reversed(picked)])
    rows = [
        ",".join(map(str, [place, label, *row[::-1]]))
        for place, (row, label) in enumerate(zip(data[1::2].tolist(), found.target[1::2].tolist(), strict=True))
    ]
    (tmp_path / "e.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    project = Project(tmp_path, shared_store)
    project.toml.write_text(
        """
[machine.any-cpu]
device = "cpu"

[workload.cancer]
task = "tabular-classification"
model = "m.onnx"
data = { evaluation = "e.csv" }
scored = "probabilities"

[workload.cancer.recipe.as-delivered]
runtime = "onnxruntime"

[[kpi]]
name = "cancer"
workload = "cancer"
recipe = "as-delivered"
machine = "any-cpu"
targets = { "accuracy.top1" = ">= 85 %" }
""",
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --pyargs kpi_tests\n", encoding="utf-8")
    judged = agreed(project)
    wanted = model.score(data[1::2], found.target[1::2])
    assert judged["cancer:top1"]["value"] == pytest.approx(wanted, abs=1e-9)


SEVERAL = """
[machine.any-cpu]
device = "cpu"

[workload.tags]
task = { name = "multi-label-classification", threshold = 0.4 }
model = "tags.onnx"
data = { file = "tags.csv", label = ["even", "large", "prime"], inputs = { image = [PIXELS] } }
reference = "as-delivered"

[workload.tags.recipe.as-delivered]
runtime = "onnxruntime"

[workload.tags.recipe.int8]
runtime = "onnxruntime"
passes = [{ pass = "onnx-static-int8", max_drop = "2 pp", tuning = 200 }]

[[kpi]]
name = "tags"
workload = "tags"
recipe = "int8"
machine = "any-cpu"

[kpi.targets]
"accuracy.multilabel_f1" = ">= 60 %"
"accuracy.multilabel_f1[class=1]" = ">= 50 %"
"accuracy.multilabel_macro_f1" = ">= 60 %"
"accuracy.multilabel_map" = ">= 70 %"
"accuracy.multilabel_exact_match" = [">= 40 %", "drop <= 8 pp vs as-delivered"]

[workload.near]
task = "embeddings"
model = "near.onnx"
data = "near.npz"
reference = "as-delivered"

[workload.near.recipe.as-delivered]
runtime = "onnxruntime"

[workload.near.recipe.int8]
runtime = "onnxruntime"
passes = ["onnx-static-int8"]

[[kpi]]
name = "near"
workload = "near"
recipe = "int8"
machine = "any-cpu"

[kpi.targets]
"accuracy.recall_at_1" = [">= 80 %", "drop <= 3 pp vs as-delivered"]
"accuracy.recall_at_5" = ">= 90 %"
"accuracy.recall_at_5[slice=early]" = ">= 80 %"
"error.eer" = ["<= 40 %", "drop <= 5 pp vs as-delivered"]
"parity.output_cosine" = ">= 0.98"
"""


def network(file: Path, answers: int) -> None:
    """One layer of fixed random features, the last one fitted to what is asked of digits; or the features alone."""
    found, chance = load_digits(), np.random.default_rng(0)
    first = chance.normal(0, 0.2, (64, 96)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["image", "first"], ["sums"]), helper.make_node("Relu", ["sums"], ["features"])]
    weights = {"first": first}
    if answers:
        features = np.maximum(found.data[:900] / 16 @ first, 0)
        wanted = tags(found.target[:900]) * 2.0 - 1
        last = np.linalg.solve(features.T @ features + np.eye(96), features.T @ wanted)
        weights["last"] = last.astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["features", "last"], ["scores"]))
    out = {"scores": ["n", answers]} if answers else {"features": ["n", 96]}
    save(file, nodes, {"image": ["n", 64]}, out, weights)


def tags(digits: np.ndarray) -> np.ndarray:
    return np.stack([digits % 2 == 0, digits >= 5, np.isin(digits, (2, 3, 5, 7))], axis=1).astype(int)


def test_several_labels_and_embeddings(tmp_path: Path, shared_store: Path) -> None:
    found = load_digits()
    network(tmp_path / "tags.onnx", 3)
    network(tmp_path / "near.onnx", 0)
    pixels = [f"p{place}" for place in range(64)]
    images = (found.data / 16).astype(np.float32)
    lines = [
        ",".join([*map(str, row), *map(str, own)])
        for row, own in zip(images[900:], tags(found.target[900:]), strict=True)
    ]
    header = ",".join([*pixels, "even", "large", "prime"])
    (tmp_path / "tags.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    slices = np.where(np.arange(1797) < 900, "early", "late")
    np.savez(tmp_path / "near.npz", image=images, label=found.target.astype(np.int64) * 11, slice=slices)
    project = Project(tmp_path, shared_store)
    named = ", ".join(f'"{name}"' for name in pixels)
    project.toml.write_text(SEVERAL.replace("PIXELS", named), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --pyargs kpi_tests\n", encoding="utf-8")
    judged = agreed(project)
    assert len(judged) == 6 + 7
    assert {target["verdict"] for target in judged.values()} == {"PASS"}
