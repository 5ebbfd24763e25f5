"""COCO files as data: which pictures, what is drawn in the input's pixels, and every likely mistake in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coded
from pycocotools.coco import COCO

from harness.core.data_files import DataFiles, Preprocess
from harness.core.errors import KpiError, Unavailable
from harness.workloads.files.coco import CocoSamples
from harness.workloads.files.coco_masks import mask_of
from harness.workloads.files.objects import packed, runs_of, unpacked
from harness.workloads.files.pictures import fitted
from harness.workloads.files.signature import Port, Signature

Json = dict[str, Any]
HOW = Preprocess((60, 80), fit="letterbox")


def said() -> Json:
    """Two pictures of 40 x 20 and one of 20 x 40, the third without a box."""
    return {
        "images": [
            {"id": 9, "file_name": "c.png", "width": 20, "height": 40},
            {"id": 2, "file_name": "a.png", "width": 40, "height": 20},
            {"id": 5, "file_name": "b.png", "width": 40, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 7, "bbox": [4, 8, 10, 20], "area": 100, "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 3, "bbox": [10, 5, 20, 10], "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [0.5, 0, 4.5, 2.5], "area": 11.25, "iscrowd": 0},
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def samples(folder: Path, tables: Any = None, how: Preprocess | None = HOW, **more: Any) -> CocoSamples:
    for number, image in enumerate(said()["images"]):
        colours = np.random.default_rng(number).integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
        Image.fromarray(colours).save(folder / image["file_name"])
    given = said() if tables is None else tables
    text = given if isinstance(given, str) else json.dumps(given)
    (folder / "instances.json").write_text(text, encoding="utf-8")
    height, width = how.size if how else (60, 80)
    signature = Signature((Port("image", "float32", (None, 3, height, width)),), (), "")
    return CocoSamples(folder / "instances.json", signature, "m.onnx", DataFiles(preprocess=how, **more))


def boxes(found: CocoSamples) -> list[list[list[float]]]:
    return [[row for row in rows.tolist() if row[0] == row[0]] for rows in found.labels]


def test_boxes_follow_their_pictures(tmp_path: Path) -> None:
    # x, y, width, height, class, area, crowd
    assert boxes(samples(tmp_path)) == [
        [[31, 12, 15, 30, 1, 225, 0]],
        [[20, 20, 40, 20, 0, 800, 1], [1, 10, 9, 5, 1, 45, 0]],
        [],
    ]
    assert boxes(samples(tmp_path, how=Preprocess((60, 80), fit="pad")))[0] == [[6, 12, 15, 30, 1, 225, 0]]
    assert boxes(samples(tmp_path, how=Preprocess((60, 80))))[0] == [[16, 12, 40, 30, 1, 600, 0]]


def test_classes_are_those_of_the_model(tmp_path: Path) -> None:
    found = boxes(samples(tmp_path, classes=("bird", "dog", "cat")))
    assert [[row[4] for row in rows] for rows in found] == [[1], [2, 1], []]
    with pytest.raises(KpiError, match=r'category unknown class "cat"; did you mean "cats"'):
        samples(tmp_path, classes=("dog", "cats"))
    # A category that no box has need not be one of the model's.
    tables = said()
    tables["annotations"] = [one for one in tables["annotations"] if one["category_id"] == 7]
    assert [[row[4] for row in rows] for rows in boxes(samples(tmp_path, tables, classes=("dog",)))] == [[0], [0], []]


def test_slices_and_clusters_are_fields_of_images(tmp_path: Path) -> None:
    tables = said()
    assert (samples(tmp_path).clusters, samples(tmp_path).slices) == (None, None)
    for number, image in enumerate(tables["images"]):
        image |= {"video_id": number // 2, "light": "day" if number else "night"}
    found = samples(tmp_path, tables, cluster="video_id", slice="light")
    assert (found.clusters, found.slices) == ([0, 0, 1], ["night", "day", "day"])
    del tables["images"][0]["light"]
    with pytest.raises(KpiError, match='image 9 has no "light", others have'):
        _ = samples(tmp_path, tables, slice="light").slices


def test_a_picture_that_was_turned(tmp_path: Path) -> None:
    samples(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(tmp_path / "a.png") as opened:
        opened.convert("RGB").rotate(90, expand=True).save(tmp_path / "a.jpg", exif=exif)
    assert boxes(samples(tmp_path, edited("images", 1, file_name="a.jpg")))[1][0][:4] == [20, 20, 40, 20]
    turned = edited("images", 1, file_name="a.jpg", width=20, height=40)
    turned["annotations"] = []
    with pytest.raises(KpiError, match=r"a\.jpg has 40 x 20 pixels, it says 20 x 40.*EXIF"):
        _ = samples(tmp_path, turned).labels


def edited(table: str, number: int, **values: Any) -> Json:
    tables = said()
    tables[table][number] |= values
    return tables


def without(table: str, number: int, key: str) -> Json:
    tables = said()
    del tables[table][number][key]
    return tables


MISTAKES: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", r"instances\.json is not JSON"),
    "no text": ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), r"instances\.json is not JSON"),
    "a list": ([1], "is not a COCO file"),
    "results": ({"boxes": []}, 'is not a COCO file: it has no list "images"'),
    "no annotations": ({"images": said()["images"]}, 'it has no list "annotations"'),
    "no pictures": ({"images": [], "annotations": [], "categories": []}, "has no images"),
    "no table": ({**said(), "images": [1]}, r"images\[0\] is 1, expected a table"),
    "an annotation": ({**said(), "annotations": ["x"]}, r"annotations\[0\] is 'x', expected a table"),
    "no id": (edited("images", 0, id=None), r"images\[0\]: id = None, expected a whole number or text"),
    "an id twice": (edited("images", 0, id=2), "images has the id 2 twice"),
    "a category twice": (edited("categories", 0, id=3), "categories has the id 3 twice"),
    "no size": (without("images", 1, "width"), r'images\[1\] has no "width"'),
    "an odd size": (edited("images", 1, width="40"), r"images\[1\]: width = '40', expected a number of pixels"),
    "a picture": (edited("annotations", 0, image_id=4), "annotation 1 is of image 4, which is not among the images"),
    "a list for a picture": (edited("annotations", 0, image_id=[9]), r"annotation 1 is of image '\[9\]'"),
    "a category": (edited("annotations", 1, category_id=1), "annotation 2 is of category 1, which .* categories: "),
    "no box": (edited("annotations", 1, bbox=None), "annotation 2 has bbox = None"),
    "three": (edited("annotations", 1, bbox=[1, 2, 3]), r"annotation 2 has bbox = \[1, 2, 3\]"),
    "infinite": (edited("annotations", 1, bbox=[1, 2, 3, float("nan")]), r"has bbox = \[1, 2, 3, nan\]"),
    "negative": (edited("annotations", 1, bbox=[9, 9, -3, 4]), r"\[9, 9, -3, 4\], expected \[x, y, width, height\]"),
    "area": (edited("annotations", 1, area="big"), "has area = 'big', expected a number of pixels"),
    "crowd": (edited("annotations", 1, iscrowd=2), "has iscrowd = 2, expected 0 or 1"),
    "another size": (edited("images", 1, width=80, height=40), r"a\.png has 40 x 20 pixels, it says 80 x 40"),
    "lost": (edited("images", 1, file_name="z.png"), r"picture z\.png is not in .*pictures = "),
}


@pytest.mark.parametrize(("tables", "told"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(tmp_path: Path, tables: Any, told: str) -> None:
    with pytest.raises(KpiError, match=told):
        _ = samples(tmp_path, tables).labels


def test_corners_in_place_of_sizes_are_seen(tmp_path: Path) -> None:
    tables = said()
    for one in tables["annotations"]:
        x, y, wide, high = one["bbox"]
        one["bbox"] = [x + 15, y + 15, x + 15 + wide, y + 15 + high]
    with pytest.raises(KpiError, match=r"3 of 3 boxes reach out of their pictures.*not two corners"):
        samples(tmp_path, tables)


def test_shares_in_place_of_pixels_are_seen(tmp_path: Path) -> None:
    tables = said()
    for one in tables["annotations"]:
        one["bbox"] = [value / 100 for value in one["bbox"]]
    with pytest.raises(KpiError, match=r"no box is larger than a pixel.*not shares of the picture"):
        samples(tmp_path, tables)


def test_a_mark_of_the_byte_order_is_no_fault(tmp_path: Path) -> None:
    count = samples(tmp_path).count
    file = tmp_path / "instances.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    signature = Signature((Port("image", "float32", (None, 3, 60, 80)),), (), "")
    assert CocoSamples(file, signature, "m.onnx", DataFiles(preprocess=HOW)).count == count


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="holds pictures, and nothing says how they become inputs"):
        samples(tmp_path, how=None)
    with pytest.raises(KpiError, match=r"preprocess\.resize cuts out the middle of a picture"):
        samples(tmp_path, how=Preprocess((60, 80), resize=90))
    signature = Signature((Port("image", "float32", (None, 3, 64, 64)),), (), "")
    with pytest.raises(Unavailable, match=r"none\.json is not here"):
        CocoSamples(tmp_path / "none.json", signature, "m.onnx", DataFiles(preprocess=HOW))
    with pytest.raises(KpiError, match=r"takes image .*3x64x64.*, preprocess makes 3x60x80"):
        CocoSamples(tmp_path / "instances.json", signature, "m.onnx", DataFiles(preprocess=HOW))


# ---- masks --------------------------------------------------------------------------------------------------------


TRIANGLE = [4.0, 8.0, 14.0, 8.0, 9.0, 28.0]


def masked() -> Json:
    tables = said()
    runs = np.zeros((20, 40), bool)
    runs[5:15, 10:30] = True
    plain = {"size": [20, 40], "counts": runs_of(runs).tolist()}
    short = coded.encode(np.asfortranarray(runs.astype(np.uint8)))
    tables["annotations"][0]["segmentation"] = [TRIANGLE]
    tables["annotations"][1]["segmentation"] = plain
    tables["annotations"][2] |= {"bbox": [10, 5, 20, 10], "segmentation": short | {"counts": short["counts"].decode()}}
    return tables


def test_masks_follow_their_pictures(tmp_path: Path) -> None:
    found = samples(tmp_path, masked(), how=Preprocess((80, 80), fit="letterbox"), drawn="objects")
    first, second, third = (list(unpacked(row, 7)) for row in found.labels)
    assert third == []
    assert [head[4] for head, _ in first + second] == [1, 0, 1]
    wanted = np.zeros((80, 80), bool)
    wanted[30:50, 20:60] = True
    for _, runs in second:
        np.testing.assert_array_equal(runs, runs_of(wanted))
    # Twice as large, 20 pixels to the right.
    moved = np.array(TRIANGLE).reshape(-1, 2) * 2 + (20, 0)
    drawn = coded.decode(coded.merge(coded.frPyObjects([moved.ravel().tolist()], 80, 80)))
    np.testing.assert_array_equal(first[0][1], runs_of(drawn))


def test_of_a_picture_that_is_as_large_as_the_input_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    samples(tmp_path, masked())
    truth = COCO(str(tmp_path / "instances.json"))
    how = Preprocess((20, 40))
    for number in (2, 3):
        own = mask_of(truth.anns[number]["segmentation"], (20, 40), fitted((40, 20), how), how.size)
        np.testing.assert_array_equal(own, truth.annToMask(truth.anns[number]).astype(bool))
    tall = Preprocess((40, 20))
    own = mask_of([TRIANGLE], (40, 20), fitted((20, 40), tall), tall.size)
    np.testing.assert_array_equal(own, truth.annToMask(truth.anns[1]).astype(bool))


@pytest.mark.parametrize("seed", range(3))
def test_runs_are_those_of_pycocotools(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 5)) < 0.5
    back = coded.decode(coded.frPyObjects({"size": [7, 5], "counts": runs_of(mask).tolist()}, 7, 5))
    np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_the_short_form_of_runs_is_read(share: float) -> None:
    mask = np.random.default_rng(4).random((300, 200)) < share
    short = coded.encode(np.asfortranarray(mask.astype(np.uint8)))
    how = Preprocess((300, 200))
    own = mask_of({**short, "counts": short["counts"].decode()}, (300, 200), fitted((200, 300), how), how.size)
    np.testing.assert_array_equal(own, mask)


def test_objects_are_packed_and_unpacked() -> None:
    one, two = (np.arange(7.0), np.array([3, 4])), (np.arange(7.0) + 1, np.array([0, 5, 2]))
    rows = packed([[one, two], [], [two]]).astype(np.float32)
    assert rows.shape == (3, 21)
    back = [list(unpacked(row, 7)) for row in rows]
    assert [len(objects) for objects in back] == [2, 0, 1]
    for (head, runs), (wanted, lengths) in zip(back[0] + back[2], [one, two, two], strict=True):
        np.testing.assert_array_equal(head, wanted)
        np.testing.assert_array_equal(runs, lengths)
    assert packed([[], []]).shape == (2, 1)


BAD_MASKS: dict[str, tuple[Any, str]] = {
    "none": (None, "annotation 1 has segmentation = None, expected polygons, or runs"),
    "empty": ([], r"has segmentation = \[\]"),
    "text": ("mask.png", "has segmentation = 'mask.png'"),
    "two corners": ([[1, 2, 3, 4]], r"has the polygon \[1, 2, 3, 4\], expected x1, y1"),
    "odd": ([[1, 2, 3, 4, 5, 6, 7]], "has the polygon"),
    "pairs": ([[[1, 2], [3, 4], [5, 6]]], "has the polygon"),
    "words": ([["a", 2, 3, 4, 5, 6]], "has the polygon"),
    "not finite": ([[1, 2, 3, 4, 5, float("inf")]], "has the polygon"),
    "flat": ([1, 2, 3, 4, 5, 6], "has the polygon 1, expected"),
    "another size": (
        {"size": [20, 40], "counts": [800]},
        r"runs of a picture of \[20, 40\] .* the picture has \[40, 20\]",
    ),
    "too few": ({"size": [40, 20], "counts": [5, 6]}, "do not count 20 x 40 = 800 pixels"),
    "negative": ({"size": [40, 20], "counts": [-1, 801]}, "do not count"),
    "odd counts": ({"size": [40, 20], "counts": 7}, "runs 7 that do not count"),
    "damaged": ({"size": [40, 20], "counts": "zzzzzzz~~"}, "runs 'zzzzzzz~~' that do not count"),
    "cut off": ({"size": [40, 20], "counts": "0"}, "runs '0' that do not count"),
}


@pytest.mark.parametrize(("mask", "told"), BAD_MASKS.values(), ids=BAD_MASKS)
def test_mistakes_in_masks_are_told(tmp_path: Path, mask: Any, told: str) -> None:
    with pytest.raises(KpiError, match=told):
        _ = samples(tmp_path, edited("annotations", 0, segmentation=mask), drawn="objects").labels
    assert samples(tmp_path, edited("annotations", 0, segmentation=mask)).labels.shape == (3, 2, 7)


def test_boxes_and_masks_of_pictures_that_keep_their_sizes(tmp_path: Path) -> None:
    samples(tmp_path, masked())
    free = Signature((Port("image", "float32", (None, 3, None, None)),), (), "")
    how = Preprocess(None, shortest=40, multiple=32)
    found = CocoSamples(tmp_path / "instances.json", free, "m.onnx", DataFiles(preprocess=how))
    assert found.shapes == ["96 x 64", "64 x 96", "64 x 96"]
    assert boxes(found)[0] == [[8, 16, 20, 40, 1, 400, 0]]
    data = DataFiles(preprocess=how, drawn="objects")
    ((_, runs), *_) = unpacked(CocoSamples(tmp_path / "instances.json", free, "m.onnx", data).labels[0], 7)
    drawn = coded.decode(coded.merge(coded.frPyObjects([(np.array(TRIANGLE) * 2).tolist()], 96, 64)))
    np.testing.assert_array_equal(runs, runs_of(drawn))
    pixels = CocoSamples(tmp_path / "instances.json", free, "m.onnx", DataFiles(preprocess=how, drawn="pixels"))
    assert pixels.labels.shape == (3, 96, 96)
    assert (pixels.labels[0, :80, :40] != 255).all()
    assert (pixels.labels[0, :, 40:] == 255).all()
