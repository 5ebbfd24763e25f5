"""Converts the reference network for LiteRT, by LiteRT Torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.narrow import FORMAT
from harness.build.passes.network import example, exportable
from harness.build.passes.onnx import one_line
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table
from harness.core.tflite import cannot_run


class LiteRt(Pass):
    """``litert_torch.convert``, for one batch size; inputs and outputs are named as the workload names them."""

    name = "litert"
    title = "export to TFLite"
    effort = 20.0
    environment = "litert"
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = "tflite"
    requires = ("torch", "litert-torch", "ai-edge-litert")

    @options_table
    class Options:
        """``batch``: the only batch size that the file takes."""

        batch: int = 1

        def __post_init__(self) -> None:
            check_counts(batch=self.batch)

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    def remedy(self, error: Exception) -> str:
        return cannot_run(error)

    def run(self, job: PassContext) -> dict[str, Any]:
        import litert_torch
        import torch

        torch.set_num_threads(1)
        network = exportable(job, self.batch)
        file = job.out / "model.tflite"
        with torch.no_grad(), one_line("TFLite", self.batch, ""):
            litert_torch.convert(network, example(job, self.batch)).export(str(file))
        _name(file, [spec.name for spec in job.tensors.inputs], list(job.tensors.outputs))
        return {"parameters": sum(p.numel() for p in network.parameters())}


def _name(file: Path, inputs: list[str], outputs: list[str]) -> None:
    """Names what the library numbers: args_0, output_0 and so on."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(file))
    (signature,) = model.signatureDefs
    for entries, stem, names in ((signature.inputs, "args_", inputs), (signature.outputs, "output_", outputs)):
        numbered = {f"{stem}{place}": name for place, name in enumerate(names)}
        found = {entry.name.decode(): entry for entry in entries}
        if found.keys() != numbered.keys():
            raise KpiError(
                f"LiteRT Torch wrote {', '.join(sorted(found))} where {', '.join(names)} were to be",
                "an input that the network does not use is left out: remove it from the workload",
            )
        for number, entry in found.items():
            entry.name = numbered[number].encode()
    flatbuffer_utils.write_model(model, str(file))
