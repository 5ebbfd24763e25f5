"""Stores quantized weights as integers in an ONNX graph, in the arrangement that ONNX Runtime fuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any


def fold_weights(model: Any) -> int:
    """Turns each weight that is quantized while the model runs into an integer one; returns how many.

    Exporters write float weight -> QuantizeLinear -> DequantizeLinear [-> Transpose] -> MatMul: four times the size,
    and a pattern that is not fused, so that every request dequantizes all weights. A quantized embedding is looked up
    first and dequantized after. The model is changed in place; what it computes stays the same to the last bit.
    """
    import onnx

    graph = _Graph(model.graph)
    folded = 0
    for node in [n for n in model.graph.node if n.op_type == "QuantizeLinear"]:
        weight, users = graph.value(node.input[0]), graph.users(node.output[0])
        parameters = [graph.value(name) for name in node.input[1:3]]
        if weight is None or len(users) != 1 or len(parameters) != 2 or any(p is None for p in parameters):  # noqa: PLR2004
            continue
        (user,), (scale, zero) = users, parameters
        if user.op_type != "DequantizeLinear":
            continue
        axis = _attribute(node, "axis", 1)
        graph.replace(user, 0, f"{node.output[0]}_stored", _quantized(weight, scale, zero, axis))
        folded += 1
        consumers = graph.users(user.output[0])
        if len(consumers) == 1 and consumers[0].op_type == "Transpose":
            _transpose(graph, user, consumers[0])
        elif len(consumers) == 1 and consumers[0].op_type == "Gather" and scale.size == 1:
            _gather_first(graph, user, consumers[0])
    graph.drop_unused()
    onnx.checker.check_model(model)
    return folded


class _Graph:
    """What is where in a graph that is being changed."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self._read: Callable[[Any], Any] = numpy_helper.to_array
        self._made: Callable[..., Any] = numpy_helper.from_array
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._constants = {
            node.output[0]: node.attribute[0].t
            for node in graph.node
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }

    def value(self, name: str) -> Any:
        """The array of a constant or a stored weight; None when it is computed."""
        tensor = self._stored.get(name, self._constants.get(name))
        return None if tensor is None else self._read(tensor)

    def users(self, name: str) -> list[Any]:
        return [node for node in self.graph.node if name in node.input]

    def replace(self, node: Any, place: int, name: str, array: Any) -> None:
        """Lets an input of a node be a stored array of that name."""
        tensor = self._made(array, name)
        self.graph.initializer.append(tensor)
        self._stored[name] = tensor
        node.input[place] = name

    def reroute(self, old: str, new: str) -> None:
        """Consumers of one output get another."""
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def drop_unused(self) -> None:
        """Removes nodes and weights that are not used any more."""
        outputs = {value.name for value in self.graph.output}
        while True:
            used = Counter(name for node in self.graph.node for name in node.input)
            idle = [n for n in self.graph.node if not any(used[o] or o in outputs for o in n.output)]
            for node in idle:
                self.graph.node.remove(node)
            if not idle:
                break
        for tensor in [t for t in self.graph.initializer if not used[t.name]]:
            self.graph.initializer.remove(tensor)


def _attribute(node: Any, name: str, otherwise: Any) -> Any:
    import onnx

    found = [onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name]
    return found[0] if found else otherwise


def _quantized(weight: Any, scale: Any, zero: Any, axis: int) -> Any:
    """As QuantizeLinear is defined: rounded half to even, saturated."""
    import numpy as np

    if scale.ndim == 1 and scale.size > 1:
        shape = [-1 if a == axis % weight.ndim else 1 for a in range(weight.ndim)]
        scale, offset = scale.reshape(shape), zero.reshape(shape)
    else:
        scale, offset = scale.reshape(()), zero.reshape(())
    limits = np.iinfo(zero.dtype)
    whole = np.rint(weight / scale) + offset.astype(np.float32)
    return np.clip(whole, limits.min, limits.max).astype(zero.dtype)


def _transpose(graph: _Graph, dequantize: Any, transpose: Any) -> None:
    """The stored weight is transposed instead of the dequantized one."""
    import numpy as np
    import onnx

    stored = graph.value(dequantize.input[0])
    order = list(_attribute(transpose, "perm", range(stored.ndim)[::-1]))
    axis = _attribute(dequantize, "axis", 1) % stored.ndim
    graph.replace(dequantize, 0, f"{dequantize.input[0]}_t", np.ascontiguousarray(stored.transpose(order)))
    for attribute in [a for a in dequantize.attribute if a.name == "axis"]:
        dequantize.attribute.remove(attribute)
    dequantize.attribute.append(onnx.helper.make_attribute("axis", order.index(axis)))
    graph.reroute(transpose.output[0], dequantize.output[0])


def _gather_first(graph: _Graph, dequantize: Any, gather: Any) -> None:
    """Looks integers up and dequantizes the few rows, not the table: one scale serves all of it."""
    rows, table = gather.output[0], dequantize.input[0]
    graph.reroute(rows, dequantize.output[0])
    gather.input[0] = table
    gather.output[0] = f"{rows}_stored"
    dequantize.input[0] = gather.output[0]
    # Nodes are in the order in which they run.
    nodes = graph.graph.node
    nodes.remove(dequantize)
    nodes.insert(list(nodes).index(gather) + 1, dequantize)
