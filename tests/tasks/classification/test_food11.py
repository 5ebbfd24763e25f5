"""The food classifier's data and weights: pinned, byte-exact, and clear about what a user got wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.food11 import CHECKPOINT, CHECKPOINT_SHA256, Food11
from fixtures.food11.images import CLASSES, DIGESTS, SPLITS, digest, label
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import Settings
from harness.workloads.checkpoint import file_digest


def settings(tmp_path: Path, **changes: object) -> Settings:
    plain: dict[str, object] = {
        "name": "food11",
        "task": "image-classification",
        "checkpoint": None,
        "checkpoint_sha256": None,
        "model": None,
        "data": None,
        "allow_pickle": False,
        "trust_remote_code": False,
        "cache": str(tmp_path / "cache"),
    }
    return Settings.from_json({**plain, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The public layout with two images a class, of other sizes than the network takes."""
    random = np.random.default_rng(0)
    for split in ("training", "validation", "evaluation"):
        for name in CLASSES:
            place = tmp_path / "food" / split / name
            place.mkdir(parents=True)
            for number in range(2):
                pixels = random.integers(0, 256, (300, 400 + 50 * number, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.jpg")
    return tmp_path / "food"


def test_the_images_are_the_same_bytes_everywhere() -> None:
    assert set(DIGESTS) == set(SPLITS)
    assert {split: digest(split, 32) for split in SPLITS} == dict(DIGESTS)


def test_the_evaluation_split_is_as_large_as_the_original() -> None:
    assert SPLITS["evaluation"] == 3347
    counts = np.bincount([label("evaluation", i) for i in range(3347)], minlength=11)
    assert counts.min() >= 300


def test_the_shipped_checkpoint_is_the_pinned_one() -> None:
    assert file_digest(CHECKPOINT) == CHECKPOINT_SHA256
    assert CHECKPOINT.stat().st_size < 10_000_000


def test_a_split_is_normalized_and_stable(tmp_path: Path) -> None:
    split = Food11(settings(tmp_path)).split("training")
    first, again = split.inputs(0, 2)["image"], split.inputs(0, 2)["image"]
    assert first.shape == (2, 3, 224, 224)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert -2.2 < first.min() < 0 < first.max() < 2.7


def test_a_folder_of_images_replaces_the_generated_ones(tmp_path: Path, folder: Path) -> None:
    workload = Food11(settings(tmp_path, data=str(folder)))
    split = workload.split("evaluation")
    assert len(split) == 22
    assert list(split.labels[:11]) == list(range(11))
    assert split.inputs(0, 3)["image"].shape == (3, 3, 224, 224)
    before = workload.fingerprint()
    (folder / "training/Bread/9.jpg").write_bytes((folder / "training/Bread/0.jpg").read_bytes())
    from fixtures.food11.folders import _files

    _files.cache_clear()
    assert workload.fingerprint() != before


def test_a_missing_class_is_named(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(folder / "evaluation/Soup")
    with pytest.raises(KpiError, match="lacks the class Soup"):
        Food11(settings(tmp_path, data=str(folder))).fingerprint()


def test_an_unreadable_image_is_named(tmp_path: Path, folder: Path) -> None:
    (folder / "evaluation/Bread/0.jpg").write_bytes(b"not a picture")
    with pytest.raises(KpiError, match=r"0\.jpg can't be read"):
        Food11(settings(tmp_path, data=str(folder))).split("evaluation").inputs(0, 1)


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is not here"):
        Food11(settings(tmp_path, data=str(tmp_path / "nowhere"))).fingerprint()


def test_a_wrong_digest_is_refused(tmp_path: Path) -> None:
    wrong = settings(tmp_path, checkpoint=str(CHECKPOINT), checkpoint_sha256="0" * 64)
    with pytest.raises(KpiError, match="pinned is 0000"):
        Food11(wrong).fingerprint()


def test_a_pickle_is_refused_unless_allowed(tmp_path: Path) -> None:
    import torch

    from fixtures.food11.network import network

    pickled = tmp_path / "weights.pth"
    torch.save(network().state_dict(), pickled)
    with pytest.raises(KpiError, match="is a pickle") as caught:
        Food11(settings(tmp_path, checkpoint=str(pickled))).fingerprint()
    assert "allow_pickle" in caught.value.remedy
    allowed = Food11(settings(tmp_path, checkpoint=str(pickled), allow_pickle=True))
    assert allowed.fingerprint()
    assert not allowed.model().training


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(CHECKPOINT)
    state["classifier.1.weight"] = state["classifier.1.weight"][:10].contiguous()
    state["classifier.1.bias"] = state["classifier.1.bias"][:10].contiguous()
    save_file(state, tmp_path / "ten.safetensors")
    with pytest.raises(KpiError, match=r"classifier.1.*\(10") as caught:
        Food11(settings(tmp_path, checkpoint=str(tmp_path / "ten.safetensors"))).model()
    assert "another number of classes" in caught.value.remedy


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(CHECKPOINT.read_bytes()[:100_000])
    with pytest.raises(KpiError, match="can't be read"):
        Food11(settings(tmp_path, checkpoint=str(tmp_path / "cut.safetensors"))).model()


def test_food11_is_cut_to_its_most_telling_channels() -> None:
    """A cut network keeps the full one's weights, channel for channel, and takes the same pictures."""
    import torch

    from fixtures.food11.network import network
    from fixtures.food11.smaller import Shrinking, cut

    full = network()
    same = cut(full, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(full.state_dict().values(), same.state_dict().values(), strict=True))
    half = cut(full, 0.5)
    kept = {tuple(row.flatten().tolist()) for row in full.features[0][0].weight.detach()}
    assert all(tuple(row.flatten().tolist()) in kept for row in half.features[0][0].weight.detach())
    small = Shrinking(0.5, 64)
    small.network = half
    with torch.inference_mode():
        assert small.eval()(torch.zeros(2, 3, 224, 224)).shape == (2, 11)


def test_shipped_narrow_weights_are_as_pinned(tmp_path: Path) -> None:
    from fixtures.food11.smaller import SHIPPED, checkpoint

    for width, pixels in SHIPPED:
        found = checkpoint(width, pixels)
        assert found is not None
        assert file_digest(found[0]) == found[1]
        assert found[0].stat().st_size < 10_000_000
    # The weights that were trained nearest to a size; those of the reference are one of them.
    assert checkpoint(1.0, 128) == checkpoint(1.0, 144) != checkpoint(1.0, 160)
    assert checkpoint(1.0, 176) == checkpoint(1.0, 160) != checkpoint(1.0, 208)
    made = Food11(settings(tmp_path)).student(1.0, 160)
    assert made.trained
    assert not Food11(settings(tmp_path)).student(0.5, 160).trained
    with pytest.raises(Unavailable, match="food11 has pictures of 224 pixels, not 300"):
        Food11(settings(tmp_path)).student(1.0, 300)
