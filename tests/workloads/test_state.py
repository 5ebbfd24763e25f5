"""Models with inputs that all samples share, and with state that is carried from frame to frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from harness.build.artifact import tensor_facts
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.core.state import StateInput, play
from harness.workloads.base import Settings
from harness.workloads.files.shared import constants_of, state_of
from harness.workloads.files.signature import read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import MEMORY, WIDTH, file_settings, memory, plain_settings
from tests.support.project import Project

FRAMES = 5
TOML = (
    MEMORY
    + """
[workload.memory.recipe.int8]
runtime = "onnxruntime"
passes = [{ pass = "onnx-static-int8", calibration = 64 }]

[workload.memory.recipe.int8-openvino]
runtime = { name = "openvino", precision = "f32" }
passes = ["openvino", { pass = "nncf", calibration = 64 }]

[[kpi]]
name = "delivered"
workload = "memory"
recipe = "as-delivered"
machine = "any-cpu"
targets = { "latency.p50" = "< 1 s", "throughput.offline" = "> 1 fps", "size" = "< 20 kB" }

[[kpi]]
name = "openvino"
workload = "memory"
recipe = "openvino"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 0.1 %", "latency.p50" = "< 1 s" }

[[kpi]]
name = "int8"
workload = "memory"
recipe = "int8"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 10 %" }

[[kpi]]
name = "int8-openvino"
workload = "memory"
recipe = "int8-openvino"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 10 %" }
"""
)


def settings(folder: Path, **more: object) -> Settings:
    chance = np.random.default_rng(1)
    np.savez(folder / "data.npz", x=chance.uniform(-1, 1, (60, FRAMES, WIDTH)).astype(np.float32))
    given: dict[str, object] = {"constants": {"gain": 0.5}, "state": {"h": "hN"}, **more}
    return file_settings("tensors", memory(folder / "memory.onnx"), DataFiles(folder / "data.npz"), folder, **given)


def test_a_sample_is_a_sequence(tmp_path: Path) -> None:
    made = FileWorkload(settings(tmp_path))
    assert made.input_names == ["x"]
    assert made.inputs[0].shape == (FRAMES, WIDTH)
    assert made.outputs == ("y",)
    assert made.scored_output == "y"
    assert made.state == (StateInput("h", "hN", (None, WIDTH), "float32"),)
    assert Settings.from_json(plain_settings(settings(tmp_path))) == settings(tmp_path)


def test_playing_is_what_a_loop_does(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(str(memory(tmp_path / "m.onnx")), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    gain, given = (
        np.array(0.5, np.float32),
        np.random.default_rng(2).normal(0, 1, (3, FRAMES, WIDTH)).astype(np.float32),
    )
    seen = []

    def step(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {**feeds, "gain": gain}), strict=True))

    found = play(step, {"x": given}, (StateInput("h", "hN", (None, WIDTH), "float32"),), seen=seen.append)
    assert set(found) == {"y"}
    assert found["y"].shape == (3, FRAMES, WIDTH)
    weights = numpy_helper.to_array(onnx.load(tmp_path / "m.onnx").graph.initializer[0])
    state = np.zeros((3, WIDTH))
    for frame in range(FRAMES):
        np.testing.assert_allclose(seen[frame]["h"], state, atol=1e-5)
        state = 0.5 * state + given[:, frame] @ weights
        np.testing.assert_allclose(found["y"][:, frame], np.tanh(state), atol=1e-5)
    # Each sequence has a beginning of its own: asked alone it is the same.
    alone = play(step, {"x": given[1:2]}, (StateInput("h", "hN", (None, WIDTH), "float32"),))
    np.testing.assert_allclose(alone["y"][0], found["y"][1], atol=1e-6)


WRONG = {
    "no input": ({"constants": {"gian": 1}}, 'constants: unknown name "gian"; did you mean "gain"'),
    "shape": (
        {"constants": {"gain": [1, 2]}},
        r"constants: gain = \[1, 2\] does not fit: memory.onnx takes gain \(float32 scalar\)",
    ),
    "text": ({"constants": {"gain": "much"}}, "constants: gain = 'much'"),
    "no state": ({"state": {"g": "hN"}}, 'state: unknown name "g"'),
    "no output": ({"state": {"h": "hM"}}, 'state: unknown name "hM"; did you mean "hN"'),
}


@pytest.mark.parametrize(("table", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(tmp_path: Path, table: dict[str, object], said: str) -> None:
    with pytest.raises(KpiError, match=said):
        FileWorkload(settings(tmp_path, **table))


def test_a_scored_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="scored: hN carries state"):
        FileWorkload(settings(tmp_path, scored="hN"))


def test_more_than_the_batch_may_not_be_open(tmp_path: Path) -> None:
    signature = read_signature(memory(tmp_path / "m.onnx"))
    assert state_of(signature, {"h": "hN"}, "m.onnx")[0].zeros(3).shape == (3, WIDTH)
    assert constants_of(signature, {"gain": 2}, "m.onnx")["gain"].dtype == np.float32
    assert read_signature(memory(tmp_path / "one.onnx", batch=1)).batch == 1  # the scalar has none


@pytest.mark.suite
def test_state_is_played_everywhere(tmp_path: Path, shared_store: Path) -> None:
    """The build compares sequences, calibration sees states, latency, throughput and parity are of sequences."""
    settings(tmp_path)
    (tmp_path / "kpis.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    project = Project(tmp_path, shared_store)
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.verdicts().values()) == {"PASS"}
    artifacts = [path for path in (shared_store / "objects").iterdir() if tensor_facts(path).state]
    assert len(artifacts) >= 4
    files = [onnx.load(path / "model.onnx") for path in artifacts if (path / "model.onnx").exists()]
    assert all([value.name for value in model.graph.input] == ["x", "h"] for model in files)
