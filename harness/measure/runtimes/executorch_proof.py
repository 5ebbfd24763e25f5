"""What an ExecuTorch program runs: which operators no delegate took, and which heavy ones compute with integers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.core.flat_tables import FlatTable
from harness.core.pte import Delegate, Kernel, PteFile, PteTensor
from harness.measure.runtimes.work import HeavyOp, convolution, weighed

XNNPACK = "XnnpackBackend"
_HEADER, _MAGIC = slice(4, 8), b"XH00"
_INTEGERS = frozenset({3, 4, 6, 8, 10})
"""XNNPACK's types of values that are integers of 8 bits or less, by their number in its schema."""
_DYNAMIC = frozenset({9, 11})
"""Activations whose ranges are taken as they come."""
_CONVOLUTIONS = MappingProxyType({7: "convolution", 13: "depthwise convolution", 39: "transposed convolution"})
_PRODUCTS = MappingProxyType({2: "fully connected", 37: "matrix product"})
_ATTENTION = 36
_TRANSPOSED = 39
_NAMED = 5
_KERNELS = MappingProxyType(
    {
        "convolution": "convolution",
        "conv1d": "convolution",
        "conv2d": "convolution",
        "linear": "fully connected",
        "addmm": "fully connected",
        "mm": "matrix product",
        "bmm": "matrix product",
        "_scaled_dot_product_flash_attention": "attention",
    }
)
"""Heavy operators of the portable and optimized kernels, by what they are called without library and overload."""


def delegated(pte: PteFile) -> dict[str, Any]:
    """Which backends took parts, and how many; which operators run in kernels of ExecuTorch, most of a kind first."""
    parts = Counter(one.backend for one in pte.delegates)
    outside = Counter(one.name for one in pte.kernels)
    return {
        "delegate": ", ".join(f"{name} ({count})" if count > 1 else name for name, count in parts.items()) or "none",
        "not_delegated": dict(outside.most_common(_NAMED)),
    }


def inside(file: Path, pte: PteFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a Proof on heavy operators; how many of those in integers take ranges as they come.

    Nothing is said where a delegate is another than XNNPACK: what it computes with is its own.
    """
    if any(one.backend != XNNPACK for one in pte.delegates):
        return {}, {}
    found, dynamic = list(_kernels(pte.kernels)), 0
    for part in pte.delegates:
        graph = _graph(file, part)
        values = {tensor.number(6, "Uint32"): (kind, tensor) for kind, tensor in map(_tensor, graph.tables(2))}
        for place, node in enumerate(graph.tables(1)):
            kind, content = node.union(0)
            if content is not None and (heavy := _heavy(kind, content, values, f"node {place}")):
                found.append(heavy[0])
                dynamic += heavy[1]
    return weighed(found), {"dynamic_ranges": dynamic} if dynamic else {}


def _graph(file: Path, part: Delegate) -> FlatTable:
    with file.open("rb") as opened:
        opened.seek(part.start)
        content = opened.read(part.size)
    if content[_HEADER] == _MAGIC:
        start, size = (int.from_bytes(content[at : at + 4], "little") for at in (10, 14))
        content = content[start : start + size]
    return FlatTable.root(content)


def _tensor(value: FlatTable) -> tuple[bool, FlatTable]:
    """Whether a value is quantized, and its tensor."""
    kind, tensor = value.union(0)
    if tensor is None:
        raise ValueError("a value of XNNPACK's graph has no content")
    return (True, tensor.table(0) or tensor) if kind == 2 else (False, tensor)  # noqa: PLR2004 - as the schema has them


def _heavy(
    kind: int, node: FlatTable, values: dict[int, tuple[bool, FlatTable]], name: str
) -> tuple[HeavyOp, bool] | None:
    """A heavy node of XNNPACK's graph, and whether it takes the ranges of activations as they come."""

    def of(field: int) -> FlatTable:
        return values[node.number(field, "Uint32")][1]

    def sizes(field: int) -> list[int]:
        return of(field).numbers(2, "Uint32")

    def made(what: str, taken: int, weight: int, work: int | None) -> tuple[HeavyOp, bool]:
        integer = of(weight).number(0, "Int16") in _INTEGERS
        return HeavyOp(name, what, integer, work), integer and of(taken).number(0, "Int16") in _DYNAMIC

    if kind in _CONVOLUTIONS:
        window = node.number(4, "Uint32") * node.number(5, "Uint32")
        # Of a transposed one each value that it takes is used for all outputs of its group.
        used, ways = (sizes(15), node.number(11, "Uint32")) if kind == _TRANSPOSED else (sizes(18), 0)
        return made(_CONVOLUTIONS[kind], 15, 16, math.prod(used) * window * (ways or node.number(10, "Uint32")))
    if kind in _PRODUCTS:
        out = 3 if kind == 2 else 2  # noqa: PLR2004 - after the bias
        return made(_PRODUCTS[kind], 0, 1, math.prod(sizes(out)) * sizes(0)[-1])
    if kind == _ATTENTION:
        return HeavyOp(name, "attention", integer=False, work=None), False
    return None


def _kernels(kernels: tuple[Kernel, ...]) -> Iterator[HeavyOp]:
    """The heavy operators outside of all delegates: they compute in floating point."""
    for place, one in enumerate(kernels):
        library, _, rest = one.name.rpartition("::")
        kind = _KERNELS.get(rest.partition(".")[0]) if library in ("aten", "") else None
        if kind is not None:
            yield HeavyOp(f"{one.name} {place}", kind, integer=False, work=_kernel_work(kind, one))


def _kernel_work(kind: str, kernel: Kernel) -> int | None:
    tensors = [one for one in kernel.values if one is not None]
    if kind == "attention" or len(tensors) < 3 or any(None in one.shape for one in tensors):  # noqa: PLR2004
        return None
    first, second, out = _shape(tensors[0]), _shape(tensors[1]), _shape(tensors[-1])
    if kind == "convolution":
        return convolution(out, second, second[0])
    # A bias may come before the two factors.
    factor = second if kernel.name.startswith("aten::addmm") else first
    return math.prod(out) * factor[-1]


def _shape(tensor: PteTensor) -> list[int]:
    return [size or 0 for size in tensor.shape]
