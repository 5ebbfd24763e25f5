"""What an ONNX language model's graph says of itself: precisions, where adapters go in."""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.tasks.language.passes.hf_llm import ADAPTERS

if TYPE_CHECKING:
    from harness.tasks.language.passes.peft_adapter import LowRank

FORMAT = "onnx-genai"
GRAPH = "model.onnx"
_LORA = (".lora_A.", ".lora_B.")
_UNPACKED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
"""Modules that the model builder takes apart: the outputs of the one are those of the others, one after the other."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Matrix products with constant weights by precision of these, such as ``int4``; bytes of constants by type.

    ``adapters`` counts the products that adapters bring.
    """

    products: Mapping[str, int]
    bytes: Mapping[str, int]
    adapters: int

    @property
    def main(self) -> str:
        """The precision of most products."""
        return max(self.products, key=lambda kind: self.products[kind]) if self.products else "unknown"


def read_graph(file: Path) -> Any:
    """The graph without its weights, which may be gigabytes; KpiError when it can't be read."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(file), load_external_data=False)
    except (OSError, DecodeError) as error:
        raise KpiError(f"{file.name} can't be read: {error}") from None


def copy_beside(source: Path, out: Path, *, graph: bool = False, adapters: bool = True) -> None:
    """Copies what belongs to a graph, and on request the graph itself; the manifest is the other artifact's."""
    for file in sorted(p for p in source.rglob("*") if p.is_file() and p.name != "manifest.json"):
        relative = file.relative_to(source)
        if (graph or not relative.name.startswith(GRAPH)) and (adapters or relative.parts[0] != ADAPTERS):
            (out / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, out / relative)


def precision_of(model: Any) -> Precision:
    """Counts what the graph multiplies with; the proof of a precision."""
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    adapters = {value.name for value in model.graph.input if is_lora(value.name)}
    products: Counter[str] = Counter()
    switched = 0
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            products[f"int{_attribute(node, 'bits', 4)}"] += 1
        elif node.op_type in {"MatMul", "Gemm"} and len(node.input) > 1:
            if node.input[1] in adapters:
                switched += 1
            elif node.input[1] in constants:
                products[_short(onnx.TensorProto.DataType.Name(constants[node.input[1]].data_type))] += 1
    sizes: Counter[str] = Counter()
    for tensor in constants.values():
        bits = 4 if tensor.data_type in {onnx.TensorProto.INT4, onnx.TensorProto.UINT4} else 0
        width = bits or 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        kind = _short(onnx.TensorProto.DataType.Name(tensor.data_type))
        sizes[kind] += (math.prod(tensor.dims) * width + 7) // 8
    return Precision(dict(sorted(products.items())), dict(sorted(sizes.items())), switched)


def is_lora(name: str) -> bool:
    """Whether a tensor of the graph is an adapter's."""
    return any(part in name for part in _LORA)


def lora_type(model: Any) -> str:
    """The element type that adapters are fed in, under NumPy's name."""
    import onnx

    kinds = {value.type.tensor_type.elem_type for value in model.graph.input if is_lora(value.name)}
    return str(onnx.helper.tensor_dtype_to_np_dtype(kinds.pop()))


def lora_shapes(model: Any) -> dict[str, tuple[int | str, ...]]:
    """The inputs that adapters are fed into, with their shapes; the rank is a name, since it may differ."""
    found = {}
    for value in model.graph.input:
        if is_lora(value.name):
            found[value.name] = tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
    return found


def lora_nodes(weights: Mapping[str, LowRank]) -> list[str]:
    """The products of an adapter by the names that the builder gives them; a name that the graph lacks does no harm."""
    spots = {spot for module in weights for spot in (*_spots(module), _graph_name(module))}
    names = {_input(spot, part).removesuffix(".weight") for spot in spots for part in "AB"}
    return sorted("/" + re.sub(r"\.(?!\d)", "/", name) for name in names)


def open_for_adapters(file: Path, out: Path) -> None:
    """Writes the graph to the folder ``out``, the matrices of its adapter turned into inputs that may be left out.

    What is left out has rank 0: its product is all zeros, and nothing is added to the model's own.
    """
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    matrices = [tensor for tensor in graph.initializer if is_lora(tensor.name)]
    if not matrices:
        raise KpiError("the builder made no products for the adapter", "see build.log")
    for tensor in matrices:
        rows, columns = tensor.dims
        rank = f"{tensor.name.partition('.lora_')[0]}.rank"
        first = ".lora_A." in tensor.name
        shape = [rows, rank] if first else [rank, columns]
        graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, shape))
        empty = onnx.helper.make_tensor(tensor.name, tensor.data_type, [rows, 0] if first else [0, columns], [])
        tensor.CopyFrom(empty)
    # What is between the two matrices is as wide as the rank.
    between = [value for value in graph.value_info if "/lora_A/" in value.name]
    for value in between:
        graph.value_info.remove(value)
    out.mkdir()
    onnx.save_model(model, str(out / GRAPH), save_as_external_data=True, location=f"{GRAPH}.data", size_threshold=1024)


def placed(weights: Mapping[str, LowRank], names: Mapping[str, Any]) -> dict[str, Any]:
    """An adapter's matrices under the graph's names; those of modules that were taken apart are taken apart too.

    ``names`` are the graph's own, with shapes (inputs, rank) and (rank, outputs). KpiError when a module has no place,
    or another shape: the adapter is for another base.
    """
    found: dict[str, Any] = {}
    for module, low in weights.items():
        places = (_spots(module), [_graph_name(module)])
        spots = next((p for p in places if all(_input(spot, x) in names for spot in p for x in "AB")), None)
        if spots is None:
            raise KpiError(f"the adapter is for another base: the graph has no place for {module}")
        widths = [int(names[_input(spot, "B")][1]) for spot in spots]
        heights = {int(names[_input(spot, "A")][0]) for spot in spots}
        if sum(widths) != low.b.shape[1] or heights != {low.a.shape[0]}:
            raise KpiError(
                f"the adapter is for another base: {module} maps {low.a.shape[0]} to {low.b.shape[1]} there, "
                f"{min(heights)} to {sum(widths)} here"
            )
        start = 0
        for spot, width in zip(spots, widths, strict=True):
            found[_input(spot, "A")] = low.a
            found[_input(spot, "B")] = low.b[:, start : start + width].copy()
            start += width
    return found


def _input(spot: str, part: str) -> str:
    return f"{spot}.lora_{part}.MatMul.weight"


def _graph_name(module: str) -> str:
    return module.replace(".self_attn.", ".attn.")


def _spots(module: str) -> list[str]:
    parent, _, last = _graph_name(module).rpartition(".")
    return [f"{parent}.{part}" for part in _UNPACKED.get(last, (last,))]


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _short(kind: str) -> str:
    return {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16"}.get(kind, kind.lower())
