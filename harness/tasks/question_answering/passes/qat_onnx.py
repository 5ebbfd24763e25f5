"""Writes a network that was trained with quantization in the loop as ONNX, with QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

from harness.build.passes.base import PassContext
from harness.core.errors import KpiError
from harness.tasks.question_answering.passes.qat import QUANTIZERS, QatExport, trained
from harness.tasks.question_answering.passes.qdq import fold_weights

_OPSET = 17


class QatOnnx(QatExport):
    """``torch.onnx.export`` with every quantizer told to write the pairs that ONNX Runtime knows.

    A plain export would write OpenVINO's own FakeQuantize, which no other runtime loads. Weights are stored as
    integers.
    """

    name = "qat-onnx"
    title = "export of the trained network to ONNX"
    output_format = "onnx"
    requires = ("torch", "transformers", "nncf", "onnx")

    def run(self, job: PassContext) -> dict[str, Any]:
        import onnx
        import torch

        torch.set_num_threads(1)
        workload, model = trained(job, self.name)
        if job.input(QUANTIZERS).exists():
            from nncf.torch.quantization.layers import BaseQuantizer, QuantizerExportMode

            for module in model.modules():
                if isinstance(module, BaseQuantizer):
                    module.set_export_mode(QuantizerExportMode.ONNX_QUANTIZE_DEQUANTIZE_PAIRS)
        names = [spec.name for spec in workload.inputs]
        example = tuple(torch.ones((2, *spec.shape), dtype=torch.int64) for spec in workload.inputs)
        job.progress("exporting")
        file = job.out / "model.onnx"
        with torch.no_grad():
            torch.onnx.export(
                model,
                example,
                str(file),
                input_names=names,
                output_names=list(workload.outputs),
                dynamic_axes={name: {0: "batch"} for name in [*names, *workload.outputs]},
                opset_version=_OPSET,
                dynamo=False,  # the other exporter does not know NNCF's quantizers
            )
        made = onnx.load(file)
        if any(node.op_type == "FakeQuantize" for node in made.graph.node):
            raise KpiError("the exporter wrote FakeQuantize, which ONNX Runtime can't load")
        weights = fold_weights(made)
        onnx.save(made, file)
        activations = sum(node.op_type == "QuantizeLinear" for node in made.graph.node)
        return {"quantized_weights": weights, "quantized_activations": activations, "opset": _OPSET}
