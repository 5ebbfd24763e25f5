"""Models in ncnn's format, written without a converter: one dense layer, in floating point or in INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_INT8 = 0x000D4B38
"""The sign before weights in INT8; 0 is the one before floating point."""


def dense(file: Path, weight: npt.NDArray[Any], *, integer: bool = False, sizes: bool = True, limit: float = 1) -> Path:
    """``scores = image @ weight.T`` as ``file`` and its ``.bin``; ``weight`` is (outputs, inputs).

    ``integer``: weights in INT8, and inputs within ``limit`` as such; ``sizes``: whether the text names the input's.
    """
    outputs, inputs = weight.shape
    size = f" 0={inputs}" if sizes else ""
    option = " 8=2" if integer else ""
    text = (
        "7767517\n2 2\n"
        f"Input image 0 1 image{size}\n"
        f"InnerProduct dense 1 1 image scores 0={outputs} 1=0 2={weight.size}{option}\n"
    )
    file.write_text(text, encoding="utf-8")
    scales = 127 / np.abs(weight).max(axis=1)
    if integer:
        whole = np.rint(weight * scales[:, None]).astype(np.int8).tobytes()
        parts = [_INT8.to_bytes(4, "little"), whole, bytes(-len(whole) % 4)]
        parts += [scales.astype(np.float32).tobytes(), np.float32(127 / limit).tobytes()]
    else:
        parts = [bytes(4), weight.astype(np.float32).tobytes()]
    file.with_suffix(".bin").write_bytes(b"".join(parts))
    return file
