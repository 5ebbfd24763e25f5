"""Saves the reference model, or a narrower one, as a PyTorch program that loads without its source."""

from __future__ import annotations

from typing import Any

from harness.passes.base import REFERENCE, Job, Pass
from harness.passes.narrow import FORMAT
from harness.passes.network import exportable
from harness.registry import options


class Torch(Pass):
    """``torch.export`` with a dynamic batch axis, saved as ``model.pt2``."""

    name = "torch"
    title = "export to a PyTorch program"
    effort = 5.0
    takes = frozenset({REFERENCE, FORMAT})
    makes = "torch"
    requires = ("torch",)

    @options
    class Options:
        """``fuse``: fold batch normalization into the convolutions before it (torch.fx must be able to trace it)."""

        fuse: bool = False

    def run(self, job: Job) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        model = exportable(job)
        if self.options.fuse:
            from torch.fx.experimental.optimization import fuse

            model = fuse(model)
        example = tuple(torch.zeros((2, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in job.tensors.inputs)
        batch = torch.export.Dim("batch", min=1, max=4096)
        with torch.no_grad():
            program = torch.export.export(model, example, dynamic_shapes=tuple({0: batch} for _ in example))
        torch.export.save(program, str(job.out / "model.pt2"))
        names = {"inputs": [s.name for s in job.tensors.inputs], "outputs": list(job.tensors.outputs)}
        return {"parameters": sum(p.numel() for p in model.parameters()), **names}
