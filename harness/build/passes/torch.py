"""Saves the reference model, or a narrower one, as a PyTorch program that loads without its source."""

from __future__ import annotations

from typing import Any

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.narrow import FORMAT
from harness.build.passes.network import example, exportable
from harness.build.passes.onnx import FIXED, one_line
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table


class Torch(Pass):
    """``torch.export`` with a dynamic batch axis unless told otherwise, saved as ``model.pt2``."""

    name = "torch"
    title = "export to a PyTorch program"
    effort = 5.0
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = "torch"
    hub = "pytorch"
    requires = ("torch",)

    @options_table
    class Options:
        """``fuse``: fold batch normalization into the convolutions before it (torch.fx must be able to trace it).

        ``batch``: the only batch size that the program takes, by default any.
        """

        fuse: bool = False
        batch: int | None = None

        def __post_init__(self) -> None:
            check_counts(batch=self.batch)

    @property
    def batch(self) -> int | None:
        size: int | None = self.options.batch
        return size

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        model = exportable(job, self.batch)
        if self.options.fuse:
            from torch.fx.experimental.optimization import fuse

            model = fuse(model)
        size = torch.export.Dim("batch", min=1, max=4096)
        shapes = None if self.batch else tuple({0: size} for _ in job.tensors.inputs)
        with torch.no_grad(), one_line("a PyTorch program", self.batch, "" if self.batch else FIXED):
            program = torch.export.export(model, example(job, self.batch), dynamic_shapes=shapes)
        torch.export.save(program, str(job.out / "model.pt2"))
        names = {"inputs": [s.name for s in job.tensors.inputs], "outputs": list(job.tensors.outputs)}
        return {"parameters": sum(p.numel() for p in model.parameters()), **names}
