"""Finds a Hugging Face model's folder: the fixture's own, one on the disk, or one of the hub's that was downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from harness.checkpoint import remembered_digest
from harness.errors import KpiError, Unavailable
from harness.workload import Settings

GATED = "accept its licence on https://huggingface.co/{name}, put a token into HF_TOKEN"


def named_folder(settings: Settings) -> Path | None:
    """The folder that the workload's ``model`` names, None when it names none: config, safetensors, tokenizer.

    Raises Unavailable when the weights are not here, KpiError when they are a pickle that nobody said to trust.
    """
    named = settings.model
    if named is None:
        return None
    if Path(named).is_absolute():
        if not (Path(named) / "config.json").is_file():
            raise Unavailable(f"{named} holds no config.json", "name a folder that holds a Hugging Face model")
        return _checked(Path(named), settings)
    return _checked(_hub_folder(named), settings)


def folder_digest(folder: Path, cache: Path) -> str:
    """Text that changes when a file of the folder does."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return json.dumps({p.relative_to(folder).as_posix(): remembered_digest(p, cache) for p in files})


def _checked(folder: Path, settings: Settings) -> Path:
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt")]
    if pickled and not [*folder.glob("*.safetensors")] and not settings.allow_pickle:
        raise KpiError(
            f"the weights in {folder.name} are a pickle, which can run any code when it is loaded",
            "convert them to safetensors, or set allow_pickle = true in the workload's table if you trust them",
        )
    return folder


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except HFValidationError:
        raise KpiError(f'model = "{name}" is no name of a repository', 'write "owner/name", or a folder') from None
    except LocalEntryNotFoundError:
        remedy = f"{GATED.format(name=name)}, then run `hf download {name}`"
        raise Unavailable(f"the weights of {name} are not here", remedy) from None
