"""ONNX models on disk: one file, or weights in a file next to the graph where they are too large for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, reason

PROTOBUF_LIMIT = 1_500_000_000
"""Bytes of weights from which on they go to a file of their own: a single ONNX file ends at 2 GiB."""


def has_external_weights(model: Path) -> bool:
    """Whether the weights of a model lie in files next to the graph, or are so large that they must."""
    import onnx
    from onnx.external_data_helper import uses_external_data

    if model.stat().st_size > PROTOBUF_LIMIT:
        return True
    graph = onnx.load(model, load_external_data=False).graph
    return any(uses_external_data(tensor) for tensor in graph.initializer)


def session_of(model: Path) -> Any:
    """A session of ONNX Runtime on the CPU, for what a pass looks at: nothing is timed, so no thread spins."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])


def opset(model: Any) -> int:
    """The version of ONNX's own operators that a ModelProto is written in."""
    return int(next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1))


def remove(model: Path) -> None:
    """Removes a graph and the weights next to it: writers of external data append to a file that exists."""
    for file in (model, model.with_name(f"{model.name}.data")):
        file.unlink(missing_ok=True)


def prepare(source: Path, out: Path, *, least_opset: int = 0, remedy: str = "") -> Path:
    """Makes a graph ready for ONNX Runtime's quantizers; returns ``out``, whose operators all have names.

    Shapes are inferred, what can be folded is folded, the opset is raised to ``least_opset``. Raises KpiError, with
    ``remedy``, where it can't be raised.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if (found := opset(onnx.load(source, load_external_data=False))) < least_opset:
        source = _raised(source, out.with_name(f"opset-{least_opset}.onnx"), found, least_opset, remedy)
    external = has_external_weights(source)
    quant_pre_process(
        str(source),
        str(out),
        skip_symbolic_shape=True,
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        external_data_location=f"{out.name}.data",
    )
    model = onnx.load(out, load_external_data=False)
    # The exporter notes a shape for each weight as if it were an activation; the dynamic quantizer transposes weights
    # and then stumbles over the note.
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = [info for info in model.graph.value_info if info.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    # Quantizers leave operators out by name.
    taken = {node.name for node in model.graph.node}
    for place, node in enumerate(model.graph.node):
        if not node.name:
            name = f"{node.op_type}_{place}"
            node.name = name if name not in taken else f"{name}_{node.output[0]}"
    onnx.save(model, out)
    return out


def _raised(source: Path, out: Path, found: int, wanted: int, remedy: str) -> Path:
    import onnx
    from onnx import version_converter

    try:
        model = version_converter.convert_version(onnx.load(source), wanted)
    except Exception as error:
        raise KpiError(
            f"{source.name} is written in opset {found} and can't be raised to {wanted}: {reason(error)}", remedy
        ) from error
    onnx.save(model, out)
    return out
