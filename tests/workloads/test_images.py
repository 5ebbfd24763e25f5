"""Folders of pictures as data: what they become, and what is said where they do not fit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from harness.core.data_files import DataFiles, Preprocess
from harness.core.errors import KpiError, SpecError
from harness.spec.reader import read_spec
from harness.workloads.base import Settings, TensorSpec
from harness.workloads.files.class_folders import digest_below
from harness.workloads.files.images import PICTURES, ImageSamples
from harness.workloads.files.pictures import as_input, fitted, input_size
from harness.workloads.files.signature import Port, Signature, read_signature
from harness.workloads.files.workload import FileWorkload
from harness.workloads.torchvision_compat import import_torchvision
from tests.support.model_files import file_settings, plain_settings, save

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HOW = Preprocess((24, 24), resize=32, mean=MEAN, std=STD)


def picture(file: Path, wide: int, high: int, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((wide, high), Image.Resampling.BICUBIC).save(file)
    return file


def model(folder: Path, shape: tuple[int | str, ...] = ("n", 3, "h", "w")) -> Path:
    nodes = [helper.make_node("ReduceMean", ["image"], ["y"], axes=[2, 3], keepdims=0)]
    return save(folder / "m.onnx", nodes, {"image": shape}, {"y": ["n", 3]}, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        kind = ("cat", "dog", "emu")[number % 3]
        picture(tmp_path / f"pictures/{kind}/{number}.png", 40 + number, 50, number)
    return tmp_path / "pictures"


def samples(folder: Path, data: DataFiles) -> ImageSamples:
    file = model(folder.parent)
    return ImageSamples(folder, read_signature(file), file.name, data)


@pytest.mark.parametrize("size", [(50, 40), (40, 50), (33, 64), (32, 32), (200, 71)])
def test_the_same_as_torchvision(tmp_path: Path, size: tuple[int, int]) -> None:
    transforms = import_torchvision().transforms
    file = picture(tmp_path / "p.png", *size)
    steps = [transforms.Resize(32), transforms.CenterCrop(24), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    wanted = transforms.Compose(steps)(Image.open(file).convert("RGB")).numpy()
    np.testing.assert_allclose(as_input(file, HOW, "float32"), wanted, atol=1e-6)


def test_other_layouts_and_colours(tmp_path: Path) -> None:
    file = picture(tmp_path / "p.png", 24, 24)
    plain = Preprocess((24, 24), scale=1.0)
    rgb = as_input(file, plain, "float32")
    np.testing.assert_array_equal(as_input(file, replace(plain, colour="BGR"), "float32"), rgb[::-1])
    np.testing.assert_array_equal(as_input(file, replace(plain, layout="NHWC"), "float32"), rgb.transpose(1, 2, 0))
    assert as_input(file, replace(plain, colour="L"), "float32").shape == (1, 24, 24)
    whole = as_input(file, replace(plain, mean=MEAN), "uint8")
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, rgb)


def test_folders_are_classes(folder: Path) -> None:
    found = samples(folder, DataFiles(folder, preprocess=HOW))
    assert found.count == 12
    assert found.specs[0].shape == (3, 24, 24)
    assert found.labels is not None
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    ordered = samples(folder, DataFiles(folder, preprocess=HOW, classes=("emu", "dog", "cat")))
    assert ordered.labels is not None
    assert ordered.labels.tolist() == [2] * 4 + [1] * 4 + [0] * 4
    assert found.take(slice(0, 2))["image"].shape == (2, 3, 24, 24)


def test_a_workload_of_pictures(folder: Path, tmp_path: Path) -> None:
    data = DataFiles(folder, preprocess=HOW)
    kept = file_settings("image-classification", model(tmp_path), data, tmp_path)
    made = FileWorkload(kept)
    parts = [made.split(name) for name in ("training", "validation", "evaluation")]
    assert [len(part) for part in parts] == [2, 2, 8]
    before = made.fingerprint()
    picture(folder / "cat/0.png", 41, 50, 99)
    assert FileWorkload(kept).fingerprint() != before
    assert Settings.from_json(plain_settings(kept)) == kept


def test_what_does_not_fit_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r"nothing says how they become inputs.*preprocess"):
        samples(folder, DataFiles(folder))
    with pytest.raises(KpiError, match='folder emu: unknown class "emu"'):
        samples(folder, DataFiles(folder, preprocess=HOW, classes=("cat", "dog")))
    file = model(tmp_path, ("n", 3, 32, 32))
    with pytest.raises(KpiError, match=r"takes image .*3x32x32.*preprocess makes 3x24x24"):
        ImageSamples(folder, read_signature(file), file.name, DataFiles(folder, preprocess=HOW))
    picture(folder / "loose.png", 40, 40)
    with pytest.raises(KpiError, match=r"loose\.png is in no folder of a class"):
        samples(folder, DataFiles(folder, preprocess=HOW))
    (tmp_path / "empty").mkdir()
    with pytest.raises(KpiError, match="holds no pictures"):
        samples(tmp_path / "empty", DataFiles(tmp_path / "empty", preprocess=HOW))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(KpiError, match=r"broken\.png can't be read"):
        as_input(tmp_path / "broken.png", HOW, "float32")


def test_the_content_counts_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = digest_below(folder, PICTURES, tmp_path)
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    assert digest_below(folder, PICTURES, tmp_path) == before
    (folder / "cat/0.png").rename(folder / "dog/0.png")
    assert digest_below(folder, PICTURES, tmp_path) != before


def test_an_empty_folder_of_a_class_is_told(folder: Path) -> None:
    """Classes are numbered by their place among the folders: one that is left out would move all after it."""
    (folder / "aaa").mkdir()
    (folder / ".ipynb_checkpoints").mkdir()
    with pytest.raises(KpiError, match="aaa holds no pictures: is it a class"):
        samples(folder, DataFiles(folder, preprocess=HOW))
    names = tuple(sorted(one.name for one in folder.iterdir() if one.name[0] != "."))
    assert samples(folder, DataFiles(folder, preprocess=HOW, classes=names)).labels is not None


def test_what_file_managers_leave_is_no_class(folder: Path) -> None:
    before = samples(folder, DataFiles(folder, preprocess=HOW))
    for name in (".ipynb_checkpoints", "__MACOSX"):
        picture(folder / name / "1.png", 40, 40)
    after = samples(folder, DataFiles(folder, preprocess=HOW))
    assert after.count == before.count
    assert after.labels is not None
    assert before.labels is not None
    assert after.labels.tolist() == before.labels.tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="links need permission there")
def test_folders_that_are_links_count(folder: Path, tmp_path: Path) -> None:
    before = samples(folder, DataFiles(folder, preprocess=HOW))
    first = min(folder.iterdir())
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    (folder / first.name / "back").symlink_to(folder)  # a link that leads back
    after = samples(folder, DataFiles(folder, preprocess=HOW))
    assert after.count == before.count
    assert after.labels is not None
    assert before.labels is not None
    assert after.labels.tolist() == before.labels.tolist()


def test_the_classes_are_those_of_all_splits(tmp_path: Path) -> None:
    """A class without a picture in one split must not move the numbers of those after it."""
    for split, names in {"val": "ac", "train": "abc"}.items():
        for name in names:
            picture(tmp_path / split / name / "1.png", 40, 40, seed=ord(name))
    data = DataFiles(splits={"evaluation": tmp_path / "val", "training": tmp_path / "train"}, preprocess=HOW)
    found = {name: samples(tmp_path / name, data).labels for name in ("val", "train")}
    assert {name: labels.tolist() for name, labels in found.items() if labels is not None} == {
        "val": [0, 2],
        "train": [0, 1, 2],
    }


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint16, ".png"), (np.int32, ".tiff"), (np.float32, ".tiff")])
def test_pictures_of_more_than_8_bits_are_refused(tmp_path: Path, dtype: type, suffix: str) -> None:
    file = tmp_path / f"deep{suffix}"
    Image.fromarray(np.full((40, 40), 300, dtype)).save(file)
    with pytest.raises(KpiError, match=f"deep{suffix} has more than 8 bits a channel"):
        as_input(file, HOW, "float32")


def test_files_that_are_not_read_are_told(folder: Path) -> None:
    (folder / "notes.txt").touch()
    assert not samples(folder, DataFiles(folder, preprocess=HOW)).remarks
    for number in range(2):
        (folder / f"{number}.heic").touch()
    (said,) = samples(folder, DataFiles(folder, preprocess=HOW)).remarks
    assert said == "2 other files in pictures are no pictures, such as 0.heic"


EACH = Preprocess(None, shortest=20, longest=30, multiple=8, fill=7, scale=1.0)


@pytest.mark.parametrize(
    ("size", "inside", "whole"),
    [((40, 40), (20, 20), (24, 24)), ((80, 40), (30, 15), (16, 32)), ((16, 24), (20, 30), (32, 24))],
)
def test_pictures_may_keep_their_proportions_and_sizes(
    tmp_path: Path, size: tuple[int, int], inside: tuple[int, int], whole: tuple[int, int]
) -> None:
    assert fitted(size, EACH).size == inside
    assert input_size(size, EACH) == whole
    Image.new("RGB", size, (200, 100, 0)).save(tmp_path / "a.png")
    made = as_input(tmp_path / "a.png", EACH, "float32")
    assert made.shape == (3, *whole)
    assert (made[:, : inside[1], : inside[0]] == np.array([200, 100, 0])[:, None, None]).all()
    assert made.sum() == (inside[0] * inside[1] * 300 + (whole[0] * whole[1] - inside[0] * inside[1]) * 21)
    kept = Preprocess(None)
    assert (fitted(size, kept).size, input_size(size, kept)) == (size, size[::-1])


def test_pictures_of_one_size_are_asked_together(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(9):
        Image.new("RGB", (40, 20) if number % 3 else (20, 40)).save(tmp_path / "a" / f"{number}.png")
    free = Signature((Port("image", "float32", (None, 3, None, None)),), (), "")
    found = ImageSamples(tmp_path, free, "m.onnx", DataFiles(preprocess=Preprocess(None)))
    assert found.shapes is not None
    assert list(found.shapes) == ["40 x 20" if n % 3 == 0 else "20 x 40" for n in range(9)]
    assert found.specs[0] == TensorSpec("image", (3, 40, 40), "float32", (1, 2))
    assert not found.one_by_one
    assert found.take(np.array([1, 2]))["image"].shape == (2, 3, 20, 40)
    fixed = Signature((Port("image", "float32", (None, 3, 40, 40)),), (), "")
    with pytest.raises(KpiError, match=r"takes image .*3x40x40.*, preprocess makes 3x40x20"):
        ImageSamples(tmp_path, fixed, "m.onnx", DataFiles(preprocess=Preprocess(None)))
    for number in range(5):
        Image.new("RGB", (50 + number, 20)).save(tmp_path / "a" / f"x{number}.png")
    for number in range(3, 9):
        (tmp_path / "a" / f"{number}.png").unlink()
    assert ImageSamples(tmp_path, free, "m.onnx", DataFiles(preprocess=Preprocess(None))).one_by_one


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('size = "each"\nresize = 30', "preprocess.resize: is for pictures that are brought to one size"),
        ('size = "each"\nfit = "pad"', "preprocess.fit: is for pictures that are brought to one size"),
        ("size = 30\nshortest = 30", 'preprocess.shortest: is for size = "each"'),
        ("size = 30\nmultiple = 32", 'preprocess.multiple: is for size = "each"'),
        ('size = "each"\nshortest = 30\nlongest = 20', "longest: 20 is less than shortest, 30"),
        ('size = "all"', "size"),
    ],
)
def test_sizes_that_do_not_fit_are_told(tmp_path: Path, table: str, told: str) -> None:
    text = f"""
[machine.any-cpu]
device = "cpu"

[workload.mine]
task = "tensors"
model = "m.onnx"
data = "pictures"

[workload.mine.preprocess]
{table}

[workload.mine.recipe.as-delivered]
runtime = "onnxruntime"
"""
    (tmp_path / "kpis.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as error:
        read_spec(tmp_path / "kpis.toml")
    assert any(told in problem for problem in error.value.problems), error.value.problems
