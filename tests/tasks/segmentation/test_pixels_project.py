"""A network that knows the class of each pixel, with pictures and masks in folders, judged without any code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.build.passes.tuning import Tuning
from harness.cli.main import main
from harness.core.data_files import DataFiles, Preprocess
from harness.spec.reader import read_spec
from harness.workloads.files.workload import FileWorkload
from tests.support.detectors import SIDE, pixels_model, squares_data
from tests.support.model_files import FAST, file_settings
from tests.support.project import Project
from tests.support.unchanged import judged_unchanged

TEXT = """
[workload.squares]
task = "semantic-segmentation"
model = "squares.onnx"
data = { file = "pictures", masks = "masks", classes = ["background", "red", "green", "blue"], validation = "0 %" }
reference = "as-delivered"

[workload.squares.preprocess]
size = 96
fit = "letterbox"

[workload.squares.recipe.as-delivered]
runtime = "onnxruntime"

[workload.squares.recipe.int8]
runtime = "onnxruntime"
passes = [{ pass = "onnx-static-int8", calibration = 32 }]

[workload.sizes]
task = "semantic-segmentation"
model = "sizes.onnx"
data = { file = "turned", masks = "turned-masks", validation = "0 %" }
reference = "as-delivered"

[workload.sizes.preprocess]
size = "each"
shortest = 70
multiple = 4

[workload.sizes.recipe.as-delivered]
runtime = "onnxruntime"

[workload.sizes.recipe.int8]
runtime = { name = "openvino", precision = "f32" }
passes = ["openvino", { pass = "nncf", calibration = 16 }]

[[kpi]]
name = "sizes"
workload = "sizes"
recipe = "as-delivered"
machine = "any-cpu"
targets = { "accuracy.iou" = ">= 75 %", "latency.p50" = "< 1 s", "throughput.offline" = "> 1 fps" }

[[kpi]]
name = "sizes-int8"
workload = "sizes"
recipe = "int8"
machine = "any-cpu"
targets = { "accuracy.iou" = ">= 70 %", "parity.pixels" = ">= 95 %" }

[[kpi]]
name = "delivered"
workload = "squares"
recipe = "as-delivered"
machine = "any-cpu"

[kpi.targets]
"accuracy.iou" = ">= 75 %"
"accuracy.dice" = ">= 85 %"
"accuracy.pixels" = ">= 95 %"
"accuracy.iou[class=2]" = ">= 70 %"
"accuracy.dice[class=green]" = ">= 80 %"

