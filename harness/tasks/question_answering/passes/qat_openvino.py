"""Writes a network that was trained with quantization in the loop as OpenVINO's representation, INT8 inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.build.passes.base import Pass, PassContext
from harness.tasks.question_answering.passes.qat import FORMAT, trained

if TYPE_CHECKING:
    import torch


class QatOpenVino(Pass):
    """``openvino.convert_model``: fake quantizers become INT8 weights with FakeQuantize operations."""

    name = "qat-openvino"
    title = "export of the trained network to OpenVINO"
    input_formats = frozenset({FORMAT})
    output_format = "openvino"
    requires = ("torch", "transformers", "nncf", "openvino")

    @property
    def tolerance(self) -> float:
        """The runtime multiplies integers where training rounded floats: values differ by a step of eight bits."""
        return 0.15

    def source_network(self, job: PassContext) -> torch.nn.Module:
        return trained(job, self.name)[1]

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
