"""Takes an ``.onnx`` file as it was delivered, with its external weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.model_file import ModelFile, turns
from harness.build.passes.onnx_files import session_of
from harness.build.passes.onnx_tables import table_rows
from harness.core.errors import KpiError, reason
from harness.workloads.files.signature import Port, Signature

if TYPE_CHECKING:
    from harness.build.passes.faithful import Run

_CLASSICAL = "ai.onnx.ml"
"""The operators of trees, linear models and the like; quantizers and most runtimes know none of them."""


class OnnxFile(ModelFile):
    """An ``.onnx`` file."""

    name = "onnx-file"
    title = "the ONNX file as delivered"
    output_format = "onnx"
    requires = ("onnx",)
    suffixes = (".onnx",)

    @classmethod
    def signature(cls, file: Path) -> Signature:
        model = _parsed(file)
        graph = model.graph
        stored = {tensor.name for tensor in graph.initializer}
        inputs = tuple(_port(file, value) for value in graph.input if value.name not in stored)
        opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        written = f", written by {model.producer_name} {model.producer_version}".rstrip() if model.producer_name else ""
        return Signature(
            inputs,
            tuple(_port(file, value) for value in graph.output),
            f"ONNX, opset {opsets.get('ai.onnx', '?')}{written}",
            ", ".join(sorted({node.op_type for node in graph.node if node.domain == _CLASSICAL})),
        )

    @classmethod
    def belonging(cls, file: Path) -> list[Path]:
        """The graph, and its external weights."""
        return [file, *_external(file)]

    @classmethod
    def table_rows(cls, file: Path) -> dict[str, int]:
        return table_rows(_parsed(file))

    @classmethod
    def opened(cls, folder: Path) -> Run:
        session = session_of(folder / "model.onnx")
        names = [output.name for output in session.get_outputs()]
        return lambda feeds: dict(zip(names, session.run(None, dict(feeds)), strict=True))

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        import onnx
        from onnx import numpy_helper

        found = onnx.load(model, load_external_data=False)
        kept = [value for value in found.graph.input if value.name not in constants]
        del found.graph.input[:]
        found.graph.input.extend(kept)
        found.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        model.write_bytes(found.SerializeToString())

    def turn(self, model: Path, axes: Mapping[str, int]) -> None:
        import onnx

        found = onnx.load(model, load_external_data=False)
        graph, names = found.graph, {name: f"{name}/as_delivered" for name in axes}
        _rename(graph, names)
        before, after = list[Any](), list[Any]()
        for values, given in ((graph.input, True), (graph.output, False)):
            for value in values:
                if value.name not in axes:
                    continue
                sizes = value.type.tensor_type.shape.dim
                there, back = turns(axes[value.name], len(sizes))
                moved = [onnx.TensorShapeProto.Dimension.FromString(sizes[i].SerializeToString()) for i in back]
                del sizes[:]
                sizes.extend(moved)
                own, inner = value.name, names[value.name]
                ends = ([own], [inner]) if given else ([inner], [own])
                node = onnx.helper.make_node("Transpose", *ends, perm=there if given else back, name=f"{own}/turned")
                (before if given else after).append(node)
        nodes = [*before, *graph.node, *after]
        del graph.node[:]
        graph.node.extend(nodes)
        model.write_bytes(found.SerializeToString())


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Gives values other names wherever nodes take or make them, in branches and loops too."""
    for node in graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _rename(inner, names)


def _external(file: Path) -> list[Path]:
    """The files of an ONNX model's external weights; most models have none, and are not parsed to find that out."""
    import mmap

    with file.open("rb") as opened:
        if not file.stat().st_size:
            return []
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(b"location") < 0:
                return []
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

    tensors = _get_all_tensors(_parsed(file))
    names = {ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}
    found = []
    for name in sorted(names):
        weights = (file.parent / name).resolve()
        if not weights.is_relative_to(file.parent.resolve()):
            raise KpiError(f"{file.name}: its weights are in {name}, outside of its folder", "keep them next to it")
        if not weights.is_file():
            raise KpiError(f"{file.name}: its weights are in {name}, which is not here", "copy that file next to it")
        found.append(file.parent / name)
    return found


def _parsed(file: Path) -> Any:
    import onnx

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:
        raise KpiError(
            f"{file.name} is not an ONNX model, or a truncated one: {reason(error)}", "fetch or export it again"
        ) from error
    if not model.graph.output or not model.opset_import:
        raise KpiError(
            f"{file.name} is not an ONNX model, or a truncated one: it has no outputs", "fetch or export it again"
        )
    return model


def _port(file: Path, value: Any) -> Port:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise KpiError(
            f'{file.name}: "{value.name}" is a {kind or "value without a type"}, not a tensor',
            'of scikit-learn: to_onnx(..., options={"zipmap": False})' if kind == "sequence_type" else "",
        )
    tensor = value.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "string"
    else:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if not tensor.HasField("shape"):
        return Port(value.name, dtype, None)
    sizes = tensor.shape.dim
    shape = tuple(size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None for size in sizes)
    return Port(value.name, dtype, shape, tuple(size.dim_param for size in sizes))
