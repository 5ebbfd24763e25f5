"""NVIDIA's boards, as its management library (NVML) shows them."""

from __future__ import annotations

from typing import Any


def boards() -> tuple[Any, list[Any]]:
    """The module ``pynvml`` and a handle for each board, in NVML's order; no boards where there is no driver."""
    try:
        import pynvml as nvml
    except ImportError:
        return None, []
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return nvml, []
    return nvml, [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
