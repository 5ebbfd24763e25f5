"""Finds a Hugging Face model's folder: the fixture's own, one on the disk, or one of the hub's that was downloaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.libraries import version_of
from harness.workloads.base import Settings
from harness.workloads.checkpoint import remembered_digest

_ENCODER_DECODER = frozenset(
    {"bart", "blenderbot", "fsmt", "longt5", "m2m_100", "marian", "mbart", "mt5", "nllb-moe", "pegasus", "plbart"}
    | {"prophetnet", "seamless_m4t", "switch_transformers", "t5", "t5gemma", "umt5", "whisper"}
)
_PACKAGES = {
    "awq": "gptqmodel or autoawq",
    "bitsandbytes": "bitsandbytes",
    "gptq": "gptqmodel",
    "compressed-tensors": "compressed-tensors",
    "mxfp4": "",
    "bitnet": "",
}
"""Which distributions an export reads a quantized checkpoint with; empty where transformers does it alone."""
GATED = "accept its licence on https://huggingface.co/{name}, put a token into HF_TOKEN"


def named_folder(settings: Settings, require: Callable[[Path], None] = lambda _: None) -> Path | None:
    """The folder that the workload's ``model`` names, None when it names none: config, safetensors, tokenizer.

    ``require`` looks at it before anything else does. Raises Unavailable when the weights are not here, KpiError when
    they are a pickle that the user did not allow.
    """
    named = settings.model
    if named is None:
        return None
    if Path(named).is_absolute():
        if not (Path(named) / "config.json").is_file():
            raise Unavailable(f"{named} holds no config.json", "name a folder that holds a Hugging Face model")
        folder = Path(named)
    else:
        folder = _hub_folder(named)
    require(folder)
    return _checked(folder, settings)


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
        raise KpiError(f'model = "{name}" is not a name of a repository', 'write "owner/name", or a folder') from None
    except LocalEntryNotFoundError:
        remedy = f"{GATED.format(name=name)}, then run `hf download {name}`"
        raise Unavailable(f"the weights of {name} are not here", remedy) from None


def model_config(folder: Path) -> dict[str, Any]:
    """What a model's ``config.json`` says; KpiError when it can't be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise KpiError(f"{folder.name} holds no config.json that can be read", "fetch the model again") from None
    return config if isinstance(config, dict) else {}


def require_causal(folder: Path) -> None:
    """KpiError for a model that reads a text with one network and writes with another."""
    config = model_config(folder)
    kind = str(config.get("model_type"))
    if config.get("is_encoder_decoder") or kind in _ENCODER_DECODER:
        raise KpiError(
            f"the model in {folder.name} is of the type {kind}, an encoder-decoder, which is not supported",
            "name a causal language model (decoder only)",
        )


def quantized_as(folder: Path) -> str:
    """How the weights of a folder are quantized, such as "gptq, 4 bits"; empty where they are not."""
    settings = model_config(folder).get("quantization_config")
    if not isinstance(settings, dict) or not settings:
        return ""
    method = str(settings.get("quant_method") or "unknown method")
    bits = settings.get("bits", settings.get("w_bit"))
    if bits is None and method == "bitsandbytes":
        bits = 4 if settings.get("load_in_4bit") or settings.get("_load_in_4bit") else 8
    return f"{method}, {bits} bits" if bits else method


def require_floats(folder: Path, what: str) -> None:
    """KpiError where the weights are integers already, and ``what`` would quantize them once more."""
    if found := quantized_as(folder):
        raise KpiError(
            f"the checkpoint is quantized already ({found}): {what} would quantize it twice",
            "leave the pass out, or name the checkpoint in floating point",
        )


def require_exportable(folder: Path) -> None:
    """Unavailable before an export of a checkpoint that is quantized already, where what reads it is not here."""
    found = quantized_as(folder)
    method = found.partition(",")[0]
    needed = _PACKAGES.get(method)
    if not found or needed == "" or (needed and any(version_of(name) for name in needed.split(" or "))):
        return
    if needed is None:
        raise KpiError(
            f"the checkpoint is quantized already ({found}), which the export can't read",
            "name the checkpoint in floating point",
        )
    raise Unavailable(
        f"the checkpoint is quantized already ({found}): the export needs {needed}",
        f"pip install {needed.partition(' ')[0]}, or name the checkpoint in floating point",
    )


def linked_folder(folder: Path, target: Path, replaced: Mapping[str, str | None]) -> Path:
    """Makes ``target`` a folder that links to a model's files; ``replaced`` are texts by name, None for left out."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = target / file.relative_to(folder)
        if file.name not in replaced and file.name != "manifest.json":
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(file.resolve(), place)
    for name, text in replaced.items():
        if text is not None:
            (target / name).write_text(text, encoding="utf-8")
    return target


def _link(file: Path, place: Path) -> None:
    try:
        os.symlink(file, place)
    except OSError:  # where links need a privilege
        shutil.copyfile(file, place)
