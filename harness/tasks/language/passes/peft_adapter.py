"""Reads a PEFT adapter's folder: the low-rank weights of each module, scaled, as an ONNX graph takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.tasks.language.passes.hf_llm import ADAPTER_CONFIG, load_adapter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BASE = "train it on this one, or name the model that it was trained on"
_PREFIX = "base_model.model."
_BEYOND = ("use_dora", "modules_to_save", "alpha_pattern", "layer_replication", "trainable_token_indices")
"""Settings that change more than two matrices of a module, or not all by the same factor."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter adds to a module: ``x @ a @ b``, shapes (inputs, rank) and (rank, outputs), scaling included."""

    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]


def read_adapter(folder: Path) -> Mapping[str, LowRank]:
    """The adapter's matrices by module, such as ``model.layers.0.self_attn.q_proj``.

    KpiError when the weights are cut short, or when the adapter is of a kind that is more than LoRA.
    """
    import numpy as np

    config = _read_config(folder)
    scale = _scale(config)
    found: dict[str, LowRank] = {}
    # By way of torch, since NumPy has no bfloat16.
    arrays = {key: tensor.float().numpy() for key, tensor in load_adapter(folder).items()}
    for key, array in arrays.items():
        module, part, rest = key.removeprefix(_PREFIX).rpartition(".lora_A.weight")
        if not part or rest:
            if not key.endswith(".lora_B.weight"):
                raise KpiError(f"adapter {folder.name}: {key} is not a weight of LoRA", "train it with PEFT")
            continue
        other = arrays.get(key.replace(".lora_A.", ".lora_B."))
        if other is None or array.ndim != 2 or other.ndim != 2 or other.shape[1] != array.shape[0]:  # noqa: PLR2004
            raise KpiError(f"adapter {folder.name}: the two matrices of {module} do not fit", "save it again with PEFT")
        factor = scale(array.shape[0])
        found[module] = LowRank(
            np.ascontiguousarray(array.T, dtype=np.float32), np.ascontiguousarray(factor * other.T, dtype=np.float32)
        )
    if not found:
        raise KpiError(f"adapter {folder.name} holds no weights of LoRA", "train one with PEFT's LoraConfig")
    return found


def check_base(name: str, weights: Mapping[str, LowRank], model: Path) -> None:
    """KpiError when an adapter changes what the model in a folder does not have, or has in another shape."""
    from safetensors import safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "np") as stored:
            shapes |= {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    for module, low in weights.items():
        shape = shapes.get(f"{module}.weight")
        if shape is None and f"{module}.qweight" not in shapes:
            raise KpiError(f"adapter {name} is for another base: this one has no {module}", _BASE)
        if shape is not None and shape != (low.b.shape[1], low.a.shape[0]):
            raise KpiError(
                f"adapter {name} is for another base: {module} is {low.b.shape[1]} x {low.a.shape[0]} there, "
                f"{' x '.join(map(str, shape))} here",
                _BASE,
            )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: Any = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        if config["peft_type"] != "LORA":
            raise KpiError(f"adapter {folder.name} is {config['peft_type']}, not LORA", "train one with LoraConfig")
        float(config["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KpiError(
            f"adapter {folder.name}: {ADAPTER_CONFIG} can't be read: {error!r}", "save it with PEFT"
        ) from None
    beyond = [name for name in _BEYOND if config.get(name)]
    if config.get("bias", "none") != "none":
        beyond.append("bias")
    if beyond:
        raise KpiError(
            f"adapter {folder.name} uses {' and '.join(beyond)}, which a switchable adapter can't hold",
            "train it without, or merge it into the model",
        )
    plain: dict[str, Any] = config
    return plain


def _scale(config: Mapping[str, Any]) -> Any:
    """The factor of PEFT's LoRA by rank: alpha / r, or alpha / sqrt(r) where it is rank-stabilized."""
    alpha, stable = float(config["lora_alpha"]), bool(config.get("use_rslora"))
    return lambda rank: alpha / (math.sqrt(rank) if stable else rank)
