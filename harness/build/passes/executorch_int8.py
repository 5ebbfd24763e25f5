"""Exports the reference network for ExecuTorch in INT8, by PT2E and XNNPACK's quantizer."""

from __future__ import annotations

from typing import Any

from harness.build.passes.base import PassContext, Quantizer
from harness.build.passes.executorch import REQUIRED, write
from harness.build.passes.frames import calibration
from harness.build.passes.narrow import FORMAT
from harness.build.passes.network import example, exportable
from harness.build.passes.onnx import one_line
from harness.core.executorch import BUILDING
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table


class ExecuTorchInt8(Quantizer):
    """Weights and activations in INT8, symmetric; inputs and outputs stay in floating point."""

    name = "executorch-int8"
    title = "INT8 for ExecuTorch, by PT2E"
    effort = 40.0
    environment = BUILDING
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = "executorch"
    requires = (*REQUIRED, "torchao")

    @options_table
    class Options:
        """``calibration``: training samples that ranges of activations are taken from.

        ``per_channel``: a scale for each channel of the weights, else one for all; ``batch``: the only batch size that
        the file takes.
        """

        calibration: int = 128
        per_channel: bool = True
        batch: int = 1

        def __post_init__(self) -> None:
            check_counts(calibration=self.calibration, batch=self.batch)

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        torch.set_num_threads(1)
        network, zeros = exportable(job, self.batch), example(job, self.batch)
        config = get_symmetric_quantization_config(is_per_channel=self.options.per_channel)
        with torch.no_grad(), one_line("ExecuTorch", self.batch, ""):
            graph = torch.export.export(network, zeros).module()
            prepared = prepare_pt2e(graph, XNNPACKQuantizer().set_global(config))
        samples = calibration(job, self.options.calibration)
        job.progress(f"ranges of {len(samples)} samples")
        with torch.no_grad():
            for one in samples:
                feeds = [torch.from_numpy(one[spec.name]) for spec in job.tensors.inputs]
                prepared(*(feed.expand(self.batch or 1, *feed.shape[1:]) for feed in feeds))
            with one_line("ExecuTorch", self.batch, ""):
                write(job, torch.export.export(convert_pt2e(prepared), zeros))
        return samples.notes
