"""Weights quantized in groups: which layers a group size fits, and what a file really holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError

DEFAULT = 128
_LEAST = 16  # smaller groups cost more in scales than four bits save
_SHOWN = 5
_THROUGH = frozenset({"Convert", "Multiply", "Subtract", "Reshape", "Transpose"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A matrix product with stored weights: ``width`` is what a row is divided from, ``group`` 0 for none."""

    name: str
    width: int
    kind: str
    group: int


def layers_of(file: Path) -> dict[str, Layer]:
    """The matrix products of an OpenVINO model whose weights are stored in it, by name."""
    import openvino as ov

    found: dict[str, Layer] = {}
    for node in ov.Core().read_model(str(file)).get_ordered_ops():
        weight = _stored(node.input_value(1).get_node()) if node.get_type_name() == "MatMul" else None
        if weight is None:
            continue
        shape = list(weight.get_output_shape(0))
        # Groups are an axis of their own: (rows, groups, size).
        group = shape.pop() if len(shape) > 2 else 0  # noqa: PLR2004
        rows_first = bool(node.get_attributes().get("transpose_b", False))
        width = (shape[-1] if rows_first else shape[0]) * (group or 1)
        name = node.get_friendly_name()
        found[name] = Layer(name, width, weight.get_output_element_type(0).get_type_name(), group)
    return found


def _stored(node: Any) -> Any:
    """The constant that a weight is computed from, past its scales and conversions; None where it is not a constant."""
    while node.get_type_name() in _THROUGH:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def unfit(layers: Mapping[str, Layer], size: int) -> KpiError:
    """What is said when ``size`` does not divide the width of every layer: which layers, and which sizes would fit."""
    wrong = [layer for layer in layers.values() if layer.width % size]
    named = ", ".join(f"{layer.name} ({layer.width})" for layer in wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    common = math.gcd(*(layer.width for layer in layers.values()))
    sizes = [str(n) for n in range(min(common, 256), _LEAST - 1, -1) if common % n == 0]
    fits = f"group_size = {' or '.join(sizes)} fits all layers; " if sizes else ""
    return KpiError(
        f"group_size = {size} does not divide the width of {len(wrong)} of {len(layers)} layers: {named}{more}",
        f'{fits}group_size_fallback = "adjust" takes a smaller size for these layers, "ignore" leaves them as they are',
    )


def fallen_back(before: Mapping[str, Layer], after: Mapping[str, Layer], size: int) -> Sequence[str]:
    """What became of the layers that ``size`` did not fit, a line each, from what the written model holds."""
    said = []
    for layer in before.values():
        made = after.get(layer.name)
        if size > 0 and layer.width % size and made is not None:
            groups = f" in groups of {made.group}" if made.group else ""
            said.append(f"{layer.name}: width {layer.width}, {made.kind}{groups}")
    return said
