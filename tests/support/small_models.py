"""Small models of tensors with their data, and passes run on them as the build worker runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.build.passes import find_pass
from harness.build.passes.base import PassContext
from harness.build.worker import run_step
from harness.workloads.base import ArraySplit, Settings, Split, TensorSpec, TensorWorkload

SIDE = 16
CLASSES = 4


class Stripes(TensorWorkload):
    """Pictures with a bright row whose place is their class; ``network`` and ``data`` may be replaced."""

    outputs = ("logits",)

    def __init__(self, network: torch.nn.Module | None = None, samples: int = 40) -> None:
        super().__init__(Settings("stripes", "image-classification", *[None] * 4, *[False] * 2, Path()))
        self.network = network or convolutional()
        chance = np.random.default_rng(0)
        labels = np.arange(samples) % CLASSES
        images = chance.normal(0, 0.1, (samples, 1, SIDE, SIDE)).astype(np.float32)
        images[np.arange(samples), 0, labels * 4] += 1
        self.arrays: dict[str, npt.NDArray[Any]] = {"image": images}
        self.labels = labels

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, array.shape[1:], str(array.dtype)) for name, array in self.arrays.items())

    def model(self) -> torch.nn.Module:
        return self.network.eval()

    def split(self, name: str) -> Split:
        del name
        return ArraySplit(self.arrays, self.labels)

    def fingerprint(self) -> str:
        return "stripes"

    def about(self) -> dict[str, str]:
        return {}


def convolutional() -> torch.nn.Module:
    """A few convolutions and a linear layer, always the same weights."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 49, CLASSES),
    )


def apply(
    name: str, out: Path, workload: TensorWorkload, source: Path | None = None, **options: Any
) -> tuple[Path, dict[str, Any]]:
    """Runs a pass of that name as the worker does; the folder of what it wrote, and its notes."""
    cls = find_pass(name)
    chosen = cls.Options(**options)
    plain = {field: getattr(chosen, field) for field in chosen.__dataclass_fields__}
    folders: Sequence[Path] = [out / part for part in ("made", "scratch", "work")]
    for folder in folders:
        folder.mkdir(parents=True)
    said: list[str] = []
    job = PassContext(source, folders[0], folders[1], folders[2], workload, said.append)
    return folders[0], run_step(cls(chosen), job, plain)
