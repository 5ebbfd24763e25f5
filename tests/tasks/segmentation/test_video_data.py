"""A user's own clip and masks, read and checked before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import KpiError, Unavailable
from harness.measure.media.encoding import Encoder
from harness.tasks.segmentation.workload import MASKS, VideoSegmentation, clip_in, nearest
from harness.workloads.base import Settings
from tests.tasks.segmentation.test_video_scenarios import Bright

COUNT = 6


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a clip and a mask for each frame."""
    folder = tmp_path / "mine"
    (folder / "masks").mkdir(parents=True)
    with Encoder(folder / "Own Clip.MP4", 32, 24, Fraction(30)) as out:
        for number in range(COUNT):
            out.write(np.full((24, 32, 3), 30 * number, np.uint8))
            Image.fromarray(np.full((24, 32), number % 3, np.uint8)).save(folder / "masks" / f"{number:03}.png")
    return folder


def workload(data: Path) -> VideoSegmentation:
    return Bright(
        Settings(
            name="bright", task="video-segmentation", checkpoint=None, checkpoint_sha256=None, model=None, data=data,
            allow_pickle=False, trust_remote_code=False, cache=data.parent,
        )
    )  # fmt: skip


def test_samples_hold_tensors_the_clip_and_its_masks(mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples"
    out.mkdir()
    workload(mine).write_samples(out, 4)
    brightness = np.load(out / "brightness.npy")
    assert brightness.shape == (4, 1)
    assert brightness[:, 0] == pytest.approx([0, 30, 60, 90], abs=3)
    assert clip_in(out).read_bytes() == (mine / "Own Clip.MP4").read_bytes()
    with np.load(out / MASKS) as arrays:
        assert arrays["masks"].shape == (COUNT, 24, 32)
        assert arrays["masks"][:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_clip_alone_has_no_masks(mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples"
    out.mkdir()
    workload(mine / "Own Clip.MP4").write_samples(out, 64)
    assert len(np.load(out / "brightness.npy")) == COUNT
    assert not (out / MASKS).exists()


def test_the_fingerprint_follows_clip_and_masks(mine: Path) -> None:
    before = workload(mine).data_fingerprint()
    assert workload(mine).data_fingerprint() == before
    Image.fromarray(np.ones((24, 32), np.uint8)).save(mine / "masks/000.png")
    assert workload(mine).data_fingerprint() != before


def rgb(folder: Path) -> None:
    Image.new("RGB", (32, 24)).save(folder / "masks/003.png")


def large(folder: Path) -> None:
    Image.new("L", (64, 24)).save(folder / "masks/003.png")


def seventh(folder: Path) -> None:
    Image.fromarray(np.full((24, 32), 7, np.uint8)).save(folder / "masks/003.png")


WRONG: dict[str, Callable[[Path], object]] = {
    "Own Clip.MP4 has 6 frames of 32 x 24, its masks are 5 of 32 x 24": lambda f: (f / "masks/003.png").unlink(),
    "name class 7, the model knows 3": seventh,
    "the mask 003.png can't be read": lambda f: (f / "masks/003.png").write_bytes(b"no picture"),
    "the mask 003.png has the mode RGB": rgb,
    "the mask 003.png has another size than those before": large,
    "mine holds 2 files, one clip is expected": lambda f: (f / "more.mp4").write_bytes(b""),
    "the clip Own Clip.MP4 is empty": lambda f: (f / "Own Clip.MP4").write_bytes(b""),
    "mine holds 0 files, one clip is expected": lambda f: (f / "Own Clip.MP4").unlink(),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_does_not_fit_is_named(mine: Path, tmp_path: Path, said: str) -> None:
    WRONG[said](mine)
    with pytest.raises(KpiError) as caught:
        workload(mine).write_samples(tmp_path, 4)
    assert said in caught.value.message
    assert caught.value.remedy


def test_a_clip_that_is_not_here_is_unavailable(tmp_path: Path) -> None:
    lost = workload(tmp_path / "none.mp4")
    for ask in (lost.data_fingerprint, lambda: lost.write_samples(tmp_path, 4)):
        with pytest.raises(Unavailable, match=r"none.mp4 is not here"):
            ask()


def test_the_nearest_pixel_decides() -> None:
    mask = np.array([[1, 2], [3, 4]], np.uint8)
    assert nearest(mask, 4, 4).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert nearest(nearest(mask, 5, 7), 2, 2).tolist() == mask.tolist()
    assert nearest(mask, 2, 2) is mask
