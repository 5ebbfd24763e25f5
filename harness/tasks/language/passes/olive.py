"""Runs an Olive workflow, so that who has recipes for Olive keeps them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError, reason, suggest
from harness.core.formats import REFERENCE
from harness.core.registry import options_table
from harness.tasks.language.passes.hf_llm import FORMAT as HF_LLM
from harness.tasks.language.passes.hf_llm import base_folder, language
from harness.tasks.language.passes.onnx_llm import FORMAT, GRAPH, copy_beside, precision_of, read_graph

_NEEDED = (GRAPH, "genai_config.json", "tokenizer.json")
_NOTES = frozenset(
    {"footprint.json", "input_model_metrics.json", "model_config.json", "output_footprint.json", "run_history.txt"}
)
_OTHER_BUILDER = (
    "Olive 0.13's ModelBuilder is for onnxruntime-genai 0.14: put the pass onnx-genai before this one, or pin 0.14.1 "
    "in environments/olive.txt next to the TOML"
)


class Olive(Pass):
    """``olive.workflows.run`` with the workflow's passes; its input model and its folders are replaced by ours.

    A graph that ``onnx-genai`` built is handed on to Olive's ONNX passes. A Hugging Face folder needs a workflow that
    ends with what ONNX Runtime GenAI loads (``ModelBuilder``). Whether it did is read from the files: a workflow that
    failed may end as if it had not. Nothing is asked of a hub, no telemetry is sent.
    """

    name = "olive"
    title = "an Olive workflow"
    input_formats = frozenset({REFERENCE, HF_LLM, FORMAT})
    output_format = FORMAT
    requires = ("olive-ai", "onnxruntime-genai", "onnxruntime", "transformers")
    environment = "olive"
    files = ("workflow",)

    @options_table
    class Options:
        """``workflow``: a JSON file as ``olive run --config`` takes it, from the TOML's folder on."""

        workflow: str

    def run(self, job: PassContext) -> dict[str, Any]:
        os.environ.update(OLIVE_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        file = job.root / self.options.workflow
        workflow = read_workflow(file)
        check_passes(workflow, file.name)
        out = job.scratch / "out"
        folders = {"output_dir": str(out), "cache_dir": str(job.scratch / "cache")}
        job.progress(f"Olive: {', '.join(step['type'] for step in workflow['passes'].values())}")
        try:
            from olive.workflows import run

            run({**workflow, "input_model": self._model(job, workflow), **folders})
        except ModuleNotFoundError as error:
            raise KpiError(f"{file.name}: Olive stopped: {reason(error)}", _OTHER_BUILDER) from error
        except Exception as error:
            raise KpiError(f"{file.name}: Olive stopped: {reason(error)}", "see build.log") from error
        if _graph(job) is not None:
            copy_beside(job.input("."), job.out)
        for made in _made(out):
            shutil.move(made, job.out / made.name)
        if missing := [name for name in _NEEDED if not (job.out / name).is_file()]:
            raise KpiError(
                f"{file.name}: Olive left no {' and no '.join(missing)}",
                "give it a graph of the pass onnx-genai, or end the workflow with ModelBuilder; see build.log",
            )
        graph = read_graph(job.out / GRAPH)
        if not any(output.name == "logits" for output in graph.graph.output):
            raise KpiError(
                f"{file.name}: Olive left a graph without the output logits",
                'some of its passes rename it: try "nodes_to_exclude": ["/lm_head/MatMul"]',
            )
        seen = precision_of(graph)
        return {"products": dict(seen.products), "constants": dict(seen.bytes), "adapter_products": seen.adapters}

    def _model(self, job: PassContext, workflow: dict[str, Any]) -> dict[str, Any]:
        if (graph := _graph(job)) is not None:
            return {"type": "OnnxModel", "model_path": str(graph.parent), "onnx_file_name": graph.name}
        given = workflow.get("input_model") or {}
        return {**given, "type": "HfModel", "model_path": str(base_folder(job, language(job, self.name)))}


def _graph(job: PassContext) -> Path | None:
    """The graph of the artifact before, where it is one."""
    return job.input(GRAPH) if job.source is not None and job.input(GRAPH).is_file() else None


def _made(out: Path) -> list[Path]:
    """What belongs to a model, in the highest folder that holds a graph: Olive leaves notes on its own work, too."""
    graphs = sorted(out.rglob("*.onnx"), key=lambda p: (len(p.parts), p.name))
    return sorted(p for p in graphs[0].parent.iterdir() if p.is_file() and p.name not in _NOTES) if graphs else []


def read_workflow(file: Path) -> dict[str, Any]:
    """The workflow; KpiError when it is none. Its passes are given by name, each with its ``type``."""
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise KpiError(f"{file.name} is not JSON: {error}", "write it as `olive run --config` takes it") from None
    steps = found.get("passes") if isinstance(found, dict) else None
    if not isinstance(steps, dict) or not steps:
        raise KpiError(f'{file.name} has no "passes"', "write it as `olive run --config` takes it")
    for name, step in steps.items():
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise KpiError(f'{file.name}: pass "{name}" has no "type"', 'write {"type": "ModelBuilder", ...}')
    workflow: dict[str, Any] = found
    return workflow


def check_passes(workflow: dict[str, Any], name: str) -> None:
    """Refuses a pass that this version of Olive does not have."""
    from olive.package_config import OlivePackageConfig

    found = OlivePackageConfig.load_default_config().passes
    known = [str(config.module_path).rpartition(".")[2] for config in found.values()]
    for step in workflow["passes"].values():
        if step["type"].lower() not in found:
            raise KpiError(f"{name}: {suggest(step['type'], known, 'Olive pass')}")
