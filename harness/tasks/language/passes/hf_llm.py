"""A language model's Hugging Face folder with its adapters: what passes that train or rewrite weights hand on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.base import PassContext
from harness.core.errors import KpiError, reason
from harness.tasks.language.workload import LanguageModel, Prompt
from harness.workloads.huggingface import require_exportable

if TYPE_CHECKING:
    import torch

FORMAT = "hf-llm"
ADAPTERS = "adapters"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja")


def language(job: PassContext, name: str) -> LanguageModel:
    """The workload of a pass that is for language models."""
    if not isinstance(job.workload, LanguageModel):
        raise KpiError(f'pass "{name}" is for language models', "use it with a fixture that has prompts")
    return job.workload


def base_folder(job: PassContext, workload: LanguageModel) -> Path:
    """The model's folder, with a chat template: the artifact before this pass, or what the workload names."""
    folder = job.source
    if folder is None:
        require_exportable(workload.folder())
        folder = workload.folder_with_template(job.scratch)
    if not list(folder.glob("*.safetensors")):
        raise KpiError(f"{folder.name} holds no safetensors", "convert the weights")
    return folder


def copy_folder(folder: Path, out: Path, *, weights: bool) -> None:
    """Copies config, tokenizer and adapters; the model's own weights where asked for. What is there already stays."""
    for pattern in (*_BESIDE, *(("*.safetensors",) if weights else ())):
        for file in sorted(folder.glob(pattern)):
            index = file.name.endswith(".safetensors.index.json")
            if file.name != "manifest.json" and not (out / file.name).exists() and (weights or not index):
                shutil.copyfile(file, out / file.name)
    for adapter in adapter_folders(folder):
        (out / ADAPTERS / adapter.name).mkdir(parents=True)
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            shutil.copyfile(adapter / name, out / ADAPTERS / adapter.name / name)


def adapter_folders(folder: Path) -> list[Path]:
    """The adapters of a model's folder, by name; KpiError when one is not whole."""
    found = sorted(p for p in (folder / ADAPTERS).iterdir() if p.is_dir()) if (folder / ADAPTERS).is_dir() else []
    for adapter in found:
        for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if not (adapter / file).is_file():
                raise KpiError(f"adapter {adapter.name} lacks {file}", "train it again")
    return found


def load_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """An adapter's matrices by their name; KpiError when the file is cut short."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(folder / ADAPTER_WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise KpiError(f"adapter {folder.name}: {ADAPTER_WEIGHTS} can't be read: {error}", "train it again") from None


def load_model(folder: Path, dtype: torch.dtype) -> Any:
    """The causal language model of a folder, on the CPU."""
    from harness.workloads.torchvision_compat import before_transformers

    before_transformers()
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (ValueError, OSError, RuntimeError) as error:
        raise KpiError(f"the model in {folder.name} can't be loaded: {reason(error)}") from error


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder; KpiError when it has no chat template."""
    from harness.workloads.torchvision_compat import before_transformers

    before_transformers()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.chat_template is None:
        raise KpiError(f"the tokenizer in {folder.name} has no chat template", "write one into tokenizer_config.json")
    return tokenizer


def spoken(tokenizer: Any, prompts: Sequence[Prompt], length: int) -> Iterator[tuple[list[int], int]]:
    """Each prompt with its reference as tokens in the chat's template, and where the answer begins.

    Those of more than ``length`` tokens are left out.
    """
    for prompt in prompts:
        user = {"role": "user", "content": prompt.prompt}
        asked: str = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        turns = [user, {"role": "assistant", "content": prompt.reference}]
        whole: str = tokenizer.apply_chat_template(turns, tokenize=False)
        answer = whole[len(asked) :] if whole.startswith(asked) else prompt.reference
        if tokenizer.eos_token is not None and tokenizer.eos_token not in answer:
            answer += tokenizer.eos_token
        first = tokenizer(asked, add_special_tokens=False)["input_ids"]
        tokens = first + tokenizer(answer, add_special_tokens=False)["input_ids"]
        if len(tokens) <= length:
            yield tokens, len(first)


def write_json(file: Path, content: Any) -> None:
    """Writes JSON whose bytes depend on the content alone."""
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
