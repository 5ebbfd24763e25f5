"""OpenVINO on CPU, GPU, NPU or AUTO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.core.ports import names_of
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Proposal, Runtime, Session, TensorSession
from harness.measure.runtimes.openvino_common import cannot_load, compiled_proof, devices, require_device

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays


class OpenVinoRuntime(Runtime):
    """``openvino.compile_model``. Precision is f32 unless said otherwise: left alone, a CPU may compile to bf16."""

    name = "openvino"
    title = "OpenVINO"
    formats = frozenset({"openvino", "onnx"})
    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = ("openvino",)

    @options_table
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
            check_counts(streams=self.streams, threads=self.threads)

    @classmethod
    def as_delivered(cls, made: str) -> Mapping[str, Any] | None:
        return {"name": cls.name, "precision": "f32"} if made in cls.formats else None

    @classmethod
    def proposals(cls, made: str) -> Iterator[Proposal]:
        if (runtime := cls.as_delivered(made)) is None:
            return
        first = [] if made == "openvino" else ["openvino"]
        if first:
            steps: list[Any] = [{"pass": "openvino", "weights": "fp16"}]
            about = "weights in half precision, by OpenVINO"
            yield Proposal("fp16-openvino", about, {"runtime": runtime, "passes": steps}, size=0.6, exact=True)
        if find_spec("nncf") is not None:
            steps = [*first, {"pass": "nncf", "calibration": 128}]
            about = "INT8 with ranges from your data, by NNCF for OpenVINO"
            yield Proposal("int8-openvino", about, {"runtime": runtime, "passes": steps}, size=0.5)

    @classmethod
    def available_devices(cls) -> str:
        return devices()

    def import_library(self) -> None:
        require("openvino")  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        import openvino as ov

        core, wanted = ov.Core(), require_device(device)
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
            raise cannot_load("OpenVINO", wanted, error) from error
        ran = [str(name) for name in compiled.get_property("EXECUTION_DEVICES")]
        if not all(name.strip("()").split(".")[0] == wanted for name in ran):
            raise KpiError(f"asked for {wanted}, OpenVINO runs on {', '.join(ran)}")
        return _OvSession(compiled, names_of(model.outputs), profile=profile)

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


class _OvSession(TensorSession):
    def __init__(self, compiled: Any, names: Sequence[tuple[str, int]], *, profile: bool) -> None:
        """``names`` are those of the outputs before compiling, with their places."""
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._names = names
        self._profile = profile

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        answer = self._request.infer(feeds, share_inputs=True)
        found = answer.to_tuple()
        return {name: found[place] for name, place in self._names}

    def clone_for_thread(self) -> TensorSession:
        return _OvSession(self._compiled, self._names, profile=False)

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
        return compiled_proof(self._compiled, "openvino", self._layers() if self._profile else ())

    def _layers(self) -> tuple[tuple[str, str, float], ...]:
        """The slowest operations of the last request."""
        spent = [
            (i.node_name, i.node_type, i.real_time.total_seconds()) for i in self._request.profiling_info if i.real_time
        ]
        return tuple(sorted(spent, key=lambda layer: -layer[2])[:10])
