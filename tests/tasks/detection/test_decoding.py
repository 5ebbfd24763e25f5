"""Boxes read from the outputs of detectors: each layout gives the same boxes, what overlaps is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.spec.tasks import tasks
from harness.tasks.detection.boxes import Boxes
from harness.tasks.detection.decoding import suppressed
from harness.workloads.base import TensorSpec
from harness.workloads.files.signature import Port

HEIGHT, WIDTH = 64, 96
INPUTS = (TensorSpec("image", (3, HEIGHT, WIDTH)),)
# x, y, width, height, score, class
WANTED = np.array([[10, 12, 20, 16, 0.9, 1], [50, 8, 30, 40, 0.75, 0], [4, 30, 12, 8, 0.4, 2]], dtype=np.float64)
CLASSES = 3


def centred(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] + boxes[:, 2:4] / 2, boxes[:, 2:4]], axis=1)


def scores(boxes: np.ndarray) -> np.ndarray:
    found = np.zeros((len(boxes), CLASSES))
    found[np.arange(len(boxes)), boxes[:, 5].astype(int)] = boxes[:, 4]
    return found


def _yolov8(boxes: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.concatenate([centred(boxes), scores(boxes)], axis=1)
    # Detectors have many more anchors than columns.
    rows = np.concatenate([rows, np.zeros((200, rows.shape[1]))])
    return {"out": rows.T[None]}


def _yolov5(boxes: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.concatenate([centred(boxes), np.full((len(boxes), 1), 0.5), 2 * scores(boxes)], axis=1)
    return {"out": np.concatenate([rows, np.zeros((200, rows.shape[1]))])[None]}


def _yolox(boxes: np.ndarray) -> dict[str, np.ndarray]:
    count = sum((HEIGHT // stride) * (WIDTH // stride) for stride in (8, 16, 32))
    rows = np.zeros((count, 5 + CLASSES))
    places = [3, 40, (HEIGHT // 8) * (WIDTH // 8) + 5]
    for place, box, own in zip(places, centred(boxes), scores(boxes), strict=True):
        first = (HEIGHT // 8) * (WIDTH // 8)
        stride, inside = (8, place) if place < first else (16, place - first)
        row, column = divmod(inside, WIDTH // stride)
        rows[place] = [box[0] / stride - column, box[1] / stride - row, *np.log(box[2:] / stride), 1.0, *own]
    return {"out": rows[None]}


def _end_to_end(boxes: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4], boxes[:, 4:]], axis=1)
    return {"out": np.concatenate([rows, np.zeros((7, 6))])[None]}


def _detr(boxes: np.ndarray) -> dict[str, np.ndarray]:
    chances = np.full((len(boxes), CLASSES + 1), 1e-9)
    chances[np.arange(len(boxes)), boxes[:, 5].astype(int)] = boxes[:, 4]
    chances[:, -1] = 1 - boxes[:, 4]
    return {"b": (centred(boxes) / (WIDTH, HEIGHT, WIDTH, HEIGHT))[None], "s": np.log(chances)[None]}


def _ssd(boxes: np.ndarray) -> dict[str, np.ndarray]:
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    return {"b": corners[None][:, :, [1, 0, 3, 2]], "s": boxes[None, :, 4], "c": boxes[None, :, 5] + 1}


LAYOUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "yolov8": (_yolov8, {}),
    "yolov5": (_yolov5, {}),
    "yolox": (_yolox, {}),
    "end-to-end": (_end_to_end, {}),
    "detr": (_detr, {"boxes": "b", "scores": "s"}),
    "ssd": (_ssd, {"boxes": "b", "scores": "s", "classes": "c", "corners": "yxyx", "first_class": 1}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_boxes(layout: str) -> None:
    make, more = LAYOUTS[layout]
    outputs = {name: array.astype(np.float32) for name, array in make(WANTED).items()}
    found = Boxes(layout=layout, **more).read(outputs, INPUTS)  # type: ignore[arg-type]
    assert found.shape == (1, 100, 6)
    np.testing.assert_allclose(found[0, :3], WANTED, atol=1e-4)
    assert np.isnan(found[0, 3:]).all()


def test_the_axes_of_a_yolov8_may_be_the_other_way_round() -> None:
    output = _yolov8(WANTED)["out"].transpose(0, 2, 1)
    np.testing.assert_allclose(Boxes(layout="yolov8").read({"out": output}, INPUTS)[0, :3], WANTED, atol=1e-9)


def test_of_boxes_that_overlap_the_best_of_each_class_stays() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 20, 30, 30]], dtype=np.float64)
    assert suppressed(corners, np.array([0, 0, 1, 0]), 0.7, 100).tolist() == [0, 2, 3]
    assert suppressed(corners, np.array([0, 0, 1, 0]), 0.9, 100).tolist() == [0, 1, 2, 3]
    assert suppressed(corners, np.array([0, 0, 1, 0]), 0.7, 2).tolist() == [0, 2]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / whole


def test_suppression_is_what_it_says_box_by_box() -> None:
    chance = np.random.default_rng(3)
    corners = chance.uniform(0, 80, (300, 2))
    corners = np.concatenate([corners, corners + chance.uniform(5, 40, (300, 2))], axis=1)
    kind, wanted = chance.integers(0, 4, 300), list[int]()
    for place in range(300):
        if all(kind[k] != kind[place] or overlap(corners[k], corners[place]) <= 0.5 for k in wanted):
            wanted.append(place)
    assert 100 < len(wanted) < 300
    assert suppressed(corners, kind, 0.5, 300).tolist() == wanted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layout": "detr"}, "has several outputs: name boxes, scores"),
        ({"layout": "yolov8", "score": 2.0}, "score must be from 0 to 1"),
        ({"layout": "yolov8", "most": 0}, "most must be at least 1"),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Boxes(**options)


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"layout": "yolov8"}, (1, 84), "3 axes are needed"),
        ({"layout": "yolov5"}, (1, 100, 5), "columns and one for each class"),
        ({"layout": "yolox"}, (1, 100, 8), "100 anchors, grids of 96 x 64 pixels have 126"),
        ({"layout": "end-to-end"}, (1, 100, 7), "6 columns are needed"),
    ],
)
def test_outputs_of_another_shape_are_told(options: dict[str, Any], shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(KpiError, match=said):
        Boxes(**options).read({"out": np.zeros(shape, np.float32)}, INPUTS)


def test_outputs_are_taken_by_name() -> None:
    reads = Boxes(layout="ssd", boxes="b", scores="s", classes="k")
    with pytest.raises(KpiError, match='unknown output "k"'):
        reads.outputs(["b", "s", "c"])
    with pytest.raises(KpiError, match="the model has 2 outputs"):
        Boxes(layout="yolov8").outputs(["a", "b"])
    assert Boxes(layout="yolov8", boxes="b").outputs(["a", "b"]) == ("b",)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((None, 84, 8400), "yolov8"), ((None, 25200, 85), "yolov5"), ((1, 300, 6), "end-to-end"), ((None, 50, 60), None)],
)
def test_a_layout_is_guessed_where_shapes_leave_one(shape: tuple[int | None, ...], layout: str | None) -> None:
    found = Boxes.fitting([Port("out", "float32", shape)])
    assert (found and found[1]["layout"]) == layout
    assert tasks()["object-detection"].guess is not None
