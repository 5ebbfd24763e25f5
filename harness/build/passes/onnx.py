"""Exports the reference model, or a narrower one, to ONNX, with a dynamic batch axis unless told otherwise."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.passes import onnx_files
from harness.build.passes.base import Pass, PassContext
from harness.build.passes.narrow import FORMAT
from harness.build.passes.network import example, exportable
from harness.core.errors import KpiError, reason
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table

if TYPE_CHECKING:
    import torch

FIXED = "set batch = 1 in the pass, which fixes the batch size"


class Onnx(Pass):
    """``torch.onnx.export``; tensors are named as the workload names them."""

    name = "onnx"
    title = "export to ONNX"
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = "onnx"
    hub = "onnx"
    requires = ("torch", "onnx", "onnxscript")

    @options_table
    class Options:
        """``opset``: the ONNX operator set to write.

        ``batch``: the only batch size that the model takes, by default any; ``exporter``: "torchscript" traces the
        network with an example, for what ``torch.export`` can't follow.
        """

        opset: int = 20
        batch: int | None = None
        exporter: Literal["dynamo", "torchscript"] = "dynamo"

        def __post_init__(self) -> None:
            if not 13 <= self.opset <= 24:  # noqa: PLR2004 - what the exporter and the runtimes know
                raise ValueError("opset must be from 13 to 24")
            check_counts(batch=self.batch)

    @property
    def batch(self) -> int | None:
        size: int | None = self.options.batch
        return size

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch

        torch.set_num_threads(1)
        model = exportable(job, self.batch)
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        job.progress(f"exporting {weights / 1e6:.1f} MB of weights")
        file = job.out / "model.onnx"
        remedies = [] if self.batch else [FIXED]
        if self.options.exporter == "dynamo":
            remedies.append('exporter = "torchscript", which traces the network with an example')
        with torch.no_grad(), one_line("ONNX", self.batch, ", or ".join(remedies)):
            if self.options.exporter == "dynamo":
                self._program(job, model).save(str(file), external_data=weights > onnx_files.PROTOBUF_LIMIT)
            else:
                self._trace(job, model, file)
        if self.batch is None:
            _check_dynamic(file)
        return {"opset": self.options.opset, "parameters": sum(p.numel() for p in model.parameters())}

    def _program(self, job: PassContext, model: torch.nn.Module) -> Any:
        import torch

        batch = torch.export.Dim("batch")
        program = torch.onnx.export(
            model,
            example(job, self.batch),
            input_names=[spec.name for spec in job.tensors.inputs],
            output_names=list(job.tensors.outputs),
            dynamic_shapes=None if self.batch else tuple({0: batch} for _ in job.tensors.inputs),
            opset_version=self.options.opset,
            dynamo=True,
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export returned nothing")
        _remove_traces(program.model)
        return program

    def _trace(self, job: PassContext, model: torch.nn.Module, file: Path) -> None:
        import torch

        names = [spec.name for spec in job.tensors.inputs]
        torch.onnx.export(
            model,
            example(job, self.batch),
            str(file),
            input_names=names,
            output_names=list(job.tensors.outputs),
            dynamic_axes=None if self.batch else {name: {0: "batch"} for name in (*names, *job.tensors.outputs)},
            opset_version=self.options.opset,
            dynamo=False,
        )


def _remove_traces(model: Any) -> None:
    """Removes the stack traces that the exporter keeps at each node: they name folders of this machine.

    The same network would be another file on another machine, and files are handed to others.
    """
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in graph.all_nodes():
            node.metadata_props.clear()


@contextmanager
def one_line(made: str, batch: int | None, remedy: str) -> Iterator[None]:
    """What an exporter raises becomes one line that names the batch axis, with the ``remedy``."""
    try:
        yield
    except KpiError:
        raise
    except Exception as error:
        traceback.print_exc()
        # The only axis that varies is the batch; torch calls it by a symbol such as s77.
        said = re.sub(r"\bs\d+\b", "batch", reason(error))
        how = "any batch size (its axis 0 is dynamic)" if batch is None else f"batch = {batch}"
        raise KpiError(f"the network can't be exported to {made} for {how}: {said}", remedy) from error


def _check_dynamic(file: Path) -> None:
    """Raises KpiError where the exporter took the example's batch for a constant."""
    import onnx

    for value in onnx.load(file, load_external_data=False).graph.input:
        size = value.type.tensor_type.shape.dim[0]
        if size.HasField("dim_value"):
            raise KpiError(
                f'the exporter fixed the batch axis of "{value.name}" to {size.dim_value}: the network computes with '
                "the size of its example",
                f"{FIXED}, or take the size from the network's input",
            )
