"""Takes an ncnn model as it was delivered: ``.param`` with its ``.bin``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.model_file import ModelFile
from harness.core.errors import KpiError
from harness.core.ncnn import DISTRIBUTION, NcnnModel, read_param, weights
from harness.workloads.files.signature import Port, Shape, Signature

if TYPE_CHECKING:
    from harness.build.passes.faithful import Run


class NcnnFile(ModelFile):
    """An ncnn model. It takes one sample at a time, so that a batch is as many requests."""

    name = "ncnn-file"
    title = "the ncnn model as delivered"
    output_format = "ncnn"
    requires = (DISTRIBUTION,)
    suffixes = (".param",)

    @classmethod
    def signature(cls, file: Path) -> Signature:
        graph = read_param(file)
        weights(file)
        inputs = [
            Port(layer.outputs[0], graph.dtype(layer.outputs[0]), _batched(graph.taken(layer)))
            for layer in graph.inputs
        ]
        outputs = [Port(name, "float32", _batched(graph.given(name))) for name in graph.outputs]
        return Signature(tuple(inputs), tuple(outputs), f"ncnn, {len(graph.layers)} layers")

    @classmethod
    def belonging(cls, file: Path) -> list[Path]:
        """The graph, and its weights."""
        return [file, weights(file)]

    @classmethod
    def copied_to(cls, one: Path, file: Path) -> str:
        del one, file
        return "model.bin"

    @classmethod
    def digest(cls, file: Path) -> str:
        """Of the two one after another: ``cat model.param model.bin | sha256sum``."""
        digest = hashlib.sha256()
        for one in cls.belonging(file):
            digest.update(one.read_bytes())
        return digest.hexdigest()

    @classmethod
    def opened(cls, folder: Path) -> Run:
        return NcnnModel(folder / "model.param", exact=True).run

    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        raise KpiError(
            f"constants: inputs of a {model.suffix} file can't be made constants: {', '.join(constants)}",
            "convert the model with them as constants",
        )


def _batched(shape: Shape | None) -> Shape | None:
    return None if shape is None else (None, *shape)
