"""Pictures with a mask each, in folders or in a COCO file: classes in the input's pixels, mistakes in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.core.data_files import DataFiles, Preprocess
from harness.core.errors import KpiError, Unavailable
from harness.workloads.files.coco import CocoSamples
from harness.workloads.files.masked import MaskedPictures, read_mask
from harness.workloads.files.opening import open_samples
from harness.workloads.files.pictures import as_input
from harness.workloads.files.signature import Port, Signature

MASK = np.random.default_rng(0).integers(0, 5, (20, 40)).astype(np.uint8)
MASK[3, 4:9] = 255


def signature(height: int = 60, width: int = 80) -> Signature:
    return Signature((Port("image", "float32", (None, 3, height, width)),), (), "")


def folders(root: Path, mask: Image.Image | None = None) -> Path:
    (root / "images" / "a").mkdir(parents=True)
    (root / "masks" / "a").mkdir(parents=True)
    Image.new("RGB", (40, 20), "red").save(root / "images" / "a" / "1.jpg")
    Image.new("RGB", (40, 20), "blue").save(root / "images" / "2.png")
    (mask or Image.fromarray(MASK)).save(root / "masks" / "a" / "1.png")
    Image.fromarray(np.zeros_like(MASK)).save(root / "masks" / "2.png")
    return root / "images"


def samples(folder: Path, how: Preprocess | None = None, **more: Any) -> MaskedPictures:
    given = {"masks": "masks", "drawn": "pixels", "preprocess": how or Preprocess((60, 80), fit="letterbox"), **more}
    size = how.size if how else (60, 80)
    found = open_samples(folder, signature(*size), "m.onnx", DataFiles(**given))
    assert isinstance(found, MaskedPictures)
    return found


def test_masks_lie_where_their_pictures_lie(tmp_path: Path) -> None:
    found = samples(folders(tmp_path))
    assert found.labels.shape == (2, 60, 80)
    # By name: 2.png, then a/1.jpg; twice as large, ten rows further down.
    assert set(np.unique(found.labels[0])) == {0, 255}
    wanted = np.full((60, 80), 255)
    wanted[10:50] = MASK.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(found.labels[1], wanted)
    assert found.take(slice(0, 2))["image"].shape == (2, 3, 60, 80)


def test_the_middle_is_cut_out_of_both(tmp_path: Path) -> None:
    # A picture whose colour says its class shows whether the mask is cut as it is.
    folder = folders(tmp_path)
    Image.fromarray(np.where(MASK == 255, 0, MASK)[..., None].repeat(3, axis=2)).save(folder / "2.png")
    Image.fromarray(np.where(MASK == 255, 0, MASK)).save(tmp_path / "masks" / "2.png")
    how = Preprocess((24, 24), resize=40, interpolation="nearest", scale=1.0)
    picture = as_input(folder / "2.png", how, "float32")[0]
    np.testing.assert_array_equal(samples(folder, how).labels[0], picture)


def test_palettes_hold_classes(tmp_path: Path) -> None:
    painted = Image.fromarray(MASK)
    painted = painted.convert("P")
    painted.putpalette(list(np.random.default_rng(1).integers(0, 256, 768)))
    painted.putdata(MASK.ravel().tolist())
    painted.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), MASK)
    Image.fromarray(MASK > 2).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png"), MASK > 2)
    Image.fromarray(MASK.astype(np.uint16)).save(tmp_path / "w.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "w.png"), MASK)


def test_another_value_may_not_count(tmp_path: Path) -> None:
    mask = np.where(MASK == 255, 1, MASK)
    found = samples(folders(tmp_path, Image.fromarray(mask)), Preprocess((20, 40)), ignore=0)
    np.testing.assert_array_equal(found.labels[1], np.where(mask == 0, 255, mask))


def test_mistakes_are_told(tmp_path: Path) -> None:
    folder = folders(tmp_path)
    for more, told in (
        ({"masks": None}, "nothing says where their masks are"),
        ({"drawn": "boxes"}, "is for a task that knows the class of each pixel"),
        ({"classes": ("sky", "road")}, r"mask 1\.png holds the value 2: classes are 0 to 1, and 255 does not count"),
        ({"preprocess": None}, "nothing says how they become inputs"),
    ):
        with pytest.raises(KpiError, match=told):
            _ = samples(folder, **more).labels
    with pytest.raises(Unavailable, match=r"the folder of masks .* is not here"):
        samples(folder, masks="painted")
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(KpiError, match=r"1 of 2 pictures have no mask, such as 2\.png"):
        samples(folder)


BAD: dict[str, tuple[Any, str]] = {
    "colours": (Image.new("RGB", (40, 20)), r"mask 1\.png has colours \(RGB\)"),
    "another size": (Image.new("L", (20, 40)), r"mask 1\.png has 20 x 40 pixels, its picture 40 x 20"),
    "many": (Image.fromarray(np.full((20, 40), 1000, np.uint16)), r"holds 1000 to 1000, classes are 0 to 253"),
    "too many": (Image.fromarray(np.full((20, 40), 254, np.uint8)), r"holds the value 254: classes are 0 to 253"),
}


@pytest.mark.parametrize(("mask", "told"), BAD.values(), ids=BAD)
def test_bad_masks_are_told(tmp_path: Path, mask: Image.Image, told: str) -> None:
    with pytest.raises(KpiError, match=told):
        _ = samples(folders(tmp_path, mask)).labels


def test_a_damaged_mask_is_told(tmp_path: Path) -> None:
    folder = folders(tmp_path)
    (tmp_path / "masks" / "2.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(KpiError, match=r"mask 2\.png can't be read"):
        _ = samples(folder).labels


def coco(folder: Path, **more: Any) -> CocoSamples:
    Image.new("RGB", (40, 20)).save(folder / "a.png")
    tables = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 8, "segmentation": [[5, 5, 9, 5, 9, 9, 5, 9]]},
            {"id": 2, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 20, 0, 20, 20, 0, 20]]},
        ],
    }
    (folder / "i.json").write_text(json.dumps(tables), encoding="utf-8")
    data = DataFiles(preprocess=Preprocess((20, 40)), drawn="pixels", **more)
    return CocoSamples(folder / "i.json", signature(20, 40), "m.onnx", data)


def test_objects_of_a_coco_file_are_painted_small_upon_large(tmp_path: Path) -> None:
    wanted = np.zeros((20, 40))
    wanted[:, :20] = 1
    wanted[5:9, 5:9] = 2
    np.testing.assert_array_equal(coco(tmp_path).labels[0], wanted)
    named = coco(tmp_path, classes=("dog", "background", "cat")).labels[0]
    np.testing.assert_array_equal(named, np.array([1, 2, 0])[wanted.astype(int)])
    bare = coco(tmp_path, classes=("dog", "cat")).labels[0]
    np.testing.assert_array_equal(bare, np.array([255, 1, 0])[wanted.astype(int)])
