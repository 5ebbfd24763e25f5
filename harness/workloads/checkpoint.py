"""Loads a checkpoint that can be trusted: safetensors, with the digest that was pinned."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import KpiError, Unavailable, reason

if TYPE_CHECKING:
    import torch

_LARGE = 64_000_000
_POINTER = b"version https://git-lfs.github.com/"
_PICKLES = frozenset({".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"})


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_digest(path: Path, cache: Path) -> str:
    """SHA-256 of a file; that of a large one is computed once, then believed while its size and time stay the same."""
    stat = path.stat()
    if stat.st_size < _LARGE:
        return file_digest(path)
    state = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    note = cache / "digests" / f"{hashlib.sha256(json.dumps(state).encode()).hexdigest()}.txt"
    if note.exists():
        return note.read_text(encoding="ascii")
    digest = file_digest(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    aside = note.with_suffix(f".{os.getpid()}")
    aside.write_text(digest, encoding="ascii")
    aside.replace(note)
    return digest


def check_checkpoint(path: Path, sha256: str | None, cache: Path, *, allow_pickle: bool) -> str:
    """Returns the digest, remembered below ``cache``; raises when the file is missing, not as pinned, or a pickle."""
    if not path.is_file():
        raise Unavailable(f"checkpoint {path} is not here", "check the workload's `checkpoint` in kpis.toml")
    if path.suffix in _PICKLES and not allow_pickle:
        raise KpiError(
            f"checkpoint {path.name} is a pickle, which can run any code when it is loaded",
            "convert it to safetensors, or set allow_pickle = true in the workload's table if you trust it",
        )
    digest = remembered_digest(path, cache)
    if sha256 is not None and digest != sha256:
        raise KpiError(
            f"checkpoint {path.name} has the digest {digest[:16]}..., pinned is {sha256[:16]}...",
            "fetch it again, or pin the new digest as `checkpoint_sha256` if the change is meant",
        )
    return digest


def load_state(path: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, floating ones as float32; KpiError when the file is damaged."""
    import torch

    try:
        if path.suffix in _PICKLES and allow_pickle:
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            from safetensors.torch import load_file

            state = load_file(path)
    except Exception as error:
        raise KpiError(
            f"checkpoint {path.name} can't be read: {reason(error)}", "it may be truncated; fetch it again"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def load_into(model: torch.nn.Module, path: Path, *, allow_pickle: bool) -> torch.nn.Module:
    """Loads a checkpoint into ``model`` and returns it in evaluation mode; KpiError names what does not fit."""
    state = load_state(path, allow_pickle=allow_pickle)
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
    if missing := sorted(set(wanted) - set(state)):
        raise KpiError(f"checkpoint {path.name} lacks {len(missing)} tensors, the first is {missing[0]}")
    if extra := sorted(set(state) - set(wanted)):
        raise KpiError(f"checkpoint {path.name} has {len(extra)} tensors too many, the first is {extra[0]}")
    for name, tensor in wanted.items():
        if tuple(state[name].shape) != tuple(tensor.shape):
            raise KpiError(
                f"checkpoint {path.name}: {name} has the shape {tuple(state[name].shape)}, expected "
                f"{tuple(tensor.shape)}",
                "is it for another number of classes?",
            )
    model.load_state_dict(state)
    return model.eval()


def refuse_pointer(file: Path) -> None:
    """Raises Unavailable where a file only says which one Git LFS keeps in its place."""
    with file.open("rb") as opened:
        start = opened.read(len(_POINTER))
    if start == _POINTER:
        raise Unavailable(f"{file.name} is a pointer of Git LFS, not the file itself", "git lfs pull")
