"""YOLO's tensors become things and pixels; without its library or weights nothing is proven."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fixtures.video_yolo import COLUMNS, ROWS, YoloV8
from fixtures.video_yolo.classes import COCO
from fixtures.video_yolo.instances import instances, painted
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import Settings


def workload(cache: Path, checkpoint: Path | None = None, *, allow_pickle: bool = False) -> YoloV8:
    return YoloV8(
        Settings(
            name="yolo", task="video-segmentation", checkpoint=checkpoint, checkpoint_sha256=None, model=None,
            data=None, allow_pickle=allow_pickle, trust_remote_code=False, cache=cache,
        )
    )  # fmt: skip


def answer(*things: tuple[int, float, tuple[float, float, float, float], int]) -> np.ndarray:
    """The network's tensor: kind, score, centre and size, which prototype is its mask."""
    made = np.zeros((4 + 80 + 32, len(things) + 5), np.float32)
    for column, (kind, score, box, prototype) in enumerate(things):
        made[:4, column] = box
        made[4 + kind, column] = score
        made[84 + prototype, column] = 1
    return made


def test_the_eighty_kinds() -> None:
    assert len(COCO) == len(set(COCO)) == 80
    assert (COCO[0], COCO[16], COCO[79]) == ("person", "dog", "toothbrush")
    assert len(YoloV8.classes) == len(YoloV8.palette) == len(set(YoloV8.palette)) == 81


def test_things_that_overlap_too_much_are_one_unless_of_another_kind() -> None:
    found = instances(
        answer(
            (0, 0.5, (100, 100, 40, 40), 0),
            (0, 0.9, (102, 100, 40, 40), 1),
            (2, 0.8, (101, 100, 40, 40), 2),
            (0, 0.7, (300, 100, 40, 40), 3),
            (5, 0.2, (200, 200, 40, 40), 4),
        ),
        80,
    )
    assert found.kinds.tolist() == [0, 2, 0]
    assert found.scores == pytest.approx([0.9, 0.8, 0.7])
    assert found.corners[0].tolist() == [82, 80, 122, 120]
    assert found.coefficients.argmax(axis=1).tolist() == [1, 2, 3]


def test_a_mask_ends_at_its_box_and_the_surest_thing_is_in_front() -> None:
    prototypes = np.full((32, ROWS // 4, COLUMNS // 4), -1, np.float32)
    prototypes[0] = 1  # everywhere: the box alone decides
    prototypes[1, :, :40] = 1  # the left 160 columns
    things = answer((0, 0.6, (160, 160, 80, 80), 0), (15, 0.9, (160, 160, 80, 160), 1))
    mask = painted(instances(things, 80), prototypes, ROWS, COLUMNS)
    assert mask.shape == (ROWS, COLUMNS)
    assert np.unique(mask).tolist() == [0, 1, 16]
    assert (mask[80:240, 120:160] == 16).all()
    assert (mask[120:200, 160:200] == 1).all()
    assert (mask == 16).sum() == 160 * 40
    assert (mask == 1).sum() == 80 * 40
    nothing = painted(instances(answer(), 80), prototypes, ROWS, COLUMNS)
    assert not nothing.any()


@pytest.mark.parametrize("size", [(192, 320), (100, 640), (720, 300)])
def test_a_frame_keeps_its_proportions_there_and_back(tmp_path: Path, size: tuple[int, int]) -> None:
    yolo = workload(tmp_path)
    frame = np.full((*size, 3), 255, np.uint8)
    image = yolo.prepare(frame)["image"]
    assert image.shape == (1, 3, ROWS, COLUMNS)
    white = image[0, 0] == 1
    rows, columns = white.any(1).sum(), white.any(0).sum()
    assert rows / columns == pytest.approx(size[0] / size[1], rel=0.02)
    assert white.sum() == rows * columns
    # A thing that fills the field fills the frame.
    boxes = answer((3, 0.9, (COLUMNS / 2, ROWS / 2, COLUMNS, ROWS), 0))[None]
    prototypes = np.ones((1, 32, ROWS // 4, COLUMNS // 4), np.float32)
    mask = yolo.decide({"boxes": boxes, "prototypes": prototypes}, *size)
    assert mask.shape == size
    assert (mask == 4).all()


def test_without_the_library_or_the_weights_it_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Unavailable, match="ultralytics is not installed") as caught:
        workload(tmp_path).fingerprint()
    assert "pip install" in caught.value.remedy
    assert "AGPL-3.0" in caught.value.remedy
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(Unavailable, match="no weights") as caught:
        workload(tmp_path).fingerprint()
    assert "AGPL-3.0" in caught.value.remedy
    with pytest.raises(Unavailable, match=r"yolov8n-seg.pt is not here"):
        workload(tmp_path, tmp_path / "yolov8n-seg.pt").fingerprint()
    (tmp_path / "yolov8n-seg.pt").write_bytes(b"pickle")
    with pytest.raises(KpiError, match="is a pickle") as refused:
        workload(tmp_path, tmp_path / "yolov8n-seg.pt").fingerprint()
    assert "allow_pickle" in refused.value.remedy
    assert "weights" in workload(tmp_path, tmp_path / "yolov8n-seg.pt", allow_pickle=True).fingerprint()
