"""What a model of the zoo is: one fault, the recipe and the targets that must find it, the words that must name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from zoo.stripes import Array

_ONE = 'runtime = { name = "onnxruntime", threads = 1 }\n'
SAME = f'{_ONE}passes = ["onnx"]'
INT8 = f'{_ONE}passes = ["onnx", {{ pass = "onnx-static-int8", calibration = 64 }}]'
NARROW = f'{_ONE}passes = [{{ pass = "narrow", width = 1.0, pixels = 16 }}, "onnx"]'
DROP: Mapping[str, str] = {"accuracy.top1": "drop <= 3 pp vs fp32", "parity.agreement": ">= 90 %"}
RIGHT: Mapping[str, str] = {"accuracy.top1": ">= 80 %"}


@dataclass(frozen=True)
class Fault:
    """``what`` is wrong, in words; ``said`` are words that the verdict's reason must hold.

    ``network`` and ``data`` make the broken parts, ``outputs`` and ``scored`` are what the broken workload says of its
    network; what is not given is as in the healthy twin. ``healthy`` is the twin's network where that is another one.
    ``data`` gets the split's name, its images and labels. ``student`` is the network of the pass ``narrow``.
    """

    what: str
    said: str
    network: Callable[[], torch.nn.Module] | None = None
    healthy: Callable[[], torch.nn.Module] | None = None
    data: Callable[[str, Array, Array], tuple[Any, Any]] | None = None
    good: Callable[[str, Array, Array], tuple[Any, Any]] | None = None
    outputs: tuple[str, ...] = ("logits",)
    scored: str | None = None
    smaller: Callable[[], torch.nn.Module] | None = None
    recipe: str = SAME
    targets: Mapping[str, str] = field(default_factory=lambda: DROP)
    broken_recipe: str = ""
