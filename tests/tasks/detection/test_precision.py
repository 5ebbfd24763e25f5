"""mAP is what pycocotools says of the same boxes, for the whole set and for any part of it."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.measure.records import Outputs
from harness.tasks.detection.metrics import AveragePrecision

PICTURES, CLASSES, MOST = 60, 5, 100


def outputs(seed: int = 0, shift: float = 3.0) -> Outputs:
    """Boxes in pictures, some empty, some crowds, and what a detector found of them: ties, misses, inventions."""
    chance = np.random.default_rng(seed)
    drawn, found = np.full((PICTURES, 12, 7), np.nan), np.full((PICTURES, MOST, 6), np.nan)
    for picture in range(PICTURES):
        count = int(chance.integers(0, 12))
        boxes = np.concatenate([chance.uniform(0, 200, (count, 2)), chance.uniform(5, 120, (count, 2))], axis=1)
        kinds = chance.integers(0, CLASSES, count)
        crowds = (chance.random(count) < 0.1).astype(float)
        drawn[picture, :count] = np.column_stack([boxes, kinds, boxes[:, 2] * boxes[:, 3], crowds])
        said = []
        for box, kind in zip(boxes, kinds, strict=True):
            if chance.random() < 0.85:
                moved = box + chance.normal(0, shift, 4)
                right = chance.random() < 0.9
                said.append([*moved[:2], *np.maximum(moved[2:], 1), chance.integers(1, 20) / 20, kind if right else 0])
        said += [
            [*chance.uniform(0, 200, 2), *chance.uniform(5, 60, 2), chance.random(), chance.integers(0, 7)]
            for _ in range(int(chance.integers(0, 4)))
        ]
        if said:
            rows = np.array(sorted(said, key=lambda one: -one[4]))
            found[picture, : len(rows)] = rows
    return Outputs(found.astype(np.float32), drawn)


def by_pycocotools(given: Outputs, places: list[int]) -> tuple[float, float]:
    """As its own documentation does it, on the boxes of some pictures."""
    boxes: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for picture in places:
        for x, y, w, h, kind, area, crowd in given.labels[picture]:
            if not np.isnan(kind):
                boxes.append({"id": len(boxes) + 1, "image_id": picture, "category_id": int(kind), "area": area})
                boxes[-1] |= {"bbox": [x, y, w, h], "iscrowd": int(crowd)}
        for x, y, w, h, score, kind in given.logits[picture].astype(float):
            if not np.isnan(kind):
                found.append({"image_id": picture, "category_id": int(kind), "bbox": [x, y, w, h], "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        kinds = [{"id": kind, "name": str(kind)} for kind in range(7)]
        truth.dataset = {"images": [{"id": p} for p in places], "annotations": boxes, "categories": kinds}
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def metric(name: str) -> type[AveragePrecision]:
    found = metrics()[name]
    assert issubclass(found, AveragePrecision)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_figure_is_that_of_pycocotools(seed: int) -> None:
    given = outputs(seed)
    whole, half = by_pycocotools(given, list(range(PICTURES)))
    assert 0.1 < whole < half < 1
    assert metric("accuracy.map").figure(given, None) == pytest.approx(whole, abs=1e-6)
    assert metric("accuracy.map50").figure(given, None) == pytest.approx(half, abs=1e-6)


def test_so_is_that_of_any_part() -> None:
    given, chance = outputs(1), np.random.default_rng(2)
    for _ in range(5):
        places = sorted(chance.choice(PICTURES, 25, replace=False).tolist())
        whole, half = by_pycocotools(given, places)
        assert metric("accuracy.map").of(given, None, places) == pytest.approx(whole, abs=1e-6)
        assert metric("accuracy.map50").of(given, None, places) == pytest.approx(half, abs=1e-6)


def test_a_class_alone() -> None:
    given = outputs(2)
    part = metric("accuracy.map").class_part(given, "3")
    assert set(np.unique(part.labels[~np.isnan(part.labels[:, :, 4])][:, 4])) == {3.0}
    wanted, _ = by_pycocotools(part, list(range(PICTURES)))
    one = metrics()["accuracy.map[class=3]"]
    assert np.mean(one.scores(given, None)) == pytest.approx(wanted, abs=1e-6)  # type: ignore[attr-defined]
    with pytest.raises(KpiError, match=r'no evaluation sample is of class "9".*0, 1, 2, 3, 4'):
        metrics()["accuracy.map[class=9]"].scores(given, None)  # type: ignore[attr-defined]
    assert len(metrics()["accuracy.map[class=*]"].parts(given)) == CLASSES  # type: ignore[attr-defined]


def test_a_slice_alone() -> None:
    given = outputs(3)
    names = np.where(np.arange(PICTURES) < 20, "night", "day")
    sliced = Outputs(given.logits, given.labels, names)
    wanted, _ = by_pycocotools(given, list(range(20)))
    found = metrics()["accuracy.map[slice=night]"].scores(sliced, None)  # type: ignore[attr-defined]
    assert np.mean(found) == pytest.approx(wanted, abs=1e-6)


def test_nothing_found_is_nothing_right() -> None:
    given = outputs(0)
    nothing = Outputs(np.full_like(given.logits, np.nan), given.labels)
    assert metric("accuracy.map").figure(nothing, None) == 0.0


def test_nothing_drawn_has_no_figure() -> None:
    given = outputs(0)
    with pytest.raises(KpiError, match="no picture has a box"):
        metric("accuracy.map").figure(Outputs(given.logits, np.full_like(given.labels, np.nan)), None)


def test_what_a_person_should_know() -> None:
    (said, *others) = metric("accuracy.map").remarks(outputs(0), None)
    assert "boxes of classes without annotations do not count: 5, 6" in [said, *others]


def test_what_is_no_boxes_is_refused() -> None:
    given = outputs(0)
    with pytest.raises(KpiError, match="labels have the shape"):
        metric("accuracy.map").check(Outputs(given.logits, np.zeros(PICTURES)), "w/r")
    with pytest.raises(KpiError, match="boxes were expected"):
        metric("accuracy.map").check(Outputs(np.zeros((PICTURES, 5)), given.labels), "w/r")
