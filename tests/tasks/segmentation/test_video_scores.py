"""Intersection over union, held against torchmetrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError, Unavailable
from harness.tasks.segmentation.masks import ious, mean_iou
from harness.tasks.segmentation.metrics.video import Miou, ParityPixels
from harness.tasks.segmentation.scenarios.segment import Segmented
from harness.workloads.torchvision_compat import import_torchvision

MASKS = Path(__file__).resolve().parents[3] / "fixtures/video/masks.npz"


def theirs(found: np.ndarray, wanted: np.ndarray, classes: int, *, per_class: bool = False) -> np.ndarray:
    """torchmetrics' figures of frames."""
    import_torchvision()  # torchmetrics would import it by itself, and fail next to a CPU build of torch
    from torchmetrics.functional.segmentation import mean_iou as reference

    pair = [torch.from_numpy(masks.astype(np.int64)) for masks in (found, wanted)]
    scores = reference(*pair, num_classes=classes, input_format="index", per_class=per_class)
    return np.asarray(scores.numpy(), np.float64)


def segmented(found: np.ndarray, wanted: np.ndarray | None, classes: int) -> Segmented:
    return Segmented(found, wanted, tuple(f"class {n}" for n in range(classes)))


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_random_masks_score_as_in_torchmetrics(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    # Few classes of many: some are in one mask only, some in none.
    found, wanted = (random.choice(random.integers(0, classes, 3), (3, 5, 6)).astype(np.uint8) for _ in range(2))
    ours = Miou.scores(segmented(found, wanted, classes), None)
    assert ours == pytest.approx(theirs(found, wanted, classes), abs=1e-6)
    for number in range(3):
        own = ious(found[number], wanted[number], classes)
        # It writes -1 where neither mask holds the class.
        assert np.where(np.isnan(own), -1, own) == pytest.approx(
            theirs(found[number : number + 1], wanted[number : number + 1], classes, per_class=True)[0], abs=1e-6
        )


def test_the_masks_of_the_clip_score_as_in_torchmetrics() -> None:
    with np.load(MASKS) as arrays:
        wanted = arrays["masks"][::24]
    found = np.roll(wanted, (3, 2), axis=(1, 2))
    assert len({len(np.unique(mask)) for mask in wanted}) > 1  # some frames lack a class
    ours = Miou.scores(segmented(found, wanted, 5), None)
    assert ours == pytest.approx(theirs(found, wanted, 5), abs=1e-6)
    assert 0.5 < np.mean(ours) < 0.95


def test_over_a_clip_the_object_of_torchmetrics_agrees_where_every_frame_holds_every_class() -> None:
    import_torchvision()
    from torchmetrics.segmentation import MeanIoU

    random = np.random.default_rng(4)
    wanted = random.integers(0, 5, (4, 40, 50)).astype(np.uint8)
    found = np.where(random.random(wanted.shape) < 0.7, wanted, random.integers(0, 5, wanted.shape)).astype(np.uint8)
    total = MeanIoU(num_classes=5, input_format="index")
    total.update(torch.from_numpy(found.astype(np.int64)), torch.from_numpy(wanted.astype(np.int64)))
    assert np.mean(Miou.scores(segmented(found, wanted, 5), None)) == pytest.approx(float(total.compute()), abs=1e-6)


def test_right_is_one_and_wrong_is_zero() -> None:
    ones, zeros = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    assert mean_iou(ones, ones, 3) == 1
    assert mean_iou(ones, zeros, 3) == 0
    half = np.array([[0, 1]], np.uint8)
    assert mean_iou(half, np.array([[1, 1]], np.uint8), 3) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="can't be compared"):
        mean_iou(ones, half, 3)


def test_no_masks_no_score_but_parity() -> None:
    found = np.array([[[0, 1], [1, 1]], [[0, 0], [0, 0]]], np.uint8)
    with pytest.raises(Unavailable, match="no masks") as caught:
        Miou.scores(segmented(found, None, 2), None)
    assert "masks/*.png" in caught.value.remedy
    other = np.zeros_like(found)
    assert ParityPixels.scores(segmented(found, None, 2), segmented(other, None, 2)) == [0.25, 1.0]
    with pytest.raises(KpiError, match="different clips"):
        ParityPixels.scores(segmented(found, None, 2), segmented(other[:1], None, 2))
