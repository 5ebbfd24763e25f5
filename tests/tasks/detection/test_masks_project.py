"""Networks that find objects with masks, with pictures and a COCO file, judged end to end without any code."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.build.passes.tuning import Tuning
from harness.core.data_files import DataFiles, Preprocess
from harness.workloads.files.workload import FileWorkload
from tests.support.detectors import found_model, squares_data, squares_model
from tests.support.model_files import FAST, file_settings
from tests.support.project import Project

TEXT = """
[workload.squares]
task = { name = "instance-segmentation", layout = "yolov8", boxes = "output0", prototypes = "output1", iou = 0.45 }
model = "squares.onnx"
data = { file = "pictures/instances.json", classes = ["red", "green", "blue"], slice = "light", validation = "0 %" }
reference = "as-delivered"

[workload.squares.preprocess]
size = 96
fit = "letterbox"

[workload.squares.recipe.as-delivered]
runtime = "onnxruntime"

[workload.squares.recipe.int8]
runtime = "onnxruntime"
passes = [{ pass = "onnx-static-int8", calibration = 32 }]

[workload.found]
model = "found.onnx"
data = "pictures/instances.json"
reference = "as-delivered"

[workload.found.task]
name = "instance-segmentation"
layout = "mask-rcnn"
boxes = "corners"
scores = "sure"
classes = "labels"
masks = "masks"
first_class = 1
alone = true

[workload.found.preprocess]
size = 96
fit = "letterbox"

[workload.found.recipe.as-delivered]
runtime = "onnxruntime"

[[kpi]]
name = "delivered"
workload = "squares"
recipe = "as-delivered"
machine = "any-cpu"

[kpi.targets]
"accuracy.mask_map" = ">= 60 %"
"accuracy.mask_map50" = ">= 95 %"
"accuracy.map50" = ">= 95 %"
"accuracy.mask_map[class=2]" = ">= 60 %"
"accuracy.mask_map50[slice=night]" = ">= 95 %"

[[kpi]]
name = "int8"
workload = "squares"
recipe = "int8"
machine = "any-cpu"
targets = { "accuracy.mask_map" = ">= 50 %" }

[[kpi]]
name = "found"
workload = "found"
recipe = "as-delivered"
machine = "any-cpu"
targets = { "accuracy.mask_map50" = ">= 10 %", "latency.p50" = "< 10 s" }
"""


@pytest.fixture
def masks(tmp_path: Path, shared_store: Path) -> Project:
    squares_model(tmp_path / "squares.onnx", masks=True)
    found_model(tmp_path / "found.onnx")
    squares_data(tmp_path / "pictures", 150)
    (tmp_path / "kpis.toml").write_text(FAST + TEXT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    return Project(tmp_path, shared_store)


@pytest.mark.suite
@pytest.mark.long
def test_masks_are_judged(masks: Project) -> None:
    done = masks.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [target["verdict"] for target in masks.evidence()["targets"]] == ["PASS"] * 8
    again = masks.recomputed()
    assert again.returncode == 0, again.stdout


def test_passes_tune_by_the_precision_of_masks(tmp_path: Path) -> None:
    import onnxruntime

    data = DataFiles(squares_data(tmp_path / "pictures", 100), preprocess=Preprocess((96, 96), fit="letterbox"))
    file = squares_model(tmp_path / "squares.onnx", masks=True)
    options = {"layout": "yolov8", "boxes": "output0", "prototypes": "output1", "iou": 0.45}
    workload = FileWorkload(file_settings("instance-segmentation", file, data, tmp_path / "c", task_options=options))
    tuning = Tuning(workload, 20)
    session = onnxruntime.InferenceSession(str(file))

    def answered(feeds: dict[str, object], less: float) -> dict[str, object]:
        boxes, maps = session.run(["output0", "output1"], feeds)
        return {"output0": boxes, "output1": maps - less}

    whole = tuning.begin(lambda feeds: answered(dict(feeds), 0.0))
    assert 0.6 < whole < 1
    assert tuning.score(lambda feeds: answered(dict(feeds), 1.0)) == 0.0
