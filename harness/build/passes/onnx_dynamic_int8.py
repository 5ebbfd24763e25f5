"""Quantizes an ONNX model's weights to INT8, its activations while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.build.passes.base import PassContext, Quantizer
from harness.build.passes.ignored import check_ignored, ignored_in_onnx
from harness.build.passes.onnx_files import has_external_weights, prepare
from harness.core.registry import options_table


class OnnxDynamicInt8(Quantizer):
    """ONNX Runtime's dynamic quantization: no calibration; each input's range is taken when it comes."""

    name = "onnx-dynamic-int8"
    title = "dynamic INT8"
    input_formats = frozenset({"onnx"})
    output_format = "onnx"
    requires = ("onnxruntime", "onnx")

    @options_table
    class Options:
        """Settings under ONNX Runtime's names.

        ``per_channel``: one scale for each output channel of the weights; ``reduce_range``: weights in 7 bits, for
        processors without VNNI; ``ignored``: operators that stay in floating point.
        """

        per_channel: bool = False
        reduce_range: bool = False
        ignored: Mapping[str, Sequence[str]] | None = None

        def __post_init__(self) -> None:
            check_ignored(self.ignored)

    def remedy(self, error: Exception) -> str:
        del error
        return "set per_channel = false, or name the operators that it stumbles over in ignored"

    def run(self, job: PassContext) -> dict[str, Any]:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        source = job.input("model.onnx")
        prepared = prepare(source, job.scratch / "prepared.onnx")
        graphs = (onnx.load(file, load_external_data=False).graph for file in (source, prepared))
        ignored = ignored_in_onnx(self.options.ignored, *graphs)
        # Unsigned weights: ONNX Runtime's integer convolution takes no signed ones.
        quantize_dynamic(
            str(prepared),
            str(job.out / "model.onnx"),
            per_channel=self.options.per_channel,
            reduce_range=self.options.reduce_range,
            weight_type=QuantType.QUInt8,
            # The quantizer splits each Gemm into a product of its own name and a sum before it looks at this list.
            nodes_to_exclude=[*ignored, *(f"{name}_MatMul" for name in ignored)],
            use_external_data_format=has_external_weights(prepared),
        )
        return {"per_channel": self.options.per_channel, "ignored": ignored}
