"""What a model file says of itself: its inputs and outputs by name, with types and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.formats import MODEL_FILES
from harness.core.state import StateInput

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output; ``shape`` has None where a size may vary, and is None where nothing is said of it.

    ``axes`` are the names of the sizes that vary, as the file writes them.
    """

    name: str
    dtype: str
    shape: Shape | None
    axes: tuple[str, ...] = ()

    def fits(self, shape: Sequence[int], first: int = 0) -> bool:
        """Whether an array of this shape may be it, as far as the file says; axes before ``first`` may be any."""
        if self.shape is None:
            return True
        sizes = list(zip(self.shape, shape, strict=False))
        return len(shape) == len(self.shape) and all(size in (None, own) for size, own in sizes[first:])

    def __str__(self) -> str:
        sizes = "unknown" if self.shape is None else "x".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({self.dtype} {sizes or 'scalar'})"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a file in its own order, and in a few words what it is."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    about: str

    @property
    def batch(self) -> int | None:
        """The only batch size that the file takes; None where the first axis may vary."""
        sizes = {port.shape[0] for port in self.inputs if port.shape}
        return sizes.pop() if len(sizes) == 1 else None

    def without(self, state: Sequence[StateInput]) -> Signature:
        """The same without the inputs that carry state."""
        names = {one.name for one in state}
        return replace(self, inputs=tuple(port for port in self.inputs if port.name not in names))

    @property
    def batch_names(self) -> list[str]:
        """What the file calls the first axis of its inputs."""
        return sorted({port.axes[0] for port in self.inputs if port.axes and port.axes[0]})


def read_signature(file: Path) -> Signature:
    """Reads the file's header; no session is made. Raises KpiError, with the reason, where it is not such a model."""
    made = MODEL_FILES.get(file.suffix.lower())
    if made is None:
        raise KpiError(f"{file.name} is of no format that is known", f"known are {', '.join(MODEL_FILES)}")
    if file.is_dir():
        raise KpiError(f"model {file} is a folder", "name the file in it")
    if not file.is_file():
        raise Unavailable(f"model {file} is not here", "check its path")
    stat = file.stat()
    return _read(made, file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(made: str, file: Path, *_: int) -> Signature:
    """A build asks the same file several times; the numbers tell when it is another one."""
    try:
        return {"onnx": _of_onnx, "openvino": _of_openvino}[made](file)
    except ImportError as error:
        raise Unavailable(f"{file.name} needs {error.name} to be read", f"pip install {error.name}") from error


def signature_of(folder: Path) -> Signature | None:
    """That of the model file in an artifact; None where it holds none that is known here."""
    found = [folder / f"model{suffix}" for suffix in MODEL_FILES if (folder / f"model{suffix}").exists()]
    return read_signature(found[0]) if found else None


def model_files(file: Path) -> list[Path]:
    """The file with those that belong to it: weights next to the graph. Raises KpiError where one lies elsewhere."""
    if file.suffix.lower() == ".xml":
        weights = file.with_suffix(".bin")
        return [file, *([weights] if weights.is_file() else [])]
    return [file, *_external(file)]


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
        raise KpiError(f"{file.name} is not an ONNX model, or a truncated one: it has no outputs")
    return model


def _of_onnx(file: Path) -> Signature:
    model = _parsed(file)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_onnx_port(file, value) for value in graph.input if value.name not in stored)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    written = f", written by {model.producer_name} {model.producer_version}".rstrip() if model.producer_name else ""
    return Signature(
        inputs,
        tuple(_onnx_port(file, value) for value in graph.output),
        f"ONNX, opset {opsets.get('ai.onnx', '?')}{written}",
    )


def _onnx_port(file: Path, value: Any) -> Port:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise KpiError(f'{file.name}: "{value.name}" is a {kind or "value without a type"}, not a tensor')
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


def _of_openvino(file: Path) -> Signature:
    import openvino as ov

    try:
        model = ov.Core().read_model(file)
    except RuntimeError as error:
        raise KpiError(
            f"{file.name} is not an OpenVINO model, or a damaged one: {reason(error)}",
            "convert it again, and keep the .bin next to it",
        ) from error
    return Signature(
        tuple(_ov_port(port) for port in model.inputs),
        tuple(_ov_port(port) for port in model.outputs),
        f"OpenVINO IR, {len(model.get_ops())} operations",
    )


def _ov_port(port: Any) -> Port:
    import numpy as np

    partial = port.get_partial_shape()
    shape: Shape | None = None
    if partial.rank.is_static:
        shape = tuple(size.get_length() if size.is_static else None for size in partial)
    name = next(iter(sorted(port.get_names())), "")
    return Port(name, str(np.dtype(port.get_element_type().to_dtype())), shape)
