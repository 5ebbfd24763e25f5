"""Quantizes an ONNX model's weights to INT8, its activations while it runs."""

from __future__ import annotations

from typing import Any

from harness.passes.base import Job, Pass
from harness.passes.prepare import prepare
from harness.registry import options


class OnnxDynamicInt8(Pass):
    """ONNX Runtime's dynamic quantization: no calibration; each input's range is taken when it comes."""

    name = "onnx-dynamic-int8"
    title = "dynamic INT8"
    takes = frozenset({"onnx"})
    makes = "onnx"
    requires = ("onnxruntime", "onnx")

    @options
    class Options:
        """``per_channel``: one scale for each output channel of the weights."""

        per_channel: bool = False

    @property
    def tolerance(self) -> None:
        """It rounds weights, and activations: the KPIs judge what that does."""

    def run(self, job: Job) -> dict[str, Any]:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        prepared = prepare(job.input("model.onnx"), job.scratch / "prepared.onnx")
        # Unsigned weights: ONNX Runtime's integer convolution takes no signed ones.
        quantize_dynamic(
            str(prepared),
            str(job.out / "model.onnx"),
            per_channel=self.options.per_channel,
            weight_type=QuantType.QUInt8,
        )
        return {"per_channel": self.options.per_channel}
