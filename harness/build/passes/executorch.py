"""Exports the reference network for ExecuTorch, for XNNPACK to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.narrow import FORMAT
from harness.build.passes.network import example, exportable
from harness.build.passes.onnx import one_line
from harness.core.executorch import BUILDING
from harness.core.formats import REFERENCE
from harness.core.pte import INPUT_NAMES, OUTPUT_NAMES
from harness.core.registry import check_counts, options_table

if TYPE_CHECKING:
    import torch

REQUIRED = ("torch", "executorch", "flatbuffers")


class ExecuTorch(Pass):
    """``torch.export`` and lowering to XNNPACK, for one batch size; what it can't take runs in portable kernels.

    The file says the workload's names of inputs and outputs.
    """

    name = "executorch"
    title = "export to ExecuTorch"
    effort = 20.0
    environment = BUILDING
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = "executorch"
    requires = REQUIRED

    @options_table
    class Options:
        """``batch``: the only batch size that the file takes."""

        batch: int = 1

        def __post_init__(self) -> None:
            check_counts(batch=self.batch)

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        network = exportable(job, self.batch)
        with torch.no_grad(), one_line("ExecuTorch", self.batch, ""):
            write(job, torch.export.export(network, example(job, self.batch)))
        return {"parameters": sum(p.numel() for p in network.parameters())}


def write(job: PassContext, program: torch.export.ExportedProgram) -> None:
    """Lowers a program and writes ``model.pte``, with the workload's names in it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    names = {INPUT_NAMES: [spec.name for spec in job.tensors.inputs], OUTPUT_NAMES: list(job.tensors.outputs)}
    job.progress("lowering to XNNPACK")
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], constant_methods=names)
    (job.out / "model.pte").write_bytes(lowered.to_executorch().buffer)
