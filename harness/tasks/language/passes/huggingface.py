"""Copies a language model's own folder: what servers that know Hugging Face's layout are given."""

from __future__ import annotations

import shutil
from typing import Any

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.tasks.language.workload import LanguageModel


class HuggingFace(Pass):
    """Config, safetensors and tokenizer as they are; no pickle, nothing of another framework."""

    name = "huggingface"
    title = "the model's own files"
    effort = 0.0
    input_formats = frozenset({REFERENCE})
    output_format = "huggingface"
    hub = "transformers"

    def run(self, job: PassContext) -> dict[str, Any]:
        if not isinstance(job.workload, LanguageModel):
            raise KpiError(f'pass "{self.name}" is for language models', "use it with a fixture that has prompts")
        # A server that completes prompts needs no template.
        folder = job.workload.folder_with_template(job.scratch, needed=False)
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            raise KpiError(f"{folder.name} holds no safetensors", "convert the weights")
        names = ("*.json", "*.txt", "*.model", "*.jinja")
        for file in (*weights, *(found for name in names for found in sorted(folder.glob(name)))):
            shutil.copyfile(file, job.out / file.name)
        return {}
