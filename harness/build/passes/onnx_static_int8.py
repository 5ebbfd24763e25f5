"""Quantizes an ONNX model to INT8 with calibrated activations, as far as an accuracy limit allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.passes.base import PassContext, Quantizer
from harness.build.passes.data import Arrays, Calibration
from harness.build.passes.faithful import fixed_batch
from harness.build.passes.frames import calibration
from harness.build.passes.ignored import check_ignored, ignored_in_onnx
from harness.build.passes.mixed_precision import quantize_within
from harness.build.passes.onnx_files import has_external_weights, prepare, remove, session_of
from harness.build.passes.tuning import Infer, Tuning, asked_outputs, check_drop
from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_HEAVY = ("Conv", "Gemm", "MatMul")
_AXIS = 13  # the first opset in which a scale for each channel can be written down
_RANKED = 32  # samples on which operators are ranked
_STRIDE = 4  # samples whose activations are in memory at once while histograms are made


class OnnxStaticInt8(Quantizer):
    """ONNX Runtime's static quantization; with ``max_drop`` the most harmful operators return to FP32."""

    name = "onnx-static-int8"
    title = "static INT8"
    effort = 20.0
    input_formats = frozenset({"onnx"})
    output_format = "onnx"
    requires = ("onnxruntime", "onnx")

    @options_table
    class Options:
        """Settings under ONNX Runtime's names, and the accuracy limit.

        ``calibration``: training samples to calibrate on; ``max_drop``: the permitted loss of accuracy ("1 pp") on
        ``tuning`` validation samples; ``reduce_range``: weights in 7 bits, for processors without VNNI; ``ignored``:
        operators that stay in floating point.
        """

        format: Literal["qdq", "qoperator"] = "qdq"
        method: Literal["minmax", "entropy", "percentile"] = "minmax"
        per_channel: bool = True
        calibration: int = 128
        max_drop: str | None = None
        tuning: int = 600
        reduce_range: bool = False
        ignored: Mapping[str, Sequence[str]] | None = None

        def __post_init__(self) -> None:
            check_counts(calibration=self.calibration, tuning=self.tuning)
            if self.max_drop is not None:
                check_drop(self.max_drop)
            check_ignored(self.ignored)

    def remedy(self, error: Exception) -> str:
        del error
        other = "set per_channel = false, or " if self.options.per_channel else ""
        return f"{other}name the operators that it stumbles over in ignored"

    def run(self, job: PassContext) -> dict[str, Any]:
        import onnx

        source, final = job.input("model.onnx"), job.out / "model.onnx"
        least = _AXIS if self.options.per_channel else 0
        prepared = prepare(
            source,
            job.scratch / "prepared.onnx",
            least_opset=least,
            remedy="set per_channel = false",
        )
        before, graph = (onnx.load(file, load_external_data=False).graph for file in (source, prepared))
        ignored = ignored_in_onnx(self.options.ignored, before, graph)
        nodes = [node.name for node in graph.node if node.op_type in _HEAVY and node.name not in ignored]
        samples = calibration(job, self.options.calibration)
        quantizer = _Quantizer(job, self.options, prepared, samples, ignored)
        quantizer.write(final)
        notes: dict[str, Any] = {"heavy_nodes": len(nodes), "returned_to_fp32": [], "ignored": ignored, **samples.notes}
        if self.options.max_drop is None:
            return notes
        tuning = Tuning(job.tensors, self.options.tuning, fixed_batch(prepared.parent, job.tensors, prepared.name))
        floor = tuning.begin(_infer(job, prepared)) - tuning.permitted(self.options.max_drop)

        def attempt(exclude: Sequence[str]) -> float:
            quantizer.write(final, exclude=exclude)
            return tuning.score(_infer(job, final))

        found = quantize_within(nodes, floor, attempt, lambda: _harm(job, quantizer, nodes, samples), job.progress)
        if found.accuracy < floor:
            raise KpiError(
                f"with all {len(nodes)} heavy operators in floating point {floor - found.accuracy:.4g} more is lost on "
                f"validation samples than max_drop = {self.options.max_drop} permits: others are in INT8",
                "name those in ignored, or permit a larger max_drop",
            )
        return {**notes, "returned_to_fp32": list(found.excluded), "validation": found.accuracy, "floor": floor}


def _infer(job: PassContext, model: Path) -> Infer:
    session, names = session_of(model), asked_outputs(job.tensors)
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


class _Quantizer:
    """ONNX Runtime's static quantizer for one prepared graph, its ranges taken once."""

    def __init__(
        self, job: PassContext, options: Any, prepared: Path, samples: Calibration, ignored: Sequence[str]
    ) -> None:
        self.prepared = prepared
        self._job = job
        self._options = options
        self._samples = samples
        self._ignored = ignored
        self._external = has_external_weights(prepared)
        # Those of one stride are made one array.
        self._stride = _STRIDE if samples.one_shape else 1

    def write(self, out: Path, *, exclude: Sequence[str] = (), only: Sequence[str] | None = None) -> None:
        """Writes the graph with all operators quantized but those to exclude, or with those in ``only`` quantized."""
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        said = f"quantizing, {len(exclude)} operators stay in FP32" if only is None else f"trying {only[0]}"
        self._job.progress(said)
        remove(out)
        # QDQ keeps signed activations fast on every processor; the operator format has no signed convolution on x86.
        qdq = self._options.format == "qdq"
        quantize_static(
            str(self.prepared),
            str(out),
            _reader(self._samples, self._stride),
            quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
            per_channel=self._options.per_channel,
            reduce_range=self._options.reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method={
                "minmax": CalibrationMethod.MinMax,
                "entropy": CalibrationMethod.Entropy,
                "percentile": CalibrationMethod.Percentile,
            }[self._options.method],
            nodes_to_quantize=None if only is None else list(only),
            nodes_to_exclude=[*self._ignored, *exclude],
            use_external_data_format=self._external,
            calibration_cache_path=str(self._job.scratch / "calibration.json"),
            # Histograms are made of whole activations: of a few samples at a time, whatever their number.
            extra_options={"CalibStridedMinMax": self._stride},
        )


def _harm(job: PassContext, quantizer: _Quantizer, nodes: Sequence[str], samples: Calibration) -> dict[str, float]:
    """Mean squared error of the logits when only that one operator is quantized, on some calibration samples."""
    feeds, name = samples[:_RANKED], job.tensors.read_outputs[0]
    wanted = _logits(quantizer.prepared, feeds, name)
    trial = job.scratch / "trial.onnx"
    harm = {}
    for node in nodes:
        quantizer.write(trial, only=[node])
        harm[node] = float(((_logits(trial, feeds, name) - wanted) ** 2).mean())
    return harm


def _logits(model: Path, feeds: Sequence[Arrays], name: str) -> npt.NDArray[np.float32]:
    """The values of all answers, one after another, whatever their shapes."""
    import numpy as np

    session = session_of(model)
    return np.concatenate([np.ravel(session.run([name], one)[0]) for one in feeds])


def _reader(samples: Calibration, stride: int) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration samples to ONNX Runtime one by one, in strides where it asks for them."""

        def __init__(self) -> None:
            self._left: Iterator[Arrays] = iter(samples)

        def __len__(self) -> int:
            # ONNX Runtime wants whole strides; the last one may hold fewer samples.
            return -(-len(samples) // stride) * stride

        def set_range(self, start_index: int, end_index: int) -> None:
            self._left = (samples[place] for place in range(start_index, min(end_index, len(samples))))

        def get_next(self) -> Arrays | None:
            return next(self._left, None)

    return Reader()
