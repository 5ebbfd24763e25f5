"""Quantizes an ONNX model to INT8 with calibrated activations, as far as an accuracy limit allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.passes.base import Job, Pass
from harness.passes.data import Arrays, accuracy, batches, parse_drop
from harness.passes.fall_back import quantize_within
from harness.passes.prepare import prepare
from harness.registry import check_counts, options

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_HEAVY = ("Conv", "Gemm", "MatMul")


class OnnxStaticInt8(Pass):
    """ONNX Runtime's static quantization; with ``max_drop`` the most harmful operators return to FP32."""

    name = "onnx-static-int8"
    title = "static INT8"
    effort = 20.0
    takes = frozenset({"onnx"})
    makes = "onnx"
    requires = ("onnxruntime", "onnx")

    @options
    class Options:
        """Settings under ONNX Runtime's names, and the accuracy limit.

        ``calibration``: training samples to calibrate on; ``max_drop``: the permitted loss of accuracy ("1 pp") on
        ``tuning`` validation samples.
        """

        format: Literal["qdq", "qoperator"] = "qdq"
        method: Literal["minmax", "entropy", "percentile"] = "minmax"
        per_channel: bool = True
        calibration: int = 128
        max_drop: str | None = None
        tuning: int = 600

        def __post_init__(self) -> None:
            check_counts(calibration=self.calibration, tuning=self.tuning)
            if self.max_drop is not None:
                parse_drop(self.max_drop)

    @property
    def tolerance(self) -> None:
        """It rounds weights, and activations: the KPIs judge what that does."""

    def run(self, job: Job) -> dict[str, Any]:
        import onnx

        prepared = prepare(job.input("model.onnx"), job.scratch / "prepared.onnx")
        nodes = [n.name for n in onnx.load(prepared, load_external_data=False).graph.node if n.op_type in _HEAVY]
        final = job.out / "model.onnx"
        self._quantize(job, prepared, final, exclude=())
        notes: dict[str, Any] = {"heavy_nodes": len(nodes), "returned_to_fp32": []}
        if self.options.max_drop is None:
            return notes
        floor = self._accuracy(job, prepared) - parse_drop(self.options.max_drop)

        def attempt(exclude: Sequence[str]) -> float:
            self._quantize(job, prepared, final, exclude=exclude)
            return self._accuracy(job, final)

        found = quantize_within(nodes, floor, attempt, lambda: self._harm(job, prepared, nodes), job.progress)
        return {**notes, "returned_to_fp32": list(found.excluded), "validation": found.accuracy, "floor": floor}

    def _quantize(
        self, job: Job, source: Path, out: Path, *, exclude: Sequence[str] = (), only: Sequence[str] | None = None
    ) -> None:
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        job.progress(f"quantizing, {len(exclude)} operators stay in FP32" if only is None else f"trying {only[0]}")
        # QDQ keeps signed activations fast on every processor; the operator format has no signed convolution on x86.
        qdq = self.options.format == "qdq"
        quantize_static(
            str(source),
            str(out),
            _reader(job, self.options.calibration),
            quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
            per_channel=self.options.per_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method={
                "minmax": CalibrationMethod.MinMax,
                "entropy": CalibrationMethod.Entropy,
                "percentile": CalibrationMethod.Percentile,
            }[self.options.method],
            nodes_to_quantize=None if only is None else list(only),
            nodes_to_exclude=list(exclude),
            calibration_cache_path=str(job.scratch / "calibration.json"),
        )

    def _accuracy(self, job: Job, model: Path) -> float:
        session, name = _session(model), job.tensors.scored_output
        return accuracy(job.tensors, self.options.tuning, lambda feeds: session.run([name], feeds)[0])

    def _harm(self, job: Job, prepared: Path, nodes: Sequence[str]) -> dict[str, float]:
        """Mean squared error of the logits when only that one operator is quantized."""
        feeds, _ = next(batches(job.tensors, "training", 32, size=32))
        name = job.tensors.scored_output
        wanted = _logits(prepared, feeds, name)
        trial = job.scratch / "trial.onnx"
        harm = {}
        for node in nodes:
            self._quantize(job, prepared, trial, only=[node])
            harm[node] = float(((_logits(trial, feeds, name) - wanted) ** 2).mean())
        return harm


def _session(model: Path) -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    return ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])


def _logits(model: Path, feeds: Arrays, name: str) -> npt.NDArray[np.float32]:
    logits: npt.NDArray[np.float32] = _session(model).run([name], feeds)[0]
    return logits


def _reader(job: Job, count: int) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration samples to ONNX Runtime one by one."""

        def __init__(self) -> None:
            self.samples = (feeds for feeds, _ in batches(job.tensors, "training", count))

        def get_next(self) -> Arrays | None:
            return next(self.samples, None)

    return Reader()
