"""How busy GPUs and NPUs are, as far as the system tells without special rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from harness.measure.machine.nvidia import boards

_Read = Callable[[], float]


class Accelerators:
    """Figures of the accelerators that were found when it was made, by name; empty where there is none.

    ``gpu.busy_s`` and ``gpu.memory``: seconds of all engines, bytes, of this process by the kernel's DRM statistics
    (i915, xe, amdgpu; Linux's drm-usage-stats); ``npu.busy_s``: seconds of the whole device, by intel_vpu's sysfs;
    ``nvidia<n>.use`` and ``nvidia<n>.memory``: share and bytes of the whole device, by NVML.
    """

    def __init__(self, proc: Path = Path("/proc/self/fdinfo"), sys: Path = Path("/sys")) -> None:
        self._proc = proc
        self._sys = sys
        self._nvidia = dict(_nvidia())

    def sample(self) -> dict[str, float]:
        """What they say now."""
        found = {name: read() for name, read in self._nvidia.items()}
        for file in sorted((self._sys / "class/accel").glob("accel*/device/npu_busy_time_us")):
            text = _text(file)
            if text.strip().isdigit():
                found["npu.busy_s"] = found.get("npu.busy_s", 0.0) + int(text) / 1e6
        return found | self._drm()

    def _drm(self) -> dict[str, float]:
        """One entry a client: several file descriptors may be of the same one."""
        clients: dict[str, tuple[float, float]] = {}
        for file in self._proc.glob("*"):
            fields = dict(_fields(_text(file)))
            if "drm-client-id" not in fields:
                continue
            engines = [v for k, v in fields.items() if k.startswith("drm-engine-") and "capacity" not in k]
            memory = [v for k, v in fields.items() if k.startswith("drm-resident-")]
            clients[f"{fields.get('drm-pdev')} {fields['drm-client-id']}"] = (
                sum(map(_number, engines)) / 1e9,
                sum(map(_number, memory)),
            )
        if not clients:
            return {}
        return {
            "gpu.busy_s": sum(busy for busy, _ in clients.values()),
            "gpu.memory": sum(memory for _, memory in clients.values()),
        }


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # closed meanwhile


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


_UNITS = {"": 1, "ns": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _number(text: str) -> float:
    """A number with a unit; 0 when it is none."""
    number, _, unit = text.partition(" ")
    return float(number) * _UNITS.get(unit.strip(), 1) if number.isdigit() else 0.0


def _nvidia() -> Iterator[tuple[str, _Read]]:
    nvml, devices = boards()
    for number, device in enumerate(devices):
        yield f"nvidia{number}.use", partial(_use, nvml, device)
        yield f"nvidia{number}.memory", partial(_memory, nvml, device)


def _use(nvml: Any, device: Any) -> float:
    return float(nvml.nvmlDeviceGetUtilizationRates(device).gpu) / 100


def _memory(nvml: Any, device: Any) -> float:
    return float(nvml.nvmlDeviceGetMemoryInfo(device).used)
