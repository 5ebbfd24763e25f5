"""Takes an ExecuTorch program, a ``.pte`` file, as it was delivered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.model_file import ModelFile
from harness.core.errors import KpiError
from harness.core.executorch import PteModel, cannot_run, environment
from harness.core.pte import PteTensor, read_pte
from harness.workloads.files.signature import Port, Signature

if TYPE_CHECKING:
    from harness.build.passes.faithful import Run


class PteFile(ModelFile):
    """A ``.pte`` file; what it takes and gives is called ``input_0``, ``output_0`` and so on, unless it says names."""

    name = "pte-file"
    title = "the ExecuTorch program as delivered"
    output_format = "executorch"
    environment = environment()
    requires = ("flatbuffers",)
    suffixes = (".pte",)

    @classmethod
    def signature(cls, file: Path) -> Signature:
        found = read_pte(file)
        parts = sorted({one.backend for one in found.delegates})
        about = f"ExecuTorch, {len(found.kernels)} operators outside of delegates"
        return Signature(
            tuple(map(_port, found.inputs)),
            tuple(map(_port, found.outputs)),
            f"{about}; delegated to {', '.join(parts)}" if parts else about,
        )

    def remedy(self, error: Exception) -> str:
        return cannot_run(error)

    @classmethod
    def opened(cls, folder: Path) -> Run:
        return PteModel(folder / "model.pte").run

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        raise KpiError(
            f"constants: inputs of a {model.suffix} file can't be made constants: {', '.join(constants)}",
            "export the model with them as constants",
        )


def _port(tensor: PteTensor) -> Port:
    return Port(tensor.name, tensor.dtype, tensor.shape)
