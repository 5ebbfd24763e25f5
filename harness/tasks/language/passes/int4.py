"""ONNX Runtime's block-wise INT4 in torch, value for value: what a weight becomes, before it becomes that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 32


def rounded(weight: torch.Tensor, block: int = BLOCK) -> torch.Tensor:
    """``weight`` (out, in) as MatMulNBits' symmetric 4 bits give it back: -8 to 7 times a scale for each block.

    The value of a block that is farthest from 0 becomes -8 times the scale, which may be negative. So a weight that is
    rounded already stays what it is, also when it is rounded again. Source: ``quantize_matmul_4bits`` of ONNX Runtime
    1.31, with which a test compares this.
    """
    import torch

    rows, columns = weight.shape
    padded = torch.nn.functional.pad(weight.float(), (0, -columns % block))
    blocks = padded.view(rows, -1, block)
    most, least = blocks.amax(-1), blocks.amin(-1)
    scale = torch.where(most.abs() > least.abs(), most, least) / -8
    inverse = torch.where(scale == 0, scale, 1 / scale).unsqueeze(-1)
    steps = (blocks * inverse).round().clamp(-8, 7)
    return (steps * scale.unsqueeze(-1)).flatten(1)[:, :columns]
