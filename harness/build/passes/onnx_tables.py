"""Which inputs of an ONNX graph are places in a table of weights, and how many rows the smallest of these has."""

from __future__ import annotations

from typing import Any

_THROUGH = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
"""What leaves the numbers of its first input as they are."""
_OF_WEIGHTS = {"DequantizeLinear", "Cast", "Identity"}


def table_rows(model: Any) -> dict[str, int]:
    """The rows of the smallest table that each input chooses rows from; only inputs that reach one unchanged."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    inputs = {value.name for value in graph.input} - sizes.keys()
    found = dict[str, int]()
    for node in graph.node:
        if node.op_type != "Gather" or node.domain not in ("", "ai.onnx"):
            continue
        table, chosen = _source(node.input[0], makers, _OF_WEIGHTS), _source(node.input[1], makers, _THROUGH)
        if table not in sizes or chosen not in inputs:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        rows = sizes[table][axis]
        found[chosen] = min(rows, found.get(chosen, rows))
    return found


def _source(name: str, makers: dict[str, Any], through: set[str]) -> str:
    """The value that a value is, but for nodes of these kinds."""
    while name in makers and makers[name].op_type in through:
        name = makers[name].input[0]
    return name
