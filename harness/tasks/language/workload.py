"""What a fixture of a language model provides: a Hugging Face folder, prompts with their references."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.json_lines import line
from harness.workloads.base import Workload
from harness.workloads.chat_template import folder_with_template
from harness.workloads.huggingface import folder_digest, named_folder, require_causal

SAMPLES = "prompts.jsonl"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user says, with the answer it is held against; the chat template is added by the runtime.

    ``cluster`` names the document or the dialogue that it comes from; empty where it is independent.
    """

    prompt: str
    reference: str
    cluster: str = ""


class LanguageModel(Workload):
    """A causal language model with a chat template, its own or what the table's ``chat_template`` names; its task.

    The table's ``model`` (a folder, or the name of a repository on the Hugging Face hub whose files are here) replaces
    the fixture's own; its ``data`` (a file of JSON lines) replaces the evaluation prompts.
    """

    @abstractmethod
    def own_folder(self) -> Path:
        """The folder of the model that the fixture ships or makes."""

    @abstractmethod
    def own_prompts(self, split: str) -> Sequence[Prompt]:
        """``calibration`` (passes may look at it), ``tuning`` (recipes tune on it) or ``evaluation``.

        Where adapters can be trained also ``training``, and ``training:NAME`` for each further task.
        """

    def folder(self) -> Path:
        """The model's folder: config, safetensors, tokenizer.

        Raises Unavailable when the weights are not here, KpiError when they are of no causal language model.
        """
        folder = named_folder(self.settings, require_causal)
        if folder is None:
            folder = self.own_folder()
            require_causal(folder)
        return folder

    def folder_with_template(self, scratch: Path, *, needed: bool = True) -> Path:
        """The folder with the chat template of the workload's table; KpiError where one is ``needed`` and missing."""
        return folder_with_template(self.folder(), self.settings.chat_template, scratch, needed=needed)

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The prompts of a split; those of the evaluation may be the user's own."""
        if split == "evaluation" and self.settings.data is not None:
            return read_prompts(self.settings.data)
        return self.own_prompts(split)

    def fingerprint(self) -> str:
        parts = [self.prompts("evaluation"), self.prompts("calibration")]
        return json.dumps([folder_digest(self.folder(), self.settings.cache), *map(_digest, parts)])

    def write_samples(self, folder: Path, count: int) -> None:
        """Writes the evaluation prompts as JSON lines, all of them: they are what is answered."""
        del count
        lines = [line(asdict(prompt)) for prompt in self.prompts("evaluation")]
        (folder / SAMPLES).write_text("".join(lines), encoding="utf-8")


def prompt_clusters(prompts: Sequence[Prompt]) -> list[str]:
    """Where each prompt comes from: what its line says, else a name of its own."""
    return [prompt.cluster or f"prompt {number}" for number, prompt in enumerate(prompts)]


def read_prompts(path: Path) -> list[Prompt]:
    """Reads JSON lines with ``prompt`` and ``reference`` (or ``response``); KpiError names the first that is wrong.

    Raises Unavailable when the file is not there.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Unavailable(
            f"the prompts {path} can't be read: {error.strerror}", "check `data` or --kpi-prompts"
        ) from None
    except UnicodeDecodeError as error:
        raise KpiError(f"{path.name} is not UTF-8: byte {error.start}", "save it as UTF-8") from None
    found = [_prompt(line, f"{path.name} line {n}") for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not found:
        raise KpiError(f"{path.name} holds no prompt", 'write lines such as {"prompt": "...", "reference": "..."}')
    return found


def _prompt(line: str, where: str) -> Prompt:
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise KpiError(f"{where} is not JSON", 'write {"prompt": "...", "reference": "..."}') from None
    wanted = "response" if isinstance(data, dict) and "response" in data else "reference"
    if wanted == "response" and "reference" in data:
        raise KpiError(f'{where} has "reference" and "response"', "keep the one that outputs are held against")
    for key in ("prompt", wanted):
        if not isinstance(data, dict) or not isinstance(data.get(key), str):
            other = ' (or "response")' if key == "reference" else ""
            raise KpiError(f'{where} lacks "{key}"{other}', 'write {"prompt": "...", "reference": "..."}')
        if not data[key].strip():
            raise KpiError(f'{where}: "{key}" is empty', "remove the line, or say what is expected")
    return Prompt(data["prompt"], data[wanted], str(data.get("cluster", "")))


def _digest(prompts: Iterable[Prompt]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(json.dumps([text for text in astuple(prompt) if text]).encode())
    return digest.hexdigest()
