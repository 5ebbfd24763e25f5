"""Passes with an accuracy limit tune on the metric of the task, whatever the task is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.build.passes.tuning import Tuning, asked_outputs, check_drop
from harness.core.data_files import DataFiles, Preprocess
from harness.core.errors import KpiError
from harness.core.state import StateInput, play
from harness.workloads.files.workload import FileWorkload
from tests.support.detectors import squares_data, squares_model
from tests.support.model_files import WIDTH, digits_data, digits_model, file_settings, memory
from tests.support.small_models import apply


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("digits")
    digits_model(made / "digits.onnx", hidden=256)
    digits_data(made / "digits.npz")
    with np.load(made / "digits.npz") as arrays:
        # What the model answers is itself a regression: of scores that it was fitted to.
        wanted = np.eye(10, dtype=np.float32)[arrays["label"]] * 2 - 1
        np.savez(made / "numbers.npz", image=arrays["image"], label=wanted)
    return made


def workload(folder: Path, task: str, data: str = "digits.npz") -> FileWorkload:
    return FileWorkload(file_settings(task, folder / "digits.onnx", DataFiles(folder / data), folder / "cache"))


CASES = {
    "tabular-classification": ("digits.npz", "1 pp"),
    "tensors": ("digits.npz", "8 pp"),
    "regression": ("numbers.npz", "0.02"),
}


@pytest.mark.parametrize("task", CASES)
@pytest.mark.parametrize("step", ["onnx-static-int8", "nncf"])
def test_the_limit_is_kept_in_the_tasks_metric(folder: Path, tmp_path: Path, task: str, step: str) -> None:
    data, drop = CASES[task]
    made = workload(folder, task, data)
    options: dict[str, Any] = {"max_drop": drop, "tuning": 200, "calibration": 64}
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(folder / "digits.onnx"))
    _, notes = apply(step, tmp_path / "int8", made, source, **options)
    before = notes.get("validation_fp32", notes.get("floor", 0) + Tuning(made, 200).permitted(drop))
    assert notes["validation"] >= before - Tuning(made, 200).permitted(drop) - 1e-6
    if task == "tensors":
        assert notes["validation"] < 0  # an error of INT8, not the share of labels that are all zero


def test_a_loss_has_the_unit_of_the_metric(folder: Path) -> None:
    with pytest.raises(KpiError, match=r"max_drop is a loss of error\.rmse here: unit 'pp' does not fit"):
        Tuning(workload(folder, "regression", "numbers.npz"), 10).permitted("1 pp")
    with pytest.raises(KpiError, match=r"max_drop is a loss of accuracy\.top1 here: a unit is missing"):
        Tuning(workload(folder, "tabular-classification"), 10).permitted("0.1")


@pytest.mark.parametrize("text", ["", "1 ms", "-1 pp", "100 pp", "-0.5", "much"])
def test_what_is_no_loss_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pp|number"):
        check_drop(text)


def test_a_broken_candidate_is_told(folder: Path) -> None:
    tuning = Tuning(workload(folder, "tensors"), 10)

    def broken(feeds: dict[str, Any]) -> Any:
        return {"scores": np.full((len(feeds["image"]), 10), np.nan)}

    with pytest.raises(KpiError, match="NaN or infinity"):
        tuning.begin(broken)


SEQUENCES, FRAMES = 60, 4


def remembering(folder: Path, task: str) -> FileWorkload:
    """A model that keeps state; its labels are what it answers itself, so that INT8 has an error."""
    import onnxruntime

    file = memory(folder / "memory.onnx")
    given = np.random.default_rng(3).uniform(-1, 1, (SEQUENCES, FRAMES, WIDTH)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(file))
    gain, state = np.array(0.5, np.float32), (StateInput("h", "hN", (None, WIDTH), "float32"),)
    said = play(
        lambda feeds: dict(zip(("y", "hN"), session.run(["y", "hN"], {**feeds, "gain": gain}), strict=True)),
        {"x": given},
        state,
    )
    np.savez(folder / "sequences.npz", x=given, label=said["y"])
    data = DataFiles(folder / "sequences.npz")
    return FileWorkload(file_settings(task, file, data, folder / "cache", constants={"gain": 0.5}, state={"h": "hN"}))


@pytest.mark.parametrize("step", ["onnx-static-int8", "nncf"])
@pytest.mark.parametrize(("task", "drop"), [("regression", "0.005"), ("tensors", "0.5 pp"), ("tensors", "50 pp")])
def test_a_model_that_keeps_state_is_tuned_on_sequences(tmp_path: Path, step: str, task: str, drop: str) -> None:
    made = remembering(tmp_path, task)
    options: dict[str, Any] = {"max_drop": drop, "tuning": 12, "calibration": 24}
    file = str(tmp_path / "memory.onnx")
    source, _ = apply("onnx-file", tmp_path / "file", made, file=file)
    out, notes = apply(step, tmp_path / "int8", made, source, **options)
    before = notes.get("validation_fp32", notes.get("floor", 0) + Tuning(made, 12).permitted(drop))
    assert before == pytest.approx(0, abs=1e-6)
    assert notes["validation"] >= -Tuning(made, 12).permitted(drop) - 1e-6
    # What was promised is what the file that was written answers, played again.
    tuning = Tuning(made, 12)
    tuning.begin(_asked(source, made))
    assert tuning.score(_asked(out, made)) == pytest.approx(notes["validation"], abs=1e-4)
    if drop == "50 pp":
        assert notes["validation"] < 0


def test_a_limit_that_can_not_be_kept_is_told(tmp_path: Path) -> None:
    made = remembering(tmp_path, "tensors")
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(tmp_path / "memory.onnx"))
    with pytest.raises(KpiError, match=r"with all 1 heavy operators in floating point 0\.00\d+ more is lost"):
        apply("onnx-static-int8", tmp_path / "int8", made, source, max_drop="0.01 pp", tuning=12, calibration=24)


def _asked(folder: Path, made: FileWorkload) -> Any:
    import openvino as ov

    file = next(folder / name for name in ("model.xml", "model.onnx") if (folder / name).exists())
    compiled = ov.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda feeds: {name: compiled(feeds)[name] for name in asked_outputs(made)}


def test_a_part_without_a_figure_says_nothing(tmp_path: Path) -> None:
    data = DataFiles(squares_data(tmp_path / "pictures", 60), preprocess=Preprocess((96, 96), fit="letterbox"))
    file = squares_model(tmp_path / "squares.onnx")
    options = {"layout": "yolov8", "iou": 0.45}
    made = FileWorkload(file_settings("object-detection", file, data, tmp_path / "cache", task_options=options))
    tuning, name = Tuning(made, 12, 1), "output0"
    compiled = _asked_file(file)
    whole = tuning.begin(lambda feeds: {name: compiled(feeds)})
    drawn = [bool((labels[..., 0] == labels[..., 0]).any()) for _, labels in tuning.samples]
    assert not all(drawn)
    each = [tuning.score(lambda feeds: {name: compiled(feeds)}, [sample]) for sample in tuning.samples]
    assert all(score == whole for score, seen in zip(each, drawn, strict=True) if not seen)
    assert any(score != whole for score in each)


def _asked_file(file: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    return lambda feeds: session.run(None, dict(feeds))[0]
