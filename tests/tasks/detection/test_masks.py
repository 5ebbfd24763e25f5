"""Objects with masks: each layout gives the same masks, and their mAP is what pycocotools says of them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coded
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.measure.records import Outputs
from harness.spec.tasks import tasks
from harness.tasks.detection import drawing
from harness.tasks.detection.masks import Masks
from harness.workloads.base import TensorSpec
from harness.workloads.files.objects import packed, runs_of, unpacked
from harness.workloads.files.resizing import spread
from harness.workloads.files.signature import Port

HEIGHT, WIDTH, CLASSES, PROTOTYPES = 64, 96, 3, 4
INPUTS = (TensorSpec("image", (3, HEIGHT, WIDTH)),)
BOXES = np.array([[10, 12, 20, 16, 0.9, 1], [50, 8, 30, 40, 0.75, 0]], dtype=np.float64)
"""x, y, width, height, score, class"""


def prototypes() -> np.ndarray:
    """Of a quarter of the size; the first two are above 0 on the left, and above."""
    found = np.random.default_rng(0).normal(0, 1, (PROTOTYPES, HEIGHT // 4, WIDTH // 4))
    y, x = np.mgrid[: HEIGHT // 4, : WIDTH // 4]
    found[0], found[1] = 16 - x, 6 - y
    return found


WEIGHTS = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float64)


def wanted() -> list[np.ndarray]:
    """The first object is left of column 66, all of its box; the second above row 26."""
    first, second = np.zeros((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    first[12:28, 10:30] = True
    second[8:26, 50:80] = True
    return [first, second]


def _rows(layout: str) -> np.ndarray:
    centred = np.concatenate([BOXES[:, :2] + BOXES[:, 2:4] / 2, BOXES[:, 2:4]], axis=1)
    scores = np.zeros((2, CLASSES))
    scores[[0, 1], BOXES[:, 5].astype(int)] = BOXES[:, 4]
    if layout == "end-to-end":
        return np.concatenate([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:4], BOXES[:, 4:], WEIGHTS], axis=1)
    sure = [np.ones((2, 1))] if layout == "yolov5" else []
    return np.concatenate([centred, *sure, scores, WEIGHTS], axis=1)


@pytest.mark.parametrize("layout", ["yolov8", "yolov5", "end-to-end"])
def test_masks_are_sums_of_prototypes_within_boxes(layout: str) -> None:
    rows = np.concatenate([_rows(layout), np.zeros((300, _rows(layout).shape[1]))])[None].astype(np.float32)
    outputs = {"b": rows.transpose(0, 2, 1) if layout == "yolov8" else rows, "p": prototypes()[None].astype(np.float32)}
    found = Masks(layout=layout, boxes="b", prototypes="p").read(outputs, INPUTS)  # type: ignore[arg-type]
    objects = list(unpacked(found[0], 6))
    np.testing.assert_allclose([head for head, _ in objects], BOXES, atol=1e-4)
    for (_, runs), mask in zip(objects, wanted(), strict=True):
        np.testing.assert_array_equal(runs, runs_of(mask))


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("middle", [False, True])
def test_masks_of_the_whole_picture(*, alone: bool, middle: bool) -> None:
    corners = np.concatenate([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:4]], axis=1)
    masks = np.array(wanted()) * 0.8
    masks = masks[:, None] if middle else masks
    outputs = {"b": corners, "s": BOXES[:, 4], "c": BOXES[:, 5].astype(np.int64) + 1, "m": masks}
    reads = Masks(
        layout="mask-rcnn", boxes="b", scores="s", classes="c", masks="m", first_class=1, alone=alone, most=10
    )
    assert reads.one_by_one == alone
    given = reads.even(outputs if alone else {name: array[None] for name, array in outputs.items()})
    assert {array.shape[0] for array in given.values()} == {1}
    objects = list(unpacked(reads.read(given, INPUTS)[0], 6))
    np.testing.assert_allclose([head for head, _ in objects], BOXES)
    for (_, runs), mask in zip(objects, wanted(), strict=True):
        np.testing.assert_array_equal(runs, runs_of(mask))
    # Nothing found is nothing read.
    none = {name: array[:0] for name, array in outputs.items()}
    if alone:
        assert list(unpacked(reads.read(reads.even(none), INPUTS)[0], 6)) == []


def test_masks_of_boxes_are_stretched_over_them() -> None:
    small = np.zeros((1, 4, 4))
    small[0, :, :2] = 1.0  # the left half
    (mask,) = drawing.pasted(small, np.array([[10.0, 20.0, 50.0, 40.0]]), (HEIGHT, WIDTH), 0.5)
    half = np.zeros((HEIGHT, WIDTH), bool)
    half[20:40, 10:30] = True
    np.testing.assert_array_equal(mask, half)
    # What reaches out of the picture is cut, what lies outside is empty.
    (mask,) = drawing.pasted(np.ones((1, 4, 4)), np.array([[-10.0, 50.0, 20.0, 80.0]]), (HEIGHT, WIDTH), 0.5)
    assert mask.sum() == 20 * 14
    (mask,) = drawing.pasted(np.ones((1, 4, 4)), np.array([[-10.0, -50.0, -5.0, -8.0]]), (HEIGHT, WIDTH), 0.5)
    assert not mask.any()


def test_maps_are_enlarged_as_pytorch_does() -> None:
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    small = np.random.default_rng(1).normal(0, 1, (5, 7))
    for size in ((20, 28), (13, 9), (3, 4), (5, 7)):
        found = spread(5, size[0]) @ small @ spread(7, size[1]).T
        right = functional.interpolate(torch.from_numpy(small)[None, None], size=size, mode="bilinear")[0, 0]
        np.testing.assert_allclose(found, right.numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layout": "yolov8"}, "has several outputs: name prototypes"),
        ({"layout": "mask-rcnn"}, "has several outputs: name scores, classes, masks"),
        ({"layout": "yolov8", "prototypes": "p", "alone": True}, 'alone is for layout "mask-rcnn"'),
        ({"layout": "yolov8", "prototypes": "p", "score": 2.0}, "score must be from 0 to 1"),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Masks(boxes="b", **options)


def test_outputs_of_another_shape_are_told() -> None:
    woven = Masks(layout="yolov8", boxes="b", prototypes="p")
    rows, maps = np.zeros((1, 7, 300), np.float32), np.zeros((1, 4, 16, 24), np.float32)
    with pytest.raises(KpiError, match=r"b has the shape \(1, 7, 300\), with 4 prototypes it needs columns"):
        woven.read({"b": rows, "p": maps}, INPUTS)
    with pytest.raises(KpiError, match="4 axes are needed"):
        woven.read({"b": rows, "p": maps[0]}, INPUTS)
    with pytest.raises(KpiError, match='unknown output "p"'):
        woven.outputs(["b", "protos"])
    with pytest.raises(KpiError, match="are too large for masks"):
        woven.read({"b": rows, "p": maps}, (TensorSpec("image", (3, 5000, 5000)),))
    cut = Masks(layout="mask-rcnn", boxes="b", scores="s", classes="c", masks="m")
    outputs = {"b": np.zeros((1, 9, 4)), "s": np.zeros((1, 9)), "c": np.zeros((1, 9)), "m": np.zeros((9, 1, 28, 28))}
    with pytest.raises(KpiError, match=r"m has the shape \(9, 1, 28, 28\), .*alone = true"):
        cut.read(outputs, INPUTS)


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [
        (((None, 116, 8400), (None, 32, 160, 160)), "yolov8"),
        (((None, 25200, 85), (None, 32, 160, 160)), "yolov5"),
        (((1, 300, 38), (1, 32, 160, 160)), "end-to-end"),
        (((None, 10, 1728), (None, 3, 24, 24)), "yolov8"),
        (((None, 84, 8400), (None, 84, 8400)), None),
        (((None, 116, 8400),), None),
    ],
)
def test_a_layout_is_guessed_where_shapes_leave_one(shapes: Any, layout: str | None) -> None:
    ports = [Port(f"o{place}", "float32", shape) for place, shape in enumerate(shapes)]
    found = Masks.fitting(ports)
    assert (found and found["layout"]) == layout
    assert tasks()["instance-segmentation"].guess is not None


# ---- mean average precision ---------------------------------------------------------------------------------------

SIDE, PICTURES = 60, 40


def blob(chance: np.random.Generator, box: np.ndarray) -> np.ndarray:
    """An ellipse in a box (x, y, width, height), with a ragged edge."""
    y, x = np.mgrid[:SIDE, :SIDE]
    far = ((x - box[0] - box[2] / 2) / (box[2] / 2)) ** 2 + ((y - box[1] - box[3] / 2) / (box[3] / 2)) ** 2
    return far + chance.normal(0, 0.1, far.shape) < 1


def masks_of(seed: int) -> Outputs:
    """Objects in pictures, some empty, some crowds, and what a network found of them: moved, missed, invented."""
    chance = np.random.default_rng(seed)
    drawn, found = list[Any](), list[Any]()
    for _ in range(PICTURES):
        boxes = np.column_stack([chance.uniform(0, 40, (5, 2)), chance.uniform(6, 25, (5, 2))])
        here = list(boxes[: chance.integers(0, 5)])
        kinds = chance.integers(0, 3, len(here))
        masks = [blob(chance, box) for box in here]
        drawn.append(
            [
                (np.array([*box, kind, mask.sum(), chance.random() < 0.1]), runs_of(mask))
                for box, kind, mask in zip(here, kinds, masks, strict=True)
            ]
        )
        said = [
            (np.array([*box, round(chance.random(), 1), kind]), runs_of(blob(chance, box + chance.normal(0, 1.5, 4))))
            for box, kind in zip(here, kinds, strict=True)
            if chance.random() < 0.9
        ]
        said += [
            (np.array([*box, chance.random(), chance.integers(0, 5)]), runs_of(blob(chance, box))) for box in boxes[:1]
        ]
        found.append(sorted(said, key=lambda one: -one[0][4]))
    return Outputs(packed(found).astype(np.float32), packed(drawn))  # type: ignore[arg-type]


def by_pycocotools(given: Outputs, places: list[int], what: str = "segm") -> tuple[float, float]:
    """As its own documentation does it, on masks (height, width) of some pictures."""

    def coded_mask(runs: np.ndarray) -> Any:
        flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
        return coded.encode(np.asfortranarray(flat.reshape(SIDE, SIDE).T))

    drawn: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for place in places:
        one = {"image_id": place}
        for (x, y, w, h, kind, area, crowd), runs in unpacked(given.labels[place], 7):
            more = {"bbox": [x, y, w, h], "area": area, "iscrowd": int(crowd), "segmentation": coded_mask(runs)}
            drawn.append({**one, "id": len(drawn) + 1, "category_id": int(kind), **more})
        for (x, y, w, h, score, kind), runs in unpacked(given.logits[place], 6):
            more = {"bbox": [x, y, w, h], "score": score, "segmentation": coded_mask(runs)}
            found.append({**one, "category_id": int(kind), **more})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": p, "height": SIDE, "width": SIDE} for p in places],
            "annotations": drawn,
            "categories": [{"id": kind, "name": str(kind)} for kind in range(5)],
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), what)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def of(name: str, given: Outputs, places: list[int]) -> float:
    return float(metrics()[name].of(given, None, places))  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_the_figure_is_that_of_pycocotools(seed: int) -> None:
    given, every = masks_of(seed), list(range(PICTURES))
    whole, half = by_pycocotools(given, every)
    assert 0.1 < whole < half < 1
    assert of("accuracy.mask_map", given, every) == pytest.approx(whole, abs=1e-6)
    assert of("accuracy.mask_map50", given, every) == pytest.approx(half, abs=1e-6)
    # Boxes of the same objects are judged as well, by the metrics of boxes.
    boxes, _ = by_pycocotools(given, every, "bbox")
    assert boxes != pytest.approx(whole, abs=1e-3)
    assert of("accuracy.map", given, every) == pytest.approx(boxes, abs=1e-6)


def test_so_is_that_of_any_part() -> None:
    given, chance = masks_of(5), np.random.default_rng(2)
    for _ in range(4):
        places = sorted(chance.choice(PICTURES, 20, replace=False).tolist())
        whole, half = by_pycocotools(given, places)
        assert of("accuracy.mask_map", given, places) == pytest.approx(whole, abs=1e-6)
        assert of("accuracy.mask_map50", given, places) == pytest.approx(half, abs=1e-6)


def test_a_class_and_a_slice_alone() -> None:
    given = masks_of(6)
    metric: Any = metrics()["accuracy.mask_map"]
    assert metric.class_names(given) == ["0", "1", "2"]
    part = metric.class_part(given, "1")
    wanted, _ = by_pycocotools(part, list(range(PICTURES)))
    one: Any = metrics()["accuracy.mask_map[class=1]"]
    assert np.mean(one.scores(given, None)) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(KpiError, match='no evaluation sample is of class "4"'):
        metrics()["accuracy.mask_map[class=4]"].scores(given, None)  # type: ignore[attr-defined]
    names = np.where(np.arange(PICTURES) < 15, "night", "day")
    wanted, _ = by_pycocotools(given, list(range(15)))
    night: Any = metrics()["accuracy.mask_map[slice=night]"]
    found = night.scores(Outputs(given.logits, given.labels, names), None)
    assert np.mean(found) == pytest.approx(wanted, abs=1e-6)


def test_nothing_found_is_nothing_right() -> None:
    given = masks_of(0)
    nothing = Outputs(np.full((PICTURES, 1), np.nan), given.labels)
    assert metrics()["accuracy.mask_map"].figure(nothing, None) == 0.0  # type: ignore[attr-defined]
    bare = Outputs(given.logits, np.full((PICTURES, 1), np.nan))  # type: ignore[arg-type]
    with pytest.raises(KpiError, match="no picture has a box"):
        metrics()["accuracy.mask_map"].figure(bare, None)  # type: ignore[attr-defined]


def test_what_is_no_masks_is_refused() -> None:
    metric: Any = metrics()["accuracy.mask_map"]
    metric.check(masks_of(0), "w/r")
    with pytest.raises(KpiError, match="give a COCO file as data"):
        metric.check(Outputs(masks_of(0).logits, np.zeros(PICTURES, np.int64)), "w/r")
