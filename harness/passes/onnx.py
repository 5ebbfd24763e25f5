"""Exports the reference model, or a narrower one, to ONNX with a dynamic batch axis."""

from __future__ import annotations

from typing import Any

from harness.passes.base import REFERENCE, Job, Pass
from harness.passes.narrow import FORMAT
from harness.passes.network import exportable
from harness.registry import options

_PROTOBUF_LIMIT = 1_500_000_000  # a single ONNX file ends at 2 GiB; larger weights go to a file beside it


class Onnx(Pass):
    """``torch.onnx.export`` with the dynamo exporter; tensors are named as the workload names them."""

    name = "onnx"
    title = "export to ONNX"
    takes = frozenset({REFERENCE, FORMAT})
    makes = "onnx"
    requires = ("torch", "onnx", "onnxscript")

    @options
    class Options:
        """``opset``: the ONNX operator set to write."""

        opset: int = 20

        def __post_init__(self) -> None:
            if not 13 <= self.opset <= 24:  # noqa: PLR2004 - what the exporter and the runtimes know
                raise ValueError("opset must be from 13 to 24")

    def run(self, job: Job) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        model = exportable(job)
        # Two samples: with one, the exporter may take the batch axis for a constant.
        example = tuple(torch.zeros((2, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in job.tensors.inputs)
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        job.progress(f"exporting {weights / 1e6:.1f} MB of weights")
        batch = torch.export.Dim("batch")
        with torch.no_grad():
            program = torch.onnx.export(
                model,
                example,
                input_names=[spec.name for spec in job.tensors.inputs],
                output_names=list(job.tensors.outputs),
                dynamic_shapes=tuple({0: batch} for _ in job.tensors.inputs),
                opset_version=self.options.opset,
                dynamo=True,
                verbose=False,
            )
        if program is None:
            raise RuntimeError("torch.onnx.export returned nothing")
        program.save(str(job.out / "model.onnx"), external_data=weights > _PROTOBUF_LIMIT)
        return {"opset": self.options.opset, "parameters": sum(p.numel() for p in model.parameters())}
