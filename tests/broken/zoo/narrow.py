"""Recipes whose own network is not the one that was promised; the reference is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.fault import NARROW, Fault
from zoo.outputs import swapped
from zoo.stripes import around, matched

if TYPE_CHECKING:
    import torch


def untrained() -> torch.nn.Module:
    import torch

    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 4)).eval()


def exploding() -> torch.nn.Module:
    return around(lambda image: image * 3e38 * 10)


FAULTS = {
    "smaller-network-untrained": Fault(
        "the smaller network has random weights", "misses", smaller=untrained, recipe=NARROW,
    ),
    "smaller-network-with-classes-swapped": Fault(
        "the smaller network counts two classes in another order", "misses", smaller=swapped, recipe=NARROW,
    ),
    "smaller-network-constant": Fault(
        "the smaller network answers a constant", "the same to all",
        smaller=lambda: matched(0.0), recipe=NARROW,
    ),
    "smaller-network-overflows": Fault(
        "the smaller network overflows", "NaN or infinity", smaller=exploding, recipe=NARROW,
    ),
}  # fmt: skip
