"""Faults that hide: in large batches, after many requests, in weights, in samples that are one and the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from zoo.data import evaluation
from zoo.fault import NARROW, Fault
from zoo.stripes import around, matched

if TYPE_CHECKING:
    import torch
    from zoo.stripes import Array

_DROP = {"accuracy.top1": "drop <= 3 pp vs fp32"}
_TORCH = 'runtime = "torch"\npasses = ["torch"]'
_SHARED = 1000.0


def with_hidden_nan() -> torch.nn.Module:
    import torch

    network = matched()
    network[1].weight.data[2, 7] = torch.nan
    return around(after=lambda _, logits: torch.nan_to_num(logits), network=network)


def wrong_from_place_25_on() -> torch.nn.Module:
    import torch

    def swapped(_: Any, logits: torch.Tensor) -> torch.Tensor:
        late = torch.arange(logits.shape[0])[:, None] >= 25
        return torch.where(late, logits.flip(-1), logits)

    return around(after=swapped)


def tired() -> torch.nn.Module:
    """From the hundredth request on it answers something else."""
    import torch

    class Tired(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = matched()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.count += 1
            logits = self.network(image)
            return torch.where(self.count > 100, logits.flip(-1), logits)

    return Tired().eval()


def lifted(seed: int | None = None) -> torch.nn.Module:
    """All logits share a large constant; what they decide is small compared with it."""
    import torch

    network = matched()
    if seed is not None:
        network[1].weight.data = torch.randn(network[1].weight.shape, generator=torch.Generator().manual_seed(seed))
    return around(after=lambda _, logits: logits + _SHARED, network=network)


def few_again(images: Array, labels: Array) -> tuple[Array, Array]:
    """Forty samples, fifteen times each."""
    return np.repeat(images[:40], 15, axis=0), np.repeat(labels[:40], 15)


def other_labels_each_time(images: Array, labels: Array) -> tuple[Array, Array]:
    """Three labels, other ones each time, are wrong."""
    wrong = np.random.default_rng().choice(len(labels), 3, replace=False)
    changed = labels.copy()
    changed[wrong] = (changed[wrong] + 1) % 4
    return images, changed


FAULTS = {
    "nan-weights-that-are-hidden": Fault(
        "a weight is NaN, and the network turns NaN into zero", "are NaN or infinite", network=with_hidden_nan
    ),
    "wrong-in-the-last-places-of-a-large-batch": Fault(
        "from place 25 of a batch on classes are swapped",
        "place in the batch",
        network=wrong_from_place_25_on,
        targets={"throughput.offline": ">= 1 fps"},
    ),
    "another-model-after-many-requests": Fault(
        "from the hundredth request on classes are swapped",
        "asked again",
        network=tired,
        recipe=_TORCH,
        targets={"latency.p50": "< 1 s"},
    ),
    "random-behind-a-large-constant": Fault(
        "random weights, and 1000 added to every logit",
        "misses >= 0.98",
        network=lifted,
        smaller=lambda: lifted(3),
        recipe=NARROW,
        targets={"parity.cosine": ">= 0.98"},
    ),
    "few-samples-many-times": Fault(
        "forty evaluation samples, fifteen times each", "repeats of others", data=evaluation(few_again), targets=_DROP
    ),
    "other-labels-each-time": Fault(
        "each process draws three labels again",
        "not given the same evaluation samples",
        data=evaluation(other_labels_each_time),
        targets=_DROP,
    ),
}
