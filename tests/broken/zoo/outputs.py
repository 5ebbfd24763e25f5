"""Outputs that are not the logits that they are taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.fault import DROP, INT8, Fault
from zoo.stripes import SHAPES, around, matched

if TYPE_CHECKING:
    import torch
    from zoo.stripes import Array

HALVES = {"accuracy.top1": "drop <= 3 pp vs fp32", "parity.agreement": ">= 90 %"}


def features(image: torch.Tensor) -> torch.Tensor:
    """Four columns that tell nothing of the direction."""
    return image.flatten(1)[:, :4] * 1.0


def both(image: torch.Tensor, logits: torch.Tensor) -> Any:
    return features(image), logits


def as_classes(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(1)


def as_images(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return logits[:, :, None, None].expand(-1, -1, 3, 3)


def binary(_: str, images: Array, labels: Array) -> tuple[Array, Array]:
    """Is it one of the diagonals?"""
    return images, (labels >= 2).astype("int64")


def one_logit(after: Any = None) -> Any:
    """The logarithm of the odds of a diagonal, in a single column."""

    def answer(_: Any, logits: torch.Tensor) -> torch.Tensor:
        made = (logits[:, 2:].logsumexp(1) - logits[:, :2].logsumexp(1))[:, None]
        return after(made) if after else made

    return lambda: around(after=answer)


def sigmoid(column: torch.Tensor) -> torch.Tensor:
    return column.sigmoid()


def calibrated_on_black(split: str, images: Array, labels: Array) -> tuple[Array, Array]:
    if split == "training":
        images = images * 1e-6
    return binary(split, images, labels)


def swapped() -> torch.nn.Module:
    import torch

    network = matched()
    network[1].weight.data = torch.tensor(SHAPES[[1, 0, 2, 3]].reshape(4, 256), dtype=torch.float32)
    return network


FAULTS = {
    "features-taken-for-logits": Fault(
        "it answers features and logits, and does not say which are scored", "has 2 outputs: features, logits",
        network=lambda: around(after=both), outputs=("features", "logits"),
    ),
    "outputs-named-the-other-way-round": Fault(
        "the names of features and logits are swapped", "a comparison with it proves nothing",
        network=lambda: around(after=both), outputs=("logits", "features"), scored="logits",
    ),
    "fewer-names-than-outputs": Fault(
        "it answers two tensors, the workload names one", "returns 2 tensors, the workload names 1",
        network=lambda: around(after=both),
    ),
    "an-output-that-is-not-there": Fault(
        "the workload names a key that the network does not return", "not scores",
        network=lambda: around(after=lambda _, logits: {"logits": logits}), outputs=("scores",),
    ),
    "mark-of-no-output": Fault(
        "the mark names no output", "scored names probabilities", scored="probabilities",
    ),
    "classes-instead-of-logits": Fault(
        "the network ends with argmax", "not among the 2 classes", network=lambda: around(after=as_classes),
    ),
    "maps-instead-of-logits": Fault(
        "the network answers a map for each class", "a classifier answers (samples, classes)",
        network=lambda: around(after=as_images),
    ),
    "one-probability": Fault(
        "a single column holds a probability, which is never below zero", "as probabilities are",
        network=one_logit(sigmoid), healthy=one_logit(), data=binary, good=binary,
    ),
    "one-logit-ruined": Fault(
        "a single logit, calibrated on black images", "misses",
        network=one_logit(), healthy=one_logit(), data=calibrated_on_black, good=binary, recipe=INT8,
    ),
    "two-classes-swapped": Fault(
        "the network was trained with two classes in another order", "misses >= 80 %",
        network=swapped, targets={"accuracy.top1": ">= 80 %"},
    ),
    "more-labels-than-classes": Fault(
        "the network has three outputs for four classes", "not among the 3 classes",
        network=lambda: around(after=lambda _, logits: logits[:, :3]), targets=DROP,
    ),
}  # fmt: skip
