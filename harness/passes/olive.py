"""Runs an Olive workflow, so that who has recipes for Olive keeps them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from harness.errors import KpiError, suggest
from harness.passes.base import REFERENCE, Job, Pass
from harness.passes.hf_llm import FORMAT as HF_LLM
from harness.passes.hf_llm import base_folder, language
from harness.passes.onnx_genai import first_line
from harness.passes.onnx_llm import FORMAT, GRAPH, precision_of, read_graph
from harness.registry import options

_NEEDED = (GRAPH, "genai_config.json", "tokenizer.json")


class Olive(Pass):
    """``olive.workflows.run`` with the workflow's passes; its input model and its folders are replaced by ours.

    It ends with what ONNX Runtime GenAI loads. Whether it did is read from the files: a workflow that failed may end
    as if it had not. Nothing is asked of a hub, no telemetry is sent.
    """

    name = "olive"
    title = "an Olive workflow"
    takes = frozenset({REFERENCE, HF_LLM})
    makes = FORMAT
    requires = ("olive-ai", "onnxruntime-genai", "onnxruntime", "transformers")
    environment = "olive"
    files = ("workflow",)

    @options
    class Options:
        """``workflow``: a JSON file as ``olive run --config`` takes it, from the TOML's folder on."""

        workflow: str

    def run(self, job: Job) -> dict[str, Any]:
        workload = language(job, self.name)
        os.environ.update(OLIVE_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        file = job.root / self.options.workflow
        workflow = read_workflow(file)
        check_passes(workflow, file.name)
        from olive.workflows import run

        given = workflow.get("input_model") or {}
        model = {**given, "type": "HfModel", "model_path": str(base_folder(job, workload))}
        folders = {"output_dir": str(job.scratch / "out"), "cache_dir": str(job.scratch / "cache")}
        job.progress(f"Olive: {', '.join(step['type'] for step in workflow['passes'].values())}")
        try:
            run({**workflow, "input_model": model, **folders})
        except Exception as error:
            raise KpiError(f"{file.name}: Olive stopped: {first_line(error)}", "see build.log") from error
        made = _result(job.scratch / "out", file.name)
        for entry in sorted(made.iterdir()):
            shutil.move(entry, job.out / entry.name)
        seen = precision_of(read_graph(job.out / GRAPH))
        return {"products": dict(seen.products), "constants": dict(seen.bytes), "adapter_products": seen.adapters}


def read_workflow(file: Path) -> dict[str, Any]:
    """The workflow; KpiError when it is none. Its passes stand by name, each with its ``type``."""
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise KpiError(f"{file.name} is no JSON: {error}", "write it as `olive run --config` takes it") from None
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

    known = OlivePackageConfig.load_default_config().passes
    lower = {key.lower() for key in known}
    for step in workflow["passes"].values():
        if step["type"].lower() not in lower:
            raise KpiError(f"{name}: {suggest(step['type'], known, 'Olive pass')}")


def _result(out: Path, workflow: str) -> Path:
    """The folder that holds what was made; KpiError when a file is missing, whatever Olive said."""
    found = sorted(out.rglob("genai_config.json"), key=lambda p: len(p.parts))
    folder = found[0].parent if found else out
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise KpiError(
            f"{workflow}: Olive left no {' and no '.join(missing)}",
            "end the workflow with a pass such as ModelBuilder; build.log says what happened",
        )
    return folder
