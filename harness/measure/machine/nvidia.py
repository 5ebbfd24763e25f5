"""NVIDIA's boards, as its management library (NVML) shows them."""

from __future__ import annotations

import ctypes
import sys
from typing import Any


def boards() -> tuple[Any, list[Any]]:
    """The module ``pynvml`` and a handle for each board, in NVML's order; no boards where there is no driver."""
    if not _has_driver():
        return None, []
    try:
        import pynvml as nvml
    except ImportError:
        return None, []
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return nvml, []
    return nvml, [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]


def _has_driver() -> bool:
    """Whether it pays to import the module: a look that takes no time where it can be had."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True
