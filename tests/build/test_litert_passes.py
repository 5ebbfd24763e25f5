"""What makes .tflite files: INT8 by AI Edge Quantizer, and the conversion of a torch network in its environment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_quantizer")

from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.passes.base import PassContext
from harness.build.passes.litert_int8 import LiteRtInt8
from harness.build.store import Store
from harness.core.data_files import DataFiles
from harness.measure.records import Proof
from harness.measure.runtimes.base import TensorSession
from harness.measure.runtimes.litert import LiteRtRuntime
from harness.spec.reader import read_spec
from harness.workloads.files.signature import read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings
from tests.support.project import ROOT, copied_project
from tests.support.small_models import apply
from tests.support.tflite_files import dense

WEIGHT = np.random.default_rng(0).normal(0, 0.05, (64, 256)).astype(np.float32)
IMAGES = np.random.default_rng(1).uniform(-1, 1, (600, 256)).astype(np.float32)


@pytest.fixture
def layer(tmp_path: Path) -> FileWorkload:
    dense(tmp_path / "m.tflite", WEIGHT, names=("image", "scores"))
    np.savez(tmp_path / "d.npz", image=IMAGES)
    data = DataFiles(tmp_path / "d.npz")
    return FileWorkload(file_settings("tensors", tmp_path / "m.tflite", data, tmp_path / "cache"))


def proof_and_error(folder: Path) -> tuple[Proof, float]:
    session = LiteRtRuntime(LiteRtRuntime.Options()).load(folder, "cpu", 1, profile=True)
    assert isinstance(session, TensorSession)
    answers = [session.run({"image": IMAGES[row : row + 1]})["scores"] for row in range(8)]
    return session.proof(), float(np.abs(np.concatenate(answers) - IMAGES[:8] @ WEIGHT.T).max())


@pytest.mark.parametrize(
    ("mode", "integer", "apart"), [("static", True, 0.05), ("dynamic", True, 0.03), ("weights", False, 0.02)]
)
def test_each_mode_is_smaller_and_says_what_it_computes_with(
    layer: FileWorkload, tmp_path: Path, mode: str, apart: float, *, integer: bool
) -> None:
    source, _ = apply("tflite-file", tmp_path / "file", layer, file=str(tmp_path / "m.tflite"))
    made, notes = apply("litert-int8", tmp_path / "int8", layer, source, mode=mode, calibration=100)
    assert (made / "model.tflite").stat().st_size < 0.5 * (source / "model.tflite").stat().st_size
    found = read_signature(made / "model.tflite")
    assert [(port.name, port.dtype, port.held_as) for port in (*found.inputs, *found.outputs)] == [
        ("image", "float32", "float32"),
        ("scores", "float32", "float32"),
    ]
    proof, error = proof_and_error(made)
    assert proof.integer is integer
    assert 1e-5 < error < apart
    assert LiteRtInt8(LiteRtInt8.Options(mode=mode)).integer is integer
    assert notes.get("calibration") == (100 if mode == "static" else None)
    assert notes["compared"]["batches"] == [1, 3]


def test_ranges_hold_all_that_was_seen_unless_they_are_averaged(layer: FileWorkload, tmp_path: Path) -> None:
    source, _ = apply("tflite-file", tmp_path / "file", layer, file=str(tmp_path / "m.tflite"))
    errors = {}
    for method in ("minmax", "average"):
        made, _ = apply("litert-int8", tmp_path / method, layer, source, calibration=100, method=method)
        errors[method] = proof_and_error(made)[1]
    assert errors["minmax"] < 0.05
    assert errors["average"] > 0.2


def test_a_file_without_a_signature_gets_one(tmp_path: Path) -> None:
    dense(tmp_path / "m.tflite", WEIGHT)
    np.savez(tmp_path / "d.npz", image=IMAGES)
    data = DataFiles(tmp_path / "d.npz")
    plain = FileWorkload(file_settings("tensors", tmp_path / "m.tflite", data, tmp_path / "cache"))
    source, _ = apply("tflite-file", tmp_path / "file", plain, file=str(tmp_path / "m.tflite"))
    made, _ = apply("litert-int8", tmp_path / "int8", plain, source)
    assert [port.name for port in read_signature(made / "model.tflite").inputs] == ["image"]
    proof, error = proof_and_error(made)
    assert proof.integer
    assert error < 0.05


def test_what_is_in_integers_already_is_told(layer: FileWorkload, tmp_path: Path) -> None:
    source, _ = apply("tflite-file", tmp_path / "file", layer, file=str(tmp_path / "m.tflite"))
    once, _ = apply("litert-int8", tmp_path / "once", layer, source)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PassContext, "remark", lambda _, text: said.append(text))
        apply("litert-int8", tmp_path / "twice", layer, once)
    assert said == ["the file did not become smaller: its weights are integers or half precision already"]


RECIPES = """
[workload.gratings.recipe.tflite]
runtime = "litert"
passes = ["litert"]
scenario.evaluate = { batch = 1 }

[workload.gratings.recipe.tflite-int8]
runtime = "litert"
passes = ["litert", { pass = "litert-int8", calibration = 32 }]
scenario.evaluate = { batch = 1 }

[[kpi]]
name = "tflite"
workload = "gratings"
recipe = "tflite"
machine = "any-cpu"
targets = { "accuracy.top1" = "drop <= 1 pp vs fp32", "parity.relative_error" = "<= 0.01 %" }

[[kpi]]
name = "tflite-int8"
workload = "gratings"
recipe = "tflite-int8"
machine = "any-cpu"
targets = { "size" = "<= 0.8 x tflite", "quantized.ops" = ">= 99 %", "parity.agreement" = ">= 90 %" }
"""


@pytest.mark.suite
@pytest.mark.long
def test_a_torch_network_on_the_whole_way(tmp_path: Path) -> None:
    made = Environments(Store(), ROOT)
    if not made.exists("litert"):
        pytest.skip("the environment litert is not installed: kpi env create litert")
    store = tmp_path / "store"
    (store / "env").mkdir(parents=True)
    home = made.path("litert")
    (store / "env" / home.name).symlink_to(home, target_is_directory=True)
    project = copied_project("gratings", tmp_path, store)
    with project.toml.open("a", encoding="utf-8") as toml:
        toml.write(RECIPES)
    done = project.pytest("-k", "tflite", timeout=600)
    verdicts = {name: said for name, said in project.verdicts().items() if name.startswith("tflite")}
    assert len(verdicts) == 5
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    spec = read_spec(project.toml)
    kept = Store(store)
    builder = Builder(spec, kept, Environments(kept, spec.root), tmp_path / "log", lambda _: None)
    found = read_signature(builder.artifact(spec.recipe("gratings", "tflite")).path / "model.tflite")
    assert found.batch == 1
    assert [port.name for port in (*found.inputs, *found.outputs)] == ["image", "logits"]
