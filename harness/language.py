"""What a fixture of a language model provides: a Hugging Face folder, prompts with their references."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.checkpoint import remembered_digest
from harness.errors import KpiError, Unavailable
from harness.workload import Fixture

SAMPLES = "prompts.jsonl"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user says, with the answer it is held against; the chat template is added by the runtime."""

    prompt: str
    reference: str


class LanguageModel(Fixture):
    """A causal language model with a chat template, and a task for it.

    The table's ``model`` (a folder, or the name of a repository on the Hugging Face hub whose files are here) replaces
    the fixture's own; its ``data`` (a file of JSON lines) replaces the evaluation prompts.
    """

    gated: ClassVar[str] = "accept its licence on https://huggingface.co/{name}, put a token into HF_TOKEN"

    @abstractmethod
    def own_folder(self) -> Path:
        """The folder of the model that the fixture ships or makes."""

    @abstractmethod
    def own_prompts(self, split: str) -> Sequence[Prompt]:
        """``calibration`` (passes may look at it), ``tuning`` (recipes tune on it) or ``evaluation``."""

    def folder(self) -> Path:
        """The model's folder: config, safetensors, tokenizer. Raises Unavailable when the weights are not here."""
        named = self.settings.model
        if named is None:
            return self.own_folder()
        if Path(named).is_absolute():
            if not (Path(named) / "config.json").is_file():
                raise Unavailable(f"{named} holds no config.json", "name a folder that holds a Hugging Face model")
            return self._checked(Path(named))
        return self._checked(_hub_folder(named, self.gated))

    def _checked(self, folder: Path) -> Path:
        pickled = [*folder.glob("*.bin"), *folder.glob("*.pt")]
        if pickled and not [*folder.glob("*.safetensors")] and not self.settings.allow_pickle:
            raise KpiError(
                f"the weights in {folder.name} are a pickle, which can run any code when it is loaded",
                "convert them to safetensors, or set allow_pickle = true in the workload's table if you trust them",
            )
        return folder

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The prompts of a split; those of the evaluation may be the user's own."""
        if split == "evaluation" and self.settings.data is not None:
            return read_prompts(self.settings.data)
        return self.own_prompts(split)

    def fingerprint(self) -> str:
        folder = self.folder()
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        digests = {p.relative_to(folder).as_posix(): remembered_digest(p, self.settings.cache) for p in files}
        return json.dumps([digests, _digest(self.prompts("evaluation")), _digest(self.prompts("calibration"))])

    def write_samples(self, folder: Path, count: int) -> None:
        """Writes the evaluation prompts as JSON lines, all of them: they are what is answered."""
        del count
        lines = [json.dumps(asdict(prompt), ensure_ascii=False) for prompt in self.prompts("evaluation")]
        (folder / SAMPLES).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_prompts(path: Path) -> list[Prompt]:
    """Reads JSON lines with ``prompt`` and ``reference``; KpiError names the first line that is wrong.

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
    for key in ("prompt", "reference"):
        if not isinstance(data, dict) or not isinstance(data.get(key), str):
            raise KpiError(f'{where} lacks "{key}"', 'write {"prompt": "...", "reference": "..."}')
        if not data[key].strip():
            raise KpiError(f'{where}: "{key}" is empty', "remove the line, or say what is expected")
    return Prompt(data["prompt"], data["reference"])


def _hub_folder(name: str, gated: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except HFValidationError:
        raise KpiError(f'model = "{name}" is no name of a repository', 'write "owner/name", or a folder') from None
    except LocalEntryNotFoundError:
        remedy = f"{gated.format(name=name)}, then run `hf download {name}`"
        raise Unavailable(f"the weights of {name} are not here", remedy) from None


def _digest(prompts: Iterable[Prompt]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(json.dumps([prompt.prompt, prompt.reference]).encode())
    return digest.hexdigest()
