"""Exports a causal language model to OpenVINO with Optimum Intel, the tokenizer converted along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from harness.errors import KpiError
from harness.language import LanguageModel
from harness.libraries import import_torchvision
from harness.passes.base import REFERENCE, Job, Pass
from harness.registry import options

FORMAT = "openvino-llm"


class OptimumOpenVino(Pass):
    """``optimum.exporters.openvino.main_export``, which is what ``optimum-cli export openvino`` calls.

    The function raises where the command may end with exit code 0 and nothing written. The network is stateful, its
    KV cache inside.
    """

    name = "optimum-openvino"
    title = "export to OpenVINO with Optimum Intel"
    takes = frozenset({REFERENCE})
    makes = FORMAT
    requires = ("optimum-intel", "transformers", "openvino", "openvino-tokenizers")

    @options
    class Options:
        """``weights``: the precision in which they are stored."""

        weights: Literal["fp32", "fp16"] = "fp16"

    def run(self, job: Job) -> dict[str, Any]:
        if not isinstance(job.workload, LanguageModel):
            raise KpiError(f'pass "{self.name}" exports language models', "use it with a fixture that has prompts")
        folder = job.workload.folder()
        import_torchvision()
        from optimum.exporters.openvino import main_export
        from optimum.intel import OVConfig

        if not has_chat_template(folder):
            raise KpiError(f"the tokenizer in {folder.name} has no chat template", "add one to tokenizer_config.json")
        job.progress("exporting the network")
        main_export(
            str(folder),
            job.out,
            task="text-generation-with-past",
            library_name="transformers",
            ov_config=OVConfig(dtype=self.options.weights),
            convert_tokenizer=True,
            trust_remote_code=job.workload.settings.trust_remote_code,
            local_files_only=True,
        )
        for name in ("openvino_model.xml", "openvino_tokenizer.xml", "openvino_detokenizer.xml"):
            if not (job.out / name).is_file():
                raise KpiError(f"Optimum Intel left no {name}", "see build.log")
        return {"weights": self.options.weights}


def has_chat_template(folder: Path) -> bool:
    """Whether a tokenizer's folder says how a conversation is written."""
    if (folder / "chat_template.jinja").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(json.loads(config.read_text(encoding="utf-8")).get("chat_template"))
