"""Writes a model's PEFT adapters as files that ONNX Runtime GenAI switches between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.tasks.language.passes.hf_llm import adapter_folders
from harness.tasks.language.passes.onnx_llm import (
    FORMAT,
    GRAPH,
    copy_beside,
    lora_shapes,
    lora_type,
    placed,
    read_graph,
)
from harness.tasks.language.passes.peft_adapter import read_adapter

SUFFIX = ".onnx_adapter"


class Adapters(Pass):
    """One ``NAME.onnx_adapter`` for each adapter folder, in place of it; ranks may differ.

    Each is held against the graph's inputs by name and shape: an adapter for another base is refused here, not when
    somebody switches to it.
    """

    name = "adapters"
    title = "adapters as files to switch between"
    effort = 1.0
    input_formats = frozenset({FORMAT})
    output_format = FORMAT
    requires = ("onnxruntime", "onnx", "safetensors")

    def run(self, job: PassContext) -> dict[str, Any]:
        if job.source is None:
            raise KpiError(f'pass "{self.name}" needs a graph', 'put "onnx-genai" before it')
        folders = adapter_folders(job.source)
        if not folders:
            raise KpiError("the model has no adapters", 'put the pass "lora" first, or adapters/NAME/ into its folder')
        graph = read_graph(job.source / GRAPH)
        names = lora_shapes(graph)
        if not names:
            raise KpiError("the graph has no inputs for adapters", 'make it with the pass "onnx-genai"')
        copy_beside(job.source, job.out, graph=True, adapters=False)
        notes = {}
        for folder in folders:
            job.progress(folder.name)
            try:
                weights = placed(read_adapter(folder), names)
            except KpiError as error:
                raise KpiError(f"adapter {folder.name}: {error.message}", error.remedy) from error
            notes[folder.name] = {
                "inputs": len(weights),
                "rank": max(a.shape[-1] for n, a in weights.items() if ".lora_A." in n),
            }
            kind = lora_type(graph)
            write_adapter(job.out / f"{folder.name}{SUFFIX}", {n: a.astype(kind) for n, a in weights.items()})
        return {"adapters": notes}


def write_adapter(file: Path, weights: Mapping[str, Any]) -> None:
    """Writes an ``.onnx_adapter`` file: parameters by the graph's input names; KpiError when the file is not whole."""
    import onnxruntime

    made = onnxruntime.AdapterFormat()
    made.set_adapter_version(1)
    made.set_model_version(1)
    made.set_parameters({name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()})
    try:
        made.export_adapter(str(file))
        # The library writes without asking whether it could.
        whole = onnxruntime.AdapterFormat.read_adapter(str(file)).get_parameters().keys() == weights.keys()
    except RuntimeError:
        whole = False
    if not whole:
        raise KpiError(f"{file.name} can't be written: the disk may be full", "free space, or set KPI_STORE")
