"""``kpi init`` with a detector and a COCO file: what it writes is read, and names the layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cli.main import main
from harness.core.data_files import Preprocess
from harness.spec.reader import read_spec
from tests.support.detectors import squares_data, squares_model
from tests.support.project import Project
from tests.support.unchanged import judged_unchanged

if TYPE_CHECKING:
    from pathlib import Path


def test_the_layout_and_the_pictures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = squares_model(tmp_path / "squares.onnx"), squares_data(tmp_path / "pictures", 12)
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(data)]) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    workload = spec.workloads["squares"]
    assert workload.task == "object-detection"
    assert workload.task_options["layout"] == "yolov8"
    assert workload.data_files is not None
    how = workload.data_files.preprocess
    assert isinstance(how, Preprocess)
    assert (how.size, how.fit, how.layout) == ((96, 96), "letterbox", "NCHW")
    assert {"accuracy.map", "accuracy.map50"} <= {target.metric_name for target in spec.targets}
    assert "task: object-detection" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "pictures", "written"),
    [
        ("instances.json", "images", "images"),
        ("annotations/instances.json", "val 2017", "../val 2017"),
        ("annotations/instances.json", "images/val", "../images/val"),
    ],
)
def test_the_folder_of_the_pictures_is_found(tmp_path: Path, file: str, pictures: str, written: str) -> None:
    model, data = squares_model(tmp_path / "squares.onnx"), squares_data(tmp_path / "given", 12)
    place, folder = tmp_path / "data" / file, tmp_path / "data" / pictures
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    data.rename(place)
    data.parent.rename(folder)
    (place.parent / "empty").mkdir()
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(place)]) == 0
    files = read_spec(tmp_path / "kpis.toml").workloads["squares"].data_files
    assert files is not None
    assert files.pictures == written


def test_prototypes_next_to_boxes_are_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = squares_model(tmp_path / "squares.onnx", masks=True), squares_data(tmp_path / "pictures", 12)
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(data)]) == 0
    spec = read_spec(tmp_path / "kpis.toml")
    workload = spec.workloads["squares"]
    assert workload.task == "instance-segmentation"
    named = {"layout": "yolov8", "boxes": "output0", "prototypes": "output1"}
    assert named.items() <= dict(workload.task_options).items()
    assert {"accuracy.mask_map", "accuracy.mask_map50"} <= {target.metric_name for target in spec.targets}
    assert "task: instance-segmentation" in capsys.readouterr().out


@pytest.mark.suite
def test_a_conversion_that_loses_nothing_passes_what_is_proposed(tmp_path: Path, shared_store: Path) -> None:
    model, data = squares_model(tmp_path / "squares.onnx"), squares_data(tmp_path / "pictures", 200)
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(data)]) == 0
    judged = judged_unchanged(Project(tmp_path, shared_store), "squares", "accuracy.map")
    assert judged["bound"] == "drop <= 20 pp vs as-delivered"
    assert judged["verdict"] == "PASS", judged
    assert judged["value"] == 0
