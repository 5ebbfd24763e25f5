"""Classes of pixels: read from maps and classes, held against masks as scikit-learn and torchmetrics do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.measure.records import Outputs
from harness.tasks.segmentation.pixels import Pixels
from harness.workloads.base import TensorSpec
from harness.workloads.torchvision_compat import import_torchvision

HEIGHT, WIDTH = 24, 32
INPUTS = (TensorSpec("image", (3, HEIGHT, WIDTH)),)
CHANCE = np.random.default_rng(0)


def test_the_largest_map_counts_whichever_axis_they_are_on() -> None:
    maps = CHANCE.normal(0, 1, (2, 5, HEIGHT, WIDTH)).astype(np.float32)
    wanted = maps.argmax(axis=1)
    found = Pixels().read({"o": maps}, INPUTS)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(Pixels().read({"o": maps.transpose(0, 2, 3, 1)}, INPUTS), wanted)
    # More classes than columns: the layout has to be said.
    many = CHANCE.normal(0, 1, (1, 40, HEIGHT, WIDTH))
    named = Pixels(layout="NHWC").read({"o": many.transpose(0, 2, 3, 1)}, INPUTS)
    np.testing.assert_array_equal(named, many.argmax(axis=1))


def test_smaller_maps_are_enlarged_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    maps = CHANCE.normal(0, 1, (2, 5, 6, 8)).astype(np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(maps), size=(HEIGHT, WIDTH), mode="bilinear")
    found = Pixels().read({"o": maps}, INPUTS)
    assert (found == large.argmax(dim=1).numpy()).mean() > 0.9999


def test_one_map_is_of_one_class() -> None:
    chances = CHANCE.random((2, 1, HEIGHT, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(Pixels().read({"o": chances}, INPUTS), chances[:, 0] > 0.5)
    np.testing.assert_array_equal(Pixels().read({"o": chances[:, 0]}, INPUTS), chances[:, 0] > 0.5)
    logits = np.log(chances / (1 - chances))
    np.testing.assert_array_equal(Pixels(threshold=0.0).read({"o": logits}, INPUTS), chances[:, 0] > 0.5)


def test_classes_take_the_nearest_pixel() -> None:
    classes = CHANCE.integers(0, 20, (2, HEIGHT // 2, WIDTH // 2))
    wanted = classes.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(Pixels().read({"o": classes}, INPUTS), wanted)
    np.testing.assert_array_equal(Pixels().read({"o": classes[:, None]}, INPUTS), wanted)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (np.zeros((2, 21), np.float32), r"the answer has the shape \(2, 21\), classes of pixels are"),
        (np.full((1, 4, 4), 300), "the answer holds 300 to 300, classes are 0 to 253"),
        (np.zeros((1, 3, 4, 4), np.int64), "3 maps of int64, whole numbers are classes of one map"),
        (np.zeros((1, 300, 999, 999), np.float16), "has 300 classes, at most 254"),
    ],
)
def test_other_answers_are_told(answer: np.ndarray, told: str) -> None:
    with pytest.raises(KpiError, match=told):
        Pixels().read({"o": answer}, INPUTS)


def test_one_output_is_read() -> None:
    with pytest.raises(KpiError, match=r'the model has 2 outputs: out, aux .*scored = "out"'):
        Pixels().outputs(["out", "aux"])
    with pytest.raises(KpiError, match="classes of pixels are those of pictures"):
        Pixels().read({"o": np.zeros((1, 2, 2), np.int64)}, (TensorSpec("x", (64,)),))


# ---- metrics ------------------------------------------------------------------------------------------------------

PICTURES, CLASSES = 40, 6


def painted(seed: int = 0) -> Outputs:
    """Masks of which some pixels do not count and one class is in no mask, and answers that are right in part."""
    chance = np.random.default_rng(seed)
    wanted = chance.integers(0, CLASSES - 1, (PICTURES, 8, 9)).astype(np.uint8)
    found = np.where(chance.random(wanted.shape) < 0.6, wanted, chance.integers(0, CLASSES, wanted.shape))
    wanted[chance.random(wanted.shape) < 0.1] = 255
    return Outputs(found.astype(np.uint8), wanted)  # type: ignore[arg-type]


def flat(given: Outputs, places: Any = slice(None)) -> tuple[Any, Any]:
    wanted, found = given.labels[places].ravel(), given.logits[places].ravel()
    return wanted[wanted != 255], found[wanted != 255]


def figure(name: str, given: Outputs) -> float:
    return float(metrics()[name].figure(given, None))  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    given = painted(seed)
    both = flat(given)
    assert figure("accuracy.iou", given) == pytest.approx(jaccard_score(*both, average="macro"), abs=1e-9)
    assert figure("accuracy.dice", given) == pytest.approx(f1_score(*both, average="macro"), abs=1e-9)
    assert figure("accuracy.pixels", given) == pytest.approx(accuracy_score(*both), abs=1e-9)


def test_so_are_those_of_any_part_and_of_a_class() -> None:
    given, places = painted(4), [3, 5, 8, 13, 21, 34]
    metric: Any = metrics()["accuracy.iou"]
    assert metric.of(given, None, places) == pytest.approx(jaccard_score(*flat(given, places), average="macro"))
    each = jaccard_score(*flat(given), average=None)
    assert metric.class_names(given) == [str(one) for one in range(CLASSES - 1)]
    for kind in range(CLASSES - 1):
        one: Any = metrics()[f"accuracy.iou[class={kind}]"]
        assert np.mean(one.scores(given, None)) == pytest.approx(each[kind], abs=1e-9)
    recall: Any = metrics()["accuracy.pixels[class=2]"]
    wanted, found = flat(given)
    assert np.mean(recall.scores(given, None)) == pytest.approx((found[wanted == 2] == 2).mean())
    names = np.where(np.arange(PICTURES) < 15, "night", "day")
    night: Any = metrics()["accuracy.iou[slice=night]"]
    right = jaccard_score(*flat(given, slice(15)), average="macro")
    assert np.mean(night.scores(Outputs(given.logits, given.labels, names), None)) == pytest.approx(right)


def test_the_figure_is_that_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    import_torchvision()  # torchmetrics would import it by itself, and fail next to a CPU build of torch
    classification = pytest.importorskip("torchmetrics.classification")
    given = painted(7)
    judge = classification.MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    wanted = judge(torch.from_numpy(given.logits.astype(np.int64)), torch.from_numpy(given.labels.astype(np.int64)))
    assert figure("accuracy.iou", given) == pytest.approx(float(wanted), abs=1e-6)


def test_answers_of_several_sizes_are_filled_up_with_nothing() -> None:
    given = painted(1)
    labels = np.pad(given.labels, ((0, 0), (0, 3), (0, 1)), constant_values=255)
    logits = np.pad(given.logits.astype(np.float32), ((0, 0), (0, 3), (0, 1)), constant_values=np.nan)
    assert figure("accuracy.iou", Outputs(logits, labels)) == figure("accuracy.iou", given)


def test_parity_counts_pixels() -> None:
    given, other = painted(1), painted(2)
    metric: Any = metrics()["parity.pixels"]
    assert np.mean(metric.scores(given, other)) == pytest.approx((given.logits == other.logits).mean())
    wide = [
        Outputs(np.pad(one.logits.astype(np.float32), ((0, 0), (0, 2), (0, 0)), constant_values=np.nan), one.labels)
        for one in (given, other)
    ]
    assert metric.scores(*wide) == pytest.approx(metric.scores(given, other))
    with pytest.raises(KpiError, match="different clips or pictures"):
        metric.scores(given, Outputs(other.logits[:3], other.labels[:3]))


def test_what_a_person_should_know() -> None:
    given = painted(0)
    said = " / ".join(metrics()["accuracy.iou"].remarks(given, None))  # type: ignore[attr-defined]
    assert "classes that no mask holds count as wrong: 5" in said
    assert "% of the pixels have no class and do not count" in said
    never = Outputs(np.zeros_like(given.logits), given.labels)
    assert "never found: 1, 2, 3, 4" in " ".join(metrics()["accuracy.iou"].remarks(never, None))  # type: ignore[attr-defined]


def test_what_is_no_masks_is_refused() -> None:
    given, metric = painted(0), metrics()["accuracy.iou"]
    with pytest.raises(KpiError, match=r"masks have the shape \(40,\), the answers"):
        metric.check(Outputs(given.logits, np.zeros(PICTURES, np.int64)), "w/r")  # type: ignore[attr-defined]
    with pytest.raises(KpiError, match="labels are float64, masks hold numbers"):
        metric.check(Outputs(given.logits, given.labels.astype(np.float64)), "w/r")  # type: ignore[attr-defined]
    with pytest.raises(KpiError, match="no picture has a pixel of a class"):
        figure("accuracy.iou", Outputs(given.logits, np.full_like(given.labels, 255)))
