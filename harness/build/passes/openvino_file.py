"""Takes an OpenVINO model as it was delivered: ``.xml`` with its ``.bin``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.model_file import ModelFile, turns
from harness.core.errors import KpiError, reason
from harness.core.ports import names_of
from harness.workloads.files.signature import Port, Shape, Signature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.build.passes.faithful import Arrays, Run


class OpenVinoFile(ModelFile):
    """An OpenVINO model: ``.xml`` with its ``.bin``."""

    name = "openvino-file"
    title = "the OpenVINO model as delivered"
    output_format = "openvino"
    requires = ("openvino",)
    suffixes = (".xml",)

    @classmethod
    def signature(cls, file: Path) -> Signature:
        import openvino as ov

        try:
            model = ov.Core().read_model(file)
        except RuntimeError as error:
            raise KpiError(
                f"{file.name} is not an OpenVINO model, or a damaged one: {reason(error)}",
                "convert it again, and keep the .bin next to it",
            ) from error
        return Signature(
            tuple(map(_port, model.inputs)),
            tuple(map(_port, model.outputs)),
            f"OpenVINO IR, {len(model.get_ops())} operations",
        )

    @classmethod
    def belonging(cls, file: Path) -> list[Path]:
        """The graph, and the weights next to it."""
        weights = file.with_suffix(".bin")
        return [file, *([weights] if weights.is_file() else [])]

    @classmethod
    def copied_to(cls, one: Path, file: Path) -> str:
        del one, file
        return "model.bin"

    @classmethod
    def opened(cls, folder: Path) -> Run:
        import openvino as ov

        # Processors with BF16 would round otherwise.
        core = ov.Core()
        model = core.read_model(folder / "model.xml")
        names = names_of(model.outputs)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def run(feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
            said = compiled(dict(feeds))
            return {name: said[place].copy() for name, place in names}

        return run

    def turn(self, model: Path, axes: Mapping[str, int]) -> None:
        import openvino as ov

        found = ov.Core().read_model(model)
        for parameter in found.get_parameters():
            port = parameter.output(0)
            if names := port.get_names() & axes.keys():
                sizes = port.get_partial_shape()
                there, back = turns(axes[min(names)], len(sizes))
                made = ov.opset13.parameter(ov.PartialShape([sizes[i] for i in back]), port.get_element_type())
                kept = port.get_names()
                port.replace(ov.opset13.transpose(made, there).output(0))
                made.output(0).set_names(kept)
                found.remove_parameter(parameter)
                found.add_parameters([made])
        for result in found.get_results():
            port = result.input_value(0)
            if names := port.get_names() & axes.keys():
                _, back = turns(axes[min(names)], len(port.get_partial_shape()))
                kept = port.get_names()
                port.set_names(set())
                turned = ov.opset13.transpose(port, back).output(0)
                turned.set_names(kept)
                result.input(0).replace_source_output(turned)
        found.validate_nodes_and_infer_types()
        _replace(found, model)

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        import openvino as ov

        found = ov.Core().read_model(model)
        for parameter in found.get_parameters():
            names = parameter.output(0).get_names() & constants.keys()
            if names:
                constant = ov.opset13.constant(constants[names.pop()])
                parameter.output(0).replace(constant.output(0))
                found.remove_parameter(parameter)
        _replace(found, model)


def _replace(found: Any, model: Path) -> None:
    """Writes a model that was changed in the place of its file."""
    import openvino as ov

    aside = model.with_name("changed.xml")
    ov.save_model(found, aside, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        aside.with_suffix(suffix).replace(model.with_suffix(suffix))


def _port(port: Any) -> Port:
    import numpy as np

    partial = port.get_partial_shape()
    shape: Shape | None = None
    if partial.rank.is_static:
        shape = tuple(size.get_length() if size.is_static else None for size in partial)
    name = next(iter(sorted(port.get_names())), "")
    return Port(name, str(np.dtype(port.get_element_type().to_dtype())), shape)
