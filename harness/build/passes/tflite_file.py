"""Takes a ``.tflite`` file as it was delivered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes import faithful
from harness.build.passes.model_file import ModelFile
from harness.core.errors import KpiError
from harness.core.tflite import DISTRIBUTION, TfliteModel, TfliteTensor, cannot_run
from harness.workloads.files.signature import Port, Signature

if TYPE_CHECKING:
    from harness.build.passes.base import PassContext
    from harness.build.passes.faithful import Run

_MUCH = 0.001


class TfliteFile(ModelFile):
    """A ``.tflite`` file. Integers with a scale are given and taken as the floating point that they mean."""

    name = "tflite-file"
    title = "the TFLite file as delivered"
    output_format = "tflite"
    requires = (DISTRIBUTION,)
    suffixes = (".tflite",)

    @classmethod
    def signature(cls, file: Path) -> Signature:
        model = TfliteModel(file)
        scaled = ", ".join(str(one) for one in (*model.inputs, *model.outputs) if one.scale)
        return Signature(
            tuple(map(_port, model.inputs)),
            tuple(map(_port, model.outputs)),
            f"TFLite, {len(model.operators)} operators" + (f"; seen as float32: {scaled}" if scaled else ""),
        )

    def remedy(self, error: Exception) -> str:
        return cannot_run(error)

    def run(self, job: PassContext) -> dict[str, Any]:
        if TfliteModel(job.root / self.options.file).remembers:
            raise KpiError(
                f"{Path(self.options.file).name} keeps state in variables: its answers depend on the requests before",
                "convert it with its state as inputs and outputs, and name these by `state` in the workload",
            )
        notes = super().run(job)
        given = self.naming.asked(job.tensors.probes(faithful.SAMPLES))
        for one in TfliteModel(job.out / "model.tflite").inputs:
            numbers: Any = given[one.name]
            if one.scale and str(numbers.dtype) != one.dtype:
                low, high = one.range
                outside = ((numbers < low) | (numbers > high)).mean()
                lost = f"; {outside:.1%} of the samples' numbers lie outside" if outside > _MUCH else ""
                job.remark(f"{one} says numbers from {low:.4g} to {high:.4g}{lost}")
        return notes

    @classmethod
    def opened(cls, folder: Path) -> Run:
        model = TfliteModel(folder / "model.tflite")
        model.prepare(1)
        return model.run

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        raise KpiError(
            f"constants: inputs of a {model.suffix} file can't be made constants: {', '.join(constants)}",
            "convert the model with them as constants",
        )


def _port(tensor: TfliteTensor) -> Port:
    return Port(tensor.name, tensor.seen_as, tensor.shape, held_as=tensor.dtype)
