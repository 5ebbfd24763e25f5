"""Numbers that are none, or that are too large for where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.fault import INT8, RIGHT, Fault
from zoo.stripes import around, matched

if TYPE_CHECKING:
    import torch
    from zoo.stripes import Array


def blank_frames(split: str, images: Array, labels: Array) -> tuple[Array, Array]:
    """Every 200th evaluation image from number 20 on is black."""
    if split == "evaluation":
        images[20::200] = 0
    return images, labels


def bright_frame(split: str, images: Array, labels: Array) -> tuple[Array, Array]:
    """One evaluation image is very bright, and still easy to tell."""
    if split == "evaluation":
        images[77] = 1e5 * (images[77] > 0)
    return images, labels


def standardized(epsilon: float) -> Any:
    """Each image with a mean of 0 and a deviation of 1."""

    def make() -> torch.nn.Module:
        def standardize(x: torch.Tensor) -> torch.Tensor:
            deviation = (x - x.mean((1, 2, 3), keepdim=True)).pow(2).mean((1, 2, 3), keepdim=True).sqrt()
            return (x - x.mean((1, 2, 3), keepdim=True)) / (deviation + epsilon)

        return around(standardize)

    return make


def in_half(x: torch.Tensor) -> torch.Tensor:
    return (x * 100).half().float() / 100


def poisoned(value: float, row: int = 2) -> Any:
    def make() -> torch.nn.Module:
        network = matched()
        network[1].weight.data[row, 17] = value
        return network

    return make


def huge_logits() -> torch.nn.Module:
    """Its exponentials are finite for a usual image, infinite for a bright one."""
    return around(after=lambda _, logits: (logits / 8).exp() + logits)


FAULTS = {
    "nan-on-blank-frames": Fault(
        "blank frames are divided by their deviation of zero",
        "NaN or infinity on 3 of 600 evaluation samples, the first is 20",
        network=standardized(0.0), healthy=standardized(1e-5), data=blank_frames, good=blank_frames, recipe=INT8,
    ),
    "overflow-in-half-precision": Fault(
        "one layer keeps its values in half precision, a bright image overflows",
        "NaN or infinity on 1 of 600 evaluation samples, the first is 77",
        network=lambda: around(in_half), data=bright_frame, good=bright_frame,
    ),
    "overflow-of-exponentials": Fault(
        "exponentials of large logits are infinite",
        "NaN or infinity on 1 of 600 evaluation samples, the first is 77",
        network=huge_logits, data=bright_frame, good=bright_frame,
    ),
    "nan-in-the-weights": Fault("one weight is NaN", "are NaN or infinite", network=poisoned(float("nan"))),
    "infinity-in-the-weights": Fault("one weight is infinite", "are NaN or infinite", network=poisoned(float("inf"))),
    "one-outlier-weight": Fault(
        "one weight is so large that eight bits leave nothing for the others", "the same to all 600 samples",
        network=lambda: around(lambda x: x - x[:, :, 1:2, 1:2] * 0, network=outlier()),
        recipe=INT8.replace("calibration = 64", "calibration = 64, per_channel = false"),
    ),
    "all-weights-zero": Fault(
        "the weights were never loaded", "answers the same to all 600 samples",
        network=lambda: matched(0.0), targets={**RIGHT, "parity.agreement": ">= 90 %"},
    ),
}  # fmt: skip


def outlier() -> torch.nn.Module:
    """The matched filter, with a second layer that takes back what one huge weight of the first adds."""
    import torch

    first, second = torch.nn.Linear(256, 8, bias=False), torch.nn.Linear(8, 4, bias=False)
    base = matched()[1].weight.data
    first.weight.data = torch.cat([base, base])
    second.weight.data = torch.cat([torch.eye(4), torch.zeros(4, 4)], dim=1)
    first.weight.data[7] = 500.0
    return torch.nn.Sequential(torch.nn.Flatten(), first, second).eval()
