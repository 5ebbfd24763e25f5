"""Passes with an accuracy limit tune on the metric of the task, whatever the task is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.build.passes.tuning import Tuning, check_drop
from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import digits_data, digits_model, file_settings
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
