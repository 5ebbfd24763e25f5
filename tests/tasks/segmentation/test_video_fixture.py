"""The shipped clip, masks and weights are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.video import CHECKPOINT, CHECKPOINT_SHA256, CLIP, Shapes
from fixtures.video.frames import clip_frames
from harness.core.errors import Unavailable
from harness.measure.media.decoding import look_at, read_frames
from harness.tasks.segmentation.masks import mean_iou
from harness.workloads.base import Settings


@pytest.fixture
def shapes(tmp_path: Path) -> Shapes:
    return Shapes(
        Settings(
            name="video", task="video-segmentation", checkpoint=None, checkpoint_sha256=None, model=None, data=None,
            allow_pickle=False, trust_remote_code=False, cache=tmp_path,
        )
    )  # fmt: skip


def test_the_clip_shows_what_was_drawn_and_its_masks_say_what(shapes: Shapes) -> None:
    drawn, masks = clip_frames(), shapes.own_masks()
    assert masks is not None
    assert CLIP.stat().st_size <= 500_000
    info = look_at(CLIP)
    assert (info.width, info.height, info.rate, info.frames) == (320, 192, 30, 240)
    decoded = list(read_frames(CLIP))
    assert len(decoded) == len(masks) == len(drawn) == 240
    for number in range(0, 240, 12):
        pixels, mask = drawn[number]
        # Encoding loses noise and little else; drawing elsewhere may round the corner of a shape otherwise.
        seen, wanted = (a.reshape(24, 8, 40, 8, 3).mean(axis=(1, 3)) for a in (decoded[number], pixels))
        assert np.abs(seen - wanted).mean() < 4
        assert (masks[number] != mask).mean() < 0.001
    shown = [np.bincount(mask.ravel(), minlength=5)[1:] for mask in masks]
    assert min(counts[counts > 0].min() for counts in shown) >= 1000
    assert len({len(np.unique(mask)) for mask in masks}) > 1  # some frames lack a kind


def test_the_weights_are_pinned_whole_and_segment_well_but_not_perfectly(shapes: Shapes) -> None:
    assert CHECKPOINT_SHA256 in shapes.fingerprint()
    assert CHECKPOINT.stat().st_size <= 7_000_000
    model = shapes.model()
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
        assert "running_var" not in name or (value >= 0).all(), name
    masks = shapes.own_masks()
    assert masks is not None
    scores = []
    for number, frame in enumerate(read_frames(CLIP)):
        if number % 20 == 0:
            with torch.inference_mode():
                logits = model(torch.from_numpy(shapes.prepare(frame)["image"]))
            assert logits.shape == (1, 5, 96, 160)
            scores.append(mean_iou(shapes.decide({"logits": logits.numpy()}, 192, 320), masks[number], 5))
    # Good, but not perfect: a perfect score would hide what quantization costs.
    assert 0.7 < np.mean(scores) < 0.95


def test_passes_calibrate_on_frames_that_the_clip_does_not_hold(shapes: Shapes) -> None:
    split = shapes.split("validation")
    inputs = split.inputs(0, 3)["image"]
    assert inputs.shape == (3, 3, 96, 160)
    assert inputs.dtype == np.float32
    assert split.labels.shape == (200, 96, 160)
    assert set(np.unique(split.labels[:20])) == {0, 1, 2, 3, 4}
    again = shapes.split("validation").inputs(0, 3)["image"]
    assert (inputs == again).all()
    with pytest.raises(Unavailable, match="evaluation"):
        shapes.split("evaluation")
