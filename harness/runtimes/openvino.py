"""OpenVINO on CPU, GPU, NPU or AUTO."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import KpiError, Unavailable
from harness.measure.records import Proof
from harness.registry import options
from harness.runtimes.base import Runtime, Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.runtimes.base import Arrays

_HEAVY = frozenset({"Convolution", "FullyConnected", "MatMul", "Deconvolution"})
_INTEGER = frozenset({"i8", "u8", "i4", "u4", "I8", "U8", "I4", "U4"})


class OpenVinoRuntime(Runtime):
    """``openvino.compile_model``. Precision is f32 unless said otherwise: left alone, a CPU may compile to bf16."""

    name = "openvino"
    title = "OpenVINO"
    runs = frozenset({"openvino", "onnx"})
    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = ("openvino",)

    @options
    class Options:
        """OpenVINO's properties.

        ``hint``, ``streams``, ``threads``, ``precision`` ("device" leaves the choice to the device), ``pinning``;
        ``auto`` compiles for AUTO; ``static`` fixes the batch axis.
        """

        hint: Literal["latency", "throughput", "cumulative_throughput"] = "latency"
        streams: int | None = None
        threads: int | None = None
        precision: Literal["f32", "bf16", "f16", "device"] = "f32"
        pinning: bool | None = None
        auto: bool = False
        static: bool = True

        def __post_init__(self) -> None:
            for name in ("streams", "threads"):
                value = getattr(self, name)
                if value is not None and value < 1:
                    raise ValueError(f"{name} must be at least 1")

    def start(self) -> None:
        try:
            import openvino  # noqa: F401 - its memory and import time are not the artifact's
        except ImportError as error:
            raise Unavailable(f"openvino can't be imported: {error}", "pip install openvino") from error

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        import openvino as ov

        core = ov.Core()
        wanted = device.upper()
        if not any(name.split(".")[0] == wanted for name in core.available_devices):
            here = ", ".join(core.available_devices) or "none"
            raise Unavailable(f"OpenVINO finds no {wanted} (it finds: {here})", f"install the {wanted} driver")
        file = next((artifact / name for name in ("model.xml", "model.onnx") if (artifact / name).exists()), None)
        if file is None:
            raise KpiError(f"artifact {artifact.name[:12]} holds no model.xml and no model.onnx")
        try:
            model = core.read_model(str(file))
            if batch is not None and self.options.static:
                model.reshape({port: [batch, *list(port.partial_shape)[1:]] for port in model.inputs})
            target = f"AUTO:{wanted}" if self.options.auto else wanted
            properties = self._properties(wanted) | ({"PERF_COUNT": True} if profile else {})
            compiled = core.compile_model(model, target, properties)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
            raise KpiError(f"OpenVINO can't load the artifact on {wanted}: {lines[-1][:300]}") from error
        ran = [str(name) for name in compiled.get_property("EXECUTION_DEVICES")]
        if not all(name.strip("()").split(".")[0] == wanted for name in ran):
            raise KpiError(f"asked for {wanted}, OpenVINO runs on {', '.join(ran)}")
        return _OvSession(compiled, profile=profile)

    def _properties(self, device: str) -> dict[str, Any]:
        found: dict[str, Any] = {"PERFORMANCE_HINT": self.options.hint.upper()}
        if self.options.streams is not None:
            found["NUM_STREAMS"] = self.options.streams
        if self.options.threads is not None and device == "CPU":
            found["INFERENCE_NUM_THREADS"] = self.options.threads
        # An NPU has no f32 and refuses the hint.
        if self.options.precision != "device" and device != "NPU":
            found["INFERENCE_PRECISION_HINT"] = self.options.precision
        if self.options.pinning is not None and device == "CPU":
            found["ENABLE_CPU_PINNING"] = self.options.pinning
        return found


class _OvSession(Session):
    def __init__(self, compiled: Any, *, profile: bool) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._names = [port.get_any_name() for port in compiled.outputs]
        self._profile = profile

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        answer = self._request.infer(feeds, share_inputs=True)
        return dict(zip(self._names, answer.to_tuple(), strict=True))

    @property
    def requests(self) -> int:
        return int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def run_all(self, batches: Iterable[Arrays]) -> None:
        import openvino as ov

        queue = ov.AsyncInferQueue(self._compiled, self.requests)
        for feeds in batches:
            queue.start_async(feeds, share_inputs=True)
        queue.wait_all()

    def proof(self) -> Proof:
        import openvino as ov

        heavy = integer = 0
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            if _text(info, "layerType") in _HEAVY:
                heavy += 1
                integer += _text(info, "runtimePrecision") in _INTEGER
        known = {str(name) for name in self._compiled.get_property("SUPPORTED_PROPERTIES")}

        def read(name: str) -> Any:
            return self._compiled.get_property(name) if name in known else None

        hint, threads = read("INFERENCE_PRECISION_HINT"), read("INFERENCE_NUM_THREADS")
        precision = hint.get_type_name() if hint else "unknown"
        return Proof(
            runtime="openvino",
            version=ov.__version__.split("-")[0],
            device=", ".join(str(name) for name in self._compiled.get_property("EXECUTION_DEVICES")),
            precision=f"int8+{precision}" if integer else precision,
            threads=None if threads is None else int(threads),
            heavy_ops=heavy,
            integer_ops=integer,
            details={"streams": str(read("NUM_STREAMS")), "hint": str(read("PERFORMANCE_HINT"))},
            layers=self._layers() if self._profile else (),
        )

    def _layers(self) -> tuple[tuple[str, str, float], ...]:
        """The slowest operations of the last request."""
        spent = [
            (i.node_name, i.node_type, i.real_time.total_seconds()) for i in self._request.profiling_info if i.real_time
        ]
        return tuple(sorted(spent, key=lambda layer: -layer[2])[:10])


def _text(info: Any, key: str) -> str:
    try:
        value = info[key]
    except (KeyError, RuntimeError):
        return ""
    return str(value.astype(str) if hasattr(value, "astype") else value)
