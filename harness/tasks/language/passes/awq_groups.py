"""Which linear layers of a decoder read the same input, and what that input can be scaled through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError

if TYPE_CHECKING:
    import torch

FAMILIES = ("llama", "mistral", "phi3", "qwen2")
"""Decoders whose norms multiply by a weight and whose layers have the names used here."""


@dataclass(frozen=True, slots=True)
class Group:
    """``readers`` read what ``norm`` (its weights) or the ``writer`` (name, layer, its rows) makes.

    ``repeats``: heads of keys and values are read by so many heads in a row, of ``head`` channels each.
    """

    name: str
    readers: dict[str, Any]
    norm: torch.Tensor | None = None
    writer: tuple[str, Any, slice] | None = None
    repeats: int = 1
    head: int = 1

    def shared(self, strength: torch.Tensor) -> torch.Tensor:
        """Of what the readers see in each channel, the mean over the channels that are copies of one."""
        return strength.view(-1, self.repeats, self.head).mean(1).flatten()

    def wide(self, scale: torch.Tensor) -> torch.Tensor:
        """The scale of each channel that the readers see."""
        return scale.view(-1, 1, self.head).expand(-1, self.repeats, -1).flatten()


def groups(model: Any) -> list[Group]:
    """The groups of a decoder, first layer first; KpiError for a network that is not known here."""
    config = model.config
    if config.model_type not in FAMILIES:
        raise KpiError(
            f'pass "awq" does not know how a {config.model_type} is built', f"it knows {', '.join(FAMILIES)}"
        )
    names = {part: name for name, part in model.named_modules()}
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    repeats = config.num_attention_heads // config.num_key_value_heads
    values = config.num_key_value_heads * head
    found: list[Group] = []
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        if config.model_type == "phi3":
            asked, gates = [attention.qkv_proj], [mlp.gate_up_proj]
            value = (attention.qkv_proj, slice(attention.qkv_proj.out_features - values, None))
            up = (mlp.gate_up_proj, slice(mlp.gate_up_proj.out_features // 2, None))
        else:
            asked, gates = [attention.q_proj, attention.k_proj, attention.v_proj], [mlp.gate_proj, mlp.up_proj]
            value, up = (attention.v_proj, slice(None)), (mlp.up_proj, slice(None))
        for readers, norm in ((asked, layer.input_layernorm), (gates, layer.post_attention_layernorm)):
            found.append(Group(names[readers[0]], {names[part]: part for part in readers}, norm=norm.weight))
        for reader, (part, rows), times in ((attention.o_proj, value, repeats), (mlp.down_proj, up, 1)):
            size = head if times > 1 else 1
            writer = (names[part], part, rows)
            found.append(Group(names[reader], {names[reader]: reader}, writer=writer, repeats=times, head=size))
    if model.lm_head.weight is not model.model.embed_tokens.weight:
        found.append(Group("lm_head", {"lm_head": model.lm_head}, norm=model.model.norm.weight))
    return found
