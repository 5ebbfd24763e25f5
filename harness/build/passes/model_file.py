"""Takes a model that is a file as it was delivered: the first step of a recipe that has a ``model``."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.build.passes import faithful
from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import MODEL_FILES, REFERENCE
from harness.core.registry import options_table
from harness.workloads.checkpoint import file_digest
from harness.workloads.files.shared import constants_of
from harness.workloads.files.signature import model_files, read_signature


class ModelFile(Pass):
    """Copies the file and the weights next to it; nothing in them changes."""

    input_formats = frozenset({REFERENCE})
    effort = 1.0
    files = ("file",)

    @options_table
    class Options:
        """``file``: from the TOML's folder on; ``sha256``: its digest, where it is pinned."""

        file: str
        sha256: str | None = None

    @property
    def tolerance(self) -> float | None:
        """Answers of a file with dynamic ranges depend on the batch; the KPIs judge by how much, the worst counts."""
        return None

    @classmethod
    def belonging(cls, file: Path) -> list[Path]:
        """The graph, and the weights next to it."""
        return model_files(file)

    def run(self, job: PassContext) -> dict[str, Any]:
        file = job.root / self.options.file
        signature = read_signature(file)
        if MODEL_FILES[file.suffix.lower()] != self.output_format:
            raise KpiError(f'pass "{self.name}" takes no {file.suffix}: {file.name}')
        self._check_digest(file)
        constants = constants_of(signature, job.workload.settings.constants, file.name)
        wanted = {*job.tensors.input_names, *constants, *(one.name for one in job.tensors.state)}
        if (found := {port.name for port in signature.inputs}) != wanted:
            raise KpiError(
                f"{file.name} takes {', '.join(sorted(found))}, the workload's model takes {', '.join(sorted(wanted))}",
                "models of one workload must have the same inputs, by name",
            )
        for one in model_files(file):
            named = f"model{file.suffix.lower()}" if one == file else _belongs(one, file)
            (job.out / named).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one, job.out / named)
        rest = [name for name in job.tensors.outputs if name != job.tensors.scored_output]
        if rest:
            job.remark(f"only the output {job.tensors.scored_output} is judged, not {', '.join(rest)}")
        if constants:
            self.fix(job.out / f"model{file.suffix.lower()}", constants)
            job.remark(f"{', '.join(constants)} became constants of the model, as the workload says")
        return {"file": file.name, "about": signature.about, "compared": faithful.check_alone(job, self)}

    @abstractmethod
    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        """Makes inputs constants of the model."""

    def _check_digest(self, file: Path) -> None:
        digest, pinned = file_digest(file), self.options.sha256
        if pinned is not None and digest != pinned:
            raise KpiError(
                f"{file.name} has the digest {digest[:16]}..., pinned is {pinned[:16]}...",
                "fetch it again, or pin the new digest if the change is meant",
            )


class OnnxFile(ModelFile):
    """An ``.onnx`` file."""

    name = "onnx-file"
    title = "the ONNX file as delivered"
    output_format = "onnx"
    requires = ("onnx",)

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        import onnx
        from onnx import numpy_helper

        found = onnx.load(model, load_external_data=False)
        kept = [value for value in found.graph.input if value.name not in constants]
        del found.graph.input[:]
        found.graph.input.extend(kept)
        found.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        model.write_bytes(found.SerializeToString())


class OpenVinoFile(ModelFile):
    """An OpenVINO model: ``.xml`` with its ``.bin``."""

    name = "openvino-file"
    title = "the OpenVINO model as delivered"
    output_format = "openvino"
    requires = ("openvino",)

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        import openvino as ov

        found = ov.Core().read_model(model)
        for parameter in found.get_parameters():
            names = parameter.output(0).get_names() & constants.keys()
            if names:
                constant = ov.opset13.constant(constants[names.pop()])
                parameter.output(0).replace(constant.output(0))
                found.remove_parameter(parameter)
        aside = model.with_name("fixed.xml")
        ov.save_model(found, aside, compress_to_fp16=False)
        del found
        for suffix in (".xml", ".bin"):
            aside.with_suffix(suffix).replace(model.with_suffix(suffix))


def _belongs(weights: Path, file: Path) -> str:
    """What a file of weights is called next to the model: an ONNX graph names it, OpenVINO's is called like it."""
    return "model.bin" if file.suffix.lower() == ".xml" else weights.relative_to(file.parent).as_posix()
