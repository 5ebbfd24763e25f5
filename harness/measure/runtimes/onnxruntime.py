"""ONNX Runtime with any of its execution providers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.artifact import tensor_facts
from harness.core.cores import confined
from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Proposal, Runtime, Session, TensorSession
from harness.measure.runtimes.work import HeavyOp, onnx_work, weighed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays

_PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "OpenVINO": "OpenVINOExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "TensorRT": "TensorrtExecutionProvider",
    "DirectML": "DmlExecutionProvider",
    "CoreML": "CoreMLExecutionProvider",
    "QNN": "QNNExecutionProvider",
}
_REMEDY = {
    "OpenVINO": 'set environment = "onnxruntime-openvino" in the recipe',
    "CUDA": "pip install onnxruntime-gpu in place of onnxruntime",
    "TensorRT": "pip install onnxruntime-gpu in place of onnxruntime, with TensorRT's libraries",
    "DirectML": "pip install onnxruntime-directml in place of onnxruntime (Windows)",
    "CoreML": "run on macOS, where onnxruntime has it",
    "QNN": "pip install onnxruntime-qnn in place of onnxruntime",
}
_DEFAULT = {"cpu": "CPU", "gpu": "CUDA", "npu": "QNN"}
_HEAVY = ("Conv", "Gemm", "MatMul", "Attention", "LSTM", "GRU", "RNN")
_INTEGER = ("QLinear", "Integer", "QGemm", "DynamicQuantize", "MatMulNBits", "QAttention")


_EXECUTED = "executed.onnx"
_Node = tuple[tuple[Sequence[int] | None, ...], bool]
"""Of an operator: the shapes of its inputs, None for what is computed; whether its first factor is transposed."""


class OnnxRuntime(Runtime):
    """``onnxruntime.InferenceSession``; a provider other than the CPU's must take the whole graph."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    formats = frozenset({"onnx"})
    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = (
        "onnxruntime",
        "onnxruntime-openvino",
        "onnxruntime-gpu",
        "onnxruntime-directml",
        "onnxruntime-qnn",
    )

    @options_table
    class Options:
        """Settings under ONNX Runtime's names.

        ``provider``: execution provider, by default the device's own; ``threads``: of one operator, by default
        one a processor that the process is confined to, else the library's choice; ``static``: fix the batch axis where
        the scenario has one size; ``spinning``: of threads that wait, where something is timed;
        ``provider_options``: under the provider's names.
        """

        provider: Literal["CPU", "OpenVINO", "CUDA", "TensorRT", "DirectML", "CoreML", "QNN"] | None = None
        threads: int | None = None
        level: Literal["disabled", "basic", "extended", "all"] = "all"
        static: bool = True
        spinning: bool = True
        provider_options: Mapping[str, str] | None = None

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    @classmethod
    def as_delivered(cls, made: str) -> str | None:
        return cls.name if made == "onnx" else None

    @classmethod
    def proposals(cls, made: str) -> Iterator[Proposal]:
        if made == "onnx":
            steps = [{"pass": "onnx-static-int8", "calibration": 128}]
            about = "INT8 with ranges from your data, by ONNX Runtime"
            yield Proposal("int8-onnxruntime", about, {"runtime": cls.name, "passes": steps}, size=0.5)

    @classmethod
    def available_devices(cls) -> str:
        import onnxruntime

        return ", ".join(onnxruntime.get_available_providers())

    def import_library(self) -> None:
        require("onnxruntime")  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        import onnxruntime as ort
        import psutil

        short = self.options.provider or _DEFAULT[device]
        provider = _PROVIDERS[short]
        if provider not in ort.get_available_providers():
            raise Unavailable(f"this build of ONNX Runtime has no {provider}", _REMEDY.get(short, ""))
        chosen = dict(self.options.provider_options or {})
        if short == "OpenVINO":
            chosen.setdefault("device_type", device.upper())

        sizes = dict.fromkeys(tensor_facts(artifact).batch_names, batch) if batch else {}
        settings = self._settings(ort, sizes, alone=short != "CPU")
        folder = tempfile.TemporaryDirectory(prefix="kpi-profile-") if profile else None
        if folder is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder.name) / "profile")
            if short == "CPU":
                # Weights that are packed for the processor are missing from the profile; their shapes are here.
                settings.optimized_model_filepath = str(Path(folder.name) / _EXECUTED)
                settings.add_session_config_entry(
                    "session.optimized_model_external_initializers_file_name", f"{_EXECUTED}.data"
                )
        started = psutil.Process().num_threads()
        try:
            session = ort.InferenceSession(
                str(artifact / "model.onnx"), settings, providers=[provider], provider_options=[chosen]
            )
        except Exception as error:
            raise KpiError(f"ONNX Runtime can't load the artifact with {provider}: {reason(error)}") from error
        # The thread that asks works too; another provider's threads are not those of its operators.
        counted = psutil.Process().num_threads() - started + 1 if short == "CPU" else None
        by = "the recipe" if self.options.threads else "the process's processors" if confined() else "the library"
        return _OrtSession(session, provider, (self.options.threads or counted, by), folder)

    def _settings(self, ort: Any, sizes: Mapping[str, int], *, alone: bool) -> Any:
        """``sizes`` are those of axes whose size is known, by name."""
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.graph_optimization_level = {
            "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
            "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
            "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        }[self.options.level]
        # Left alone it pins one thread to each core of the machine, those outside of the process's mask among them.
        if threads := self.options.threads or confined():
            settings.intra_op_num_threads = threads
        if not (self.options.spinning and self.timed):
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for name, size in sizes.items() if self.options.static else ():
            settings.add_free_dimension_override_by_name(name, size)
        if alone:
            # No operator may fall back to the CPU in silence.
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return settings


class _OrtSession(TensorSession):
    def __init__(
        self,
        session: Any,
        provider: str,
        threads: tuple[int | None, str],
        folder: tempfile.TemporaryDirectory[str] | None,
    ) -> None:
        """``threads``: how many there are, None where that is not known, and who chose that."""
        self._session = session
        self._provider = provider
        self._threads = threads
        self._folder = folder
        self._runs = 0
        self._outputs = [output.name for output in session.get_outputs()]
        if session.get_providers()[0] != provider:
            raise KpiError(f"asked for {provider}, ONNX Runtime fell back to {session.get_providers()[0]}")

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        self._runs += 1
        return dict(zip(self._outputs, self._session.run(None, feeds), strict=True))

    def proof(self) -> Proof:
        import onnxruntime as ort

        plain = Proof(
            runtime="onnxruntime",
            version=ort.__version__,
            device=self._provider,
            precision="unknown",
            threads=self._threads[0],
            details={"providers": self._session.get_providers(), "threads_chosen_by": self._threads[1]},
        )
        return plain if self._folder is None else self._inside(plain, self._folder)

    def _inside(self, plain: Proof, folder: tempfile.TemporaryDirectory[str]) -> Proof:
        """What the profiler wrote: which operators ran where, and for how long."""
        with folder:
            events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
            graph = _executed(Path(folder.name) / _EXECUTED)
        runs = self._runs
        nodes = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith("_kernel_time")]
        providers = sorted({str(node["args"]["provider"]) for node in nodes})
        if providers and providers != [self._provider]:
            raise KpiError(f"asked for {self._provider}, the operators ran on {' and '.join(providers)}")
        heavy = [node for node in nodes if any(word in node["args"]["op_name"] for word in _HEAVY)]
        seen = weighed([_heavy_op(node, graph) for node in heavy], runs)
        spent: dict[tuple[str, str], float] = {}
        for node in nodes:
            key = (str(node["name"]).removesuffix("_kernel_time"), str(node["args"]["op_name"]))
            spent[key] = spent.get(key, 0.0) + node["dur"] / 1e6 / runs
        slowest = sorted(spent.items(), key=lambda item: -item[1])[:10]
        # A provider that compiles the graph shows one fused node: what is inside it, it does not say.
        opaque = not heavy
        return replace(
            plain,
            precision="unknown" if opaque else "int8" if seen["integer_ops"] else "fp32",
            **({} if opaque else seen),
            details={**plain.details, "operators": len(nodes) // runs},
            layers=tuple((name, kind, seconds) for (name, kind), seconds in slowest),
        )


def _executed(file: Path) -> dict[str, _Node]:
    """The operators of the graph that ran, by name; none where it was not written or can't be read here."""
    try:
        import onnx
    except ImportError:
        return {}
    if not file.exists():
        return {}
    graph = onnx.load(file, load_external_data=False).graph
    stored = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return {
        node.name: (
            tuple(stored.get(name) for name in node.input),
            any(attribute.name == "transA" and attribute.i for attribute in node.attribute),
        )
        for node in graph.node
        if node.name
    }


def _heavy_op(event: Mapping[str, Any], graph: Mapping[str, _Node]) -> HeavyOp:
    """What the profiler says of a heavy operator, with the shapes of its weights."""
    name, kind = str(event["name"]).removesuffix("_kernel_time"), str(event["args"]["op_name"])
    inputs, outputs = (
        [tuple(shape) for entry in event["args"].get(f"{side}_type_shape", ()) for shape in entry.values()]
        for side in ("input", "output")
    )
    stored, transposed = graph.get(name, ((), False))
    # The profiler leaves out weights that were packed: those behind them are not where they seem to be.
    shapes: list[Sequence[int] | None] = list(inputs)
    if stored and len(stored) != len(inputs):
        shapes = [inputs[0] if inputs else None, *stored[1:]]
    integer = any(word in kind for word in _INTEGER)
    return HeavyOp(name, kind, integer, onnx_work(kind, shapes, outputs, transposed=transposed))
