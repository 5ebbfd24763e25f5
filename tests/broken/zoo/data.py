"""Labels and samples that are not what the model was trained for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from zoo.fault import DROP, INT8, RIGHT, Fault
from zoo.stripes import matched

if TYPE_CHECKING:
    import torch
    from zoo.stripes import Array


def labels(change: Callable[[Array], Any]) -> Callable[[str, Array, Array], tuple[Array, Any]]:
    """Data whose labels are changed in all splits."""
    return lambda _, images, right: (images, change(right))


def images(change: Callable[[Array], Any]) -> Callable[[str, Array, Array], tuple[Any, Array]]:
    """Data whose images are changed in all splits."""
    return lambda _, right, classes: (change(right), classes)


def evaluation(change: Callable[[Array, Array], tuple[Any, Any]]) -> Callable[[str, Array, Array], tuple[Any, Any]]:
    """Data whose evaluation split is changed."""
    return lambda split, right, classes: change(right, classes) if split == "evaluation" else (right, classes)


def training(change: Callable[[Array, Array], tuple[Any, Any]]) -> Callable[[str, Array, Array], tuple[Any, Any]]:
    """Data whose training split, from which calibration samples are taken, is changed."""
    return lambda split, right, classes: change(right, classes) if split == "training" else (right, classes)


def with_nan(right: Array, classes: Array) -> tuple[Array, Array]:
    right[5, 0, 3, 3] = np.nan
    return right, classes


def shuffled(right: Array, classes: Array) -> tuple[Array, Array]:
    """Another order each time it is read."""
    order = np.random.default_rng().permutation(len(classes))
    return right[order], classes[order]


def of_another_epoch() -> torch.nn.Module:
    import torch

    network = matched()
    network[1].weight.data += torch.randn(network[1].weight.shape, generator=torch.Generator().manual_seed(1))
    return network


def wrapped(right: Array) -> Array:
    """Through eight bits without a limit: what is above 255 starts again at 0."""
    made: Array = (right * 100).astype(np.int64).astype(np.uint8).astype(np.float32) / 100
    return made


FAULTS = {
    "labels-shifted-by-one": Fault(
        "classes are counted from 1", "not among the 4 classes", data=labels(lambda right: right + 1),
    ),
    "label-file-shifted-by-a-row": Fault(
        "each label belongs to the sample before it", "proves nothing", data=labels(lambda right: np.roll(right, 1)),
    ),
    "one-hot-labels": Fault(
        "labels are rows of zeros and a one", "one-hot", data=labels(lambda right: np.eye(4, dtype=int)[right]),
    ),
    "labels-that-are-numbers": Fault(
        "labels are those of a regression", "class numbers are needed", data=labels(lambda right: right * 1.5),
    ),
    "labels-that-are-words": Fault(
        "labels are names", "labels are of type", data=labels(lambda right: np.array(list("abcd"))[right]),
    ),
    "negative-labels": Fault(
        "samples without a class have the label -1", "not among the 4 classes",
        data=labels(lambda right: np.where(np.arange(len(right)) % 50, right, -1)),
    ),
    "labels-in-another-order": Fault(
        "the list of class names was sorted another way", "proves nothing", data=labels(lambda right: 3 - right),
    ),
    "images-all-black": Fault(
        "the loader finds no image and gives zeros", "the same to all 600 samples",
        data=images(lambda right: right * 0), targets=DROP,
    ),
    "images-inverted": Fault(
        "dark is bright", "proves nothing", data=images(lambda right: -right),
    ),
    "images-turned": Fault(
        "rows are columns", "misses >= 80 %",
        data=images(lambda right: right.transpose(0, 1, 3, 2)), targets=RIGHT,
    ),
    "images-that-wrap-around": Fault(
        "pixels pass through eight bits without a limit", "misses >= 80 %", data=images(wrapped), targets=RIGHT,
    ),
    "images-of-another-size": Fault(
        "images have a row less", "16", data=images(lambda right: right[:, :, 1:]),
    ),
    "images-in-double-precision": Fault(
        "images are float64, the model takes float32", "float", data=images(lambda right: right.astype(np.float64)),
    ),
    "an-input-that-is-missing": Fault(
        "the loader calls the input by another name", "image",
        data=lambda _, right, classes: ({"picture": right}, classes),
    ),
    "nan-in-the-evaluation": Fault(
        "one evaluation image holds NaN", "NaN", data=evaluation(with_nan),
    ),
    "nan-in-the-calibration": Fault(
        "one calibration image holds NaN", "NaN", data=training(with_nan), recipe=INT8,
    ),
    "calibrated-on-dark-images": Fault(
        "calibration images are a thousand times darker", "misses",
        data=training(lambda right, classes: (right / 1000, classes)), recipe=INT8,
    ),
    "nothing-to-evaluate": Fault(
        "the evaluation split is empty", "empty",
        data=evaluation(lambda right, classes: (right[:0], classes[:0])),
    ),
    "labels-for-half-of-the-images": Fault(
        "the label file was cut off", "300", data=evaluation(lambda right, classes: (right, classes[:300])),
    ),
    "shuffled-evaluation": Fault(
        "the evaluation split comes in another order each time", "order", data=evaluation(shuffled),
    ),
    "weights-of-another-epoch": Fault(
        "the checkpoint is that of an early epoch", "misses >= 80 %", network=of_another_epoch, targets=RIGHT,
    ),
}  # fmt: skip
