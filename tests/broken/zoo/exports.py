"""Networks that give other answers once they are exported, differently each time, or by the batch they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.fault import DROP, RIGHT, Fault
from zoo.stripes import around, matched

if TYPE_CHECKING:
    import torch


def exporting() -> bool:
    import torch

    return bool(torch.compiler.is_exporting())


def rolled(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return logits.roll(1, dims=1) if exporting() else logits


def unnormalized(image: torch.Tensor) -> torch.Tensor:
    return image + 3 if exporting() else image


def biased() -> torch.nn.Module:
    """It needs what it sees to have a mean of zero: the fourth filter answers to brightness."""
    network = matched()
    network[1].weight.data[3] += 0.2
    return around(unnormalized, network=network)


def rounded(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return (logits / 20).round() * 20 if exporting() else logits


def dropped(image: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.dropout(image, 0.5, training=True)


def noisy(_: Any, logits: torch.Tensor) -> torch.Tensor:
    import torch

    return logits + 20 * torch.randn_like(logits)


def centred_over_the_batch(image: torch.Tensor) -> torch.Tensor:
    return image - image.mean(0, keepdim=True)


def always_training(image: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.batch_norm(image.flatten(1), None, None, training=True)


def neighbours(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return logits.roll(1, dims=0)


def cumulated(_: Any, logits: torch.Tensor) -> torch.Tensor:
    return logits.cumsum(0)


FAULTS = {
    "export-shifts-the-classes": Fault(
        "everything that is exported answers the next class", "gives other answers than what it read",
        network=lambda: around(after=rolled),
    ),
    "export-loses-the-normalization": Fault(
        "the exported network sees images that are not normalized", "gives other answers than what it read",
        network=biased,
    ),
    "export-rounds": Fault(
        "the exported network rounds its logits", "gives other answers than what it read",
        network=lambda: around(after=rounded),
    ),
    "dropout-always-on": Fault(
        "dropout is on in evaluation mode too", "differently each time", network=lambda: around(dropped),
    ),
    "random-logits": Fault(
        "noise is added to the logits", "differently each time", network=lambda: around(after=noisy),
    ),
    "centred-over-the-batch": Fault(
        "the mean of the batch is subtracted: alone, every image is black", "in batches of 1",
        network=lambda: around(centred_over_the_batch), targets=RIGHT,
    ),
    "batch-normalization-in-training": Fault(
        "batch normalization takes the averages of the batch at hand", "batch",
        network=lambda: around(always_training), targets=RIGHT,
    ),
    "answers-of-the-neighbour": Fault(
        "each sample gets the answer of the one before it in the batch", "place in the batch",
        network=lambda: around(after=neighbours), targets=DROP,
    ),
    "answers-added-up": Fault(
        "each answer holds those before it in the batch", "place in the batch",
        network=lambda: around(after=cumulated), targets=DROP,
    ),
}  # fmt: skip
