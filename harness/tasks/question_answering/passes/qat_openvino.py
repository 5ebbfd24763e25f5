"""Writes a network that was trained with quantization in the loop as OpenVINO's representation, INT8 inside."""

from __future__ import annotations

from typing import Any

from harness.build.passes.base import PassContext
from harness.tasks.question_answering.passes.qat import QatExport, trained


class QatOpenVino(QatExport):
    """``openvino.convert_model``: fake quantizers become INT8 weights with FakeQuantize operations."""

    name = "qat-openvino"
    title = "export of the trained network to OpenVINO"
    output_format = "openvino"
    requires = ("torch", "transformers", "nncf", "openvino")

    def run(self, job: PassContext) -> dict[str, Any]:
        import openvino as ov
        import torch

        torch.set_num_threads(1)
        workload, model = trained(job, self.name)
        # Two samples: with one, tracing may take the batch axis for a constant.
        example = tuple(torch.ones((2, *spec.shape), dtype=torch.int64) for spec in workload.inputs)
        job.progress("converting")
        with torch.no_grad():
            shapes = [ov.PartialShape([-1, *spec.shape]) for spec in workload.inputs]
            made = ov.convert_model(model, example_input=example, input=shapes)
        for ports, names in ((made.inputs, [s.name for s in workload.inputs]), (made.outputs, workload.outputs)):
            for port, name in zip(ports, names, strict=True):
                port.get_tensor().set_names({name})
        made.validate_nodes_and_infer_types()
        ov.save_model(made, str(job.out / "model.xml"), compress_to_fp16=False)
        return {}
