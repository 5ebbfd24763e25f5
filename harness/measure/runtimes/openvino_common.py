"""What the runtimes on top of OpenVINO share: devices, properties, what went wrong, what ran."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime
from harness.measure.runtimes.work import HeavyOp, convolution, recurrent, weighed

_HEAVY = frozenset({"Convolution", "FullyConnected", "MatMul", "Deconvolution", "RNNSeq", "RNNCell"})
_INTEGER = frozenset({"i8", "u8", "i4", "u4", "I8", "U8", "I4", "U4"})


class GenAiRuntime(Runtime):
    """What the pipelines of OpenVINO GenAI have in common."""

    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = ("openvino-genai",)
    profiles = False

    @classmethod
    def available_devices(cls) -> str:
        import openvino_genai  # noqa: F401 - a broken installation shows here

        return devices()

    def import_library(self) -> None:
        require(
            "openvino_genai", "openvino-genai", "openvino-genai"
        )  # its memory and import time are not the artifact's


def devices() -> str:
    """The devices that OpenVINO finds, for a person."""
    import openvino as ov

    return "devices " + (", ".join(ov.Core().available_devices) or "none")


def require_device(device: str) -> str:
    """OpenVINO's name of a device; Unavailable when OpenVINO does not find one."""
    import openvino as ov

    wanted, core = device.upper(), ov.Core()
    try:
        # Loads that device's plugin alone; a list of all devices would load and ask every plugin.
        core.get_property(wanted, "FULL_DEVICE_NAME")
    except RuntimeError:
        found = ", ".join(core.available_devices) or "none"
        said = f"OpenVINO finds no {wanted} (it finds: {found})"
        raise Unavailable(said, f"install the {wanted} driver") from None
    return wanted


def cannot_load(library: str, device: str, error: Exception) -> KpiError:
    """What is said when an artifact can't be loaded."""
    return KpiError(f"{library} can't load the artifact on {device}: {reason(error)}")


def language_properties(options: Any, device: str) -> dict[str, Any]:
    """The properties for ``precision``, ``kv_cache`` and ``threads`` of a language model's runtime."""
    found: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if options.precision != "device":
        found["INFERENCE_PRECISION_HINT"] = options.precision
    if options.kv_cache != "device":
        found["KV_CACHE_PRECISION"] = options.kv_cache
    if options.threads is not None and device == "CPU":
        found["INFERENCE_NUM_THREADS"] = options.threads
    return found


def compiled_proof(compiled: Any, runtime: str, layers: tuple[tuple[str, str, float], ...] = ()) -> Proof:
    """What a compiled model says of itself: devices, precisions, threads."""
    import openvino as ov

    found = weighed(_heavy_ops(compiled))
    known = {str(name) for name in compiled.get_property("SUPPORTED_PROPERTIES")}

    def read(name: str) -> Any:
        return compiled.get_property(name) if name in known else None

    hint, threads = read("INFERENCE_PRECISION_HINT"), read("INFERENCE_NUM_THREADS")
    precision = hint.get_type_name() if hint else "unknown"
    return Proof(
        runtime=runtime,
        version=ov.__version__.split("-")[0],
        device=", ".join(str(name) for name in compiled.get_property("EXECUTION_DEVICES")),
        precision=f"int8+{precision}" if found["integer_ops"] else precision,
        threads=None if threads is None else int(threads),
        **found,
        details={"streams": str(read("NUM_STREAMS")), "hint": str(read("PERFORMANCE_HINT"))},
        layers=layers,
    )


def _heavy_ops(compiled: Any) -> Iterator[HeavyOp]:
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        kind = _text(info, "layerType")
        if kind in _HEAVY:
            integer = _text(info, "runtimePrecision") in _INTEGER
            yield HeavyOp(node.get_friendly_name(), kind, integer, _work(kind, node))


def _work(kind: str, node: Any) -> int | None:
    """The multiplications of an operation of the runtime's graph; None while a shape is not fixed."""
    ports = [port.get_partial_shape() for port in (*node.inputs(), *node.outputs())]
    if not all(shape.is_static for shape in ports):
        return None
    shapes = [tuple(shape.to_shape()) for shape in ports]
    inputs, out = shapes[: len(node.inputs())], shapes[len(node.inputs())]
    if kind == "RNNSeq":
        # States (batch, steps, width); the weights are the two inputs of three axes in front of the bias.
        return recurrent(inputs[0][0] * inputs[0][1], inputs[-3:-1])
    if kind == "RNNCell":
        return recurrent(inputs[0][0], inputs[-3:-1])
    if kind == "Convolution":
        return convolution(out, inputs[1], out[1])
    if kind == "Deconvolution":
        return convolution(inputs[0], inputs[1], inputs[0][1])
    work: int = math.prod(out) * inputs[0][-1]
    return work


def _text(info: Any, key: str) -> str:
    try:
        value = info[key]
    except (KeyError, RuntimeError):
        return ""
    return str(value.astype(str) if hasattr(value, "astype") else value)