[[kpi]]
name = "int8"
workload = "squares"
recipe = "int8"
machine = "any-cpu"
targets = { "accuracy.iou" = ">= 70 %", "parity.pixels" = ">= 95 %" }
"""


def masks_of(pictures: Path, masks: Path) -> Path:
    """Paints the boxes of the COCO file of a folder of pictures."""
    tables = json.loads((pictures / "instances.json").read_text(encoding="utf-8"))
    masks.mkdir()
    for image in tables["images"]:
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for one in tables["annotations"]:
            if one["image_id"] == image["id"]:
                x, y, wide, high = one["bbox"]
                mask[y : y + high, x : x + wide] = one["category_id"]
        Image.fromarray(mask).save(masks / image["file_name"])
    return masks


@pytest.mark.suite
@pytest.mark.long
def test_classes_of_pixels_are_judged(tmp_path: Path, shared_store: Path) -> None:
    pixels_model(tmp_path / "squares.onnx")
    squares_data(tmp_path / "pictures", 250)
    masks_of(tmp_path / "pictures", tmp_path / "masks")
    pixels_model(tmp_path / "sizes.onnx", varies=True)
    for one, other in (("pictures", "turned"), ("masks", "turned-masks")):
        (tmp_path / other).mkdir()
        for number, file in enumerate(sorted((tmp_path / one).glob("*.png"))):
            with Image.open(file) as opened:
                (opened.transpose(Image.Transpose.ROTATE_90) if number % 3 else opened).save(
                    tmp_path / other / file.name
                )
    (tmp_path / "kpis.toml").write_text(FAST + TEXT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    project = Project(tmp_path, shared_store)
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [target["verdict"] for target in project.evidence()["targets"]] == ["PASS"] * 12
    again = project.recomputed()
    assert again.returncode == 0, again.stdout


def test_a_coco_file_says_the_same_as_masks(tmp_path: Path) -> None:
    coco, file = squares_data(tmp_path / "pictures", 30), pixels_model(tmp_path / "squares.onnx")
    masks_of(tmp_path / "pictures", tmp_path / "masks")
    how = Preprocess((SIDE, SIDE), fit="letterbox")
    found = [
        FileWorkload(file_settings("semantic-segmentation", file, data, tmp_path / "cache")).split("evaluation").labels
        for data in (
            DataFiles(splits={"evaluation": coco}, preprocess=how),
            DataFiles(splits={"evaluation": tmp_path / "pictures"}, masks="masks", preprocess=how),
        )
    ]
    np.testing.assert_array_equal(*found)


def test_passes_tune_by_intersection_over_union(tmp_path: Path) -> None:
    import onnxruntime

    data = DataFiles(squares_data(tmp_path / "pictures", 60), preprocess=Preprocess((SIDE, SIDE), fit="letterbox"))
    file = pixels_model(tmp_path / "squares.onnx")
    tuning = Tuning(FileWorkload(file_settings("semantic-segmentation", file, data, tmp_path / "cache")), 12)
    session = onnxruntime.InferenceSession(str(file))
    whole = tuning.begin(lambda feeds: {"maps": session.run(["maps"], dict(feeds))[0]})
    assert 0.7 < whole < 1
    shift = np.array([0, 1, 0, 0], np.float32)[:, None, None]
    assert tuning.score(lambda feeds: {"maps": session.run(["maps"], dict(feeds))[0] + shift}) < whole / 2
    assert tuning.permitted("1 pp") == pytest.approx(0.01)


def test_arrays_of_masks_are_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(0)
    pictures = chance.random((20, 3, SIDE, SIDE)).astype(np.float32)
    np.savez(tmp_path / "d.npz", images=pictures, label=chance.integers(0, 4, (20, SIDE, SIDE)))
    model = pixels_model(tmp_path / "squares.onnx")
    assert main(["--kpis", str(tmp_path / "k.toml"), "init", str(model), "--data", str(tmp_path / "d.npz")]) == 0
    assert read_spec(tmp_path / "k.toml").workloads["squares"].task == "semantic-segmentation"
    assert "task: semantic-segmentation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pictures", "masks", "given", "file"),
    [
        ("pictures", "masks", "pictures", "pictures"),
        ("set/images", "set/labels", "set", "images"),
        ("set", "set/masks", "set", "set"),
    ],
)
def test_a_folder_of_pictures_with_one_of_masks_is_guessed(
    tmp_path: Path, pictures: str, masks: str, given: str, file: str
) -> None:
    (tmp_path / pictures).parent.mkdir(exist_ok=True)
    squares_data(tmp_path / pictures, 20)
    masks_of(tmp_path / pictures, tmp_path / masks)
    (tmp_path / pictures / "instances.json").unlink()
    model = pixels_model(tmp_path / "squares.onnx")
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(tmp_path / given)]) == 0
    workload = read_spec(tmp_path / "kpis.toml").workloads["squares"]
    assert workload.task == "semantic-segmentation"
    assert workload.data_files is not None
    assert workload.data_files.whole is not None
    assert workload.data_files.masks is not None
    assert workload.data_files.whole.name == file
    assert (workload.data_files.whole.parent / workload.data_files.masks).resolve() == tmp_path / masks


@pytest.mark.suite
def test_what_is_guessed_of_pictures_and_masks_is_judged_as_it_is(tmp_path: Path, shared_store: Path) -> None:
    squares_data(tmp_path / "pictures", 60)
    masks_of(tmp_path / "pictures", tmp_path / "masks")
    (tmp_path / "pictures" / "instances.json").unlink()
    model = pixels_model(tmp_path / "squares.onnx")
    call = ["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(tmp_path / "pictures")]
    assert main(call) == 0
    judged = judged_unchanged(Project(tmp_path, shared_store), "squares", "accuracy.iou")
    assert judged["verdict"] == "PASS", judged
    assert judged["value"] == pytest.approx(0, abs=1e-3)
