"""What a network of ncnn says of itself: how it holds numbers, which heavy layers compute with integers."""

from __future__ import annotations

import math
from collections import Counter
from types import MappingProxyType
from typing import Any

from harness.core.ncnn import HALVES, Layer, NcnnModel
from harness.measure.runtimes.work import HeavyOp, weighed

_HEAVY = MappingProxyType(
    {
        "Convolution": 8,
        "ConvolutionDepthWise": 8,
        "Convolution1D": None,
        "ConvolutionDepthWise1D": None,
        "Convolution3D": None,
        "ConvolutionDepthWise3D": None,
        "Deconvolution": None,
        "DeconvolutionDepthWise": None,
        "InnerProduct": 8,
        "Gemm": 18,
        "MatMul": None,
        "MultiHeadAttention": 18,
        "LSTM": 8,
        "GRU": 8,
        "RNN": 8,
    }
)
"""Heavy layers, each with the number of the setting that says that its weights are in INT8."""
_WEIGHTS, _DENSE_WEIGHTS = 6, 2
"""The settings that say how many weights there are: of convolutions, of a dense layer."""


def precision(net: Any) -> str:
    """How layers that do not compute with integers hold weights and values.

    Which of them take what is permitted, the library does not say.
    """
    options = net.opt
    if options.use_bf16_storage:
        return "bf16 or fp32"
    return "fp16 or fp32" if any(getattr(options, name) for name in HALVES) else "fp32"


def inside(model: NcnnModel, *, weigh: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a Proof on heavy layers; which kinds compute in floating point, as far as some do not.

    ``weigh`` runs a request of the last size once more, to know their work.
    """
    integers = bool(model.net.opt.use_int8_inference)
    heavy = [layer for layer in model.graph.layers if layer.kind in _HEAVY]
    asked = sorted({name for layer in heavy for name in (layer.inputs[0], layer.outputs[0])}) if weigh else []
    sizes, found, plain = model.sizes(asked), list[HeavyOp](), Counter[str]()
    for layer in heavy:
        option = _HEAVY[layer.kind]
        integer = integers and option is not None and layer.number(option) > 0
        if not integer:
            plain[layer.kind] += 1
        found.append(HeavyOp(layer.name, layer.kind, integer, _work(layer, sizes)))
    mixed = {"not_in_integers": dict(plain)} if 0 < sum(plain.values()) < len(heavy) else {}
    return weighed(found), mixed


def _work(layer: Layer, sizes: dict[str, tuple[int, ...]]) -> int | None:
    """Multiplications of a layer; None where they are not known."""
    taken, given = sizes.get(layer.inputs[0]), sizes.get(layer.outputs[0])
    if taken is None or given is None:
        return None
    if layer.kind == "InnerProduct":
        return layer.number(_DENSE_WEIGHTS) * math.prod(given[:-1])
    if layer.kind.startswith(("Convolution", "Deconvolution")):
        # Each weight is used once for each place: of one that widens, for each place that it takes.
        places = taken if layer.kind.startswith("De") else given
        return layer.number(_WEIGHTS) * math.prod(places[1:])
    if layer.kind == "MatMul":
        return math.prod(given) * taken[-1]
    return None
