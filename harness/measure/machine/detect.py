"""What this machine is and has: detected from the operating system, without any runtime."""

from __future__ import annotations

import fnmatch
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from harness.core.units import BYTES
from harness.measure.machine.heat import Heat
from harness.measure.machine.quota import quota
from harness.spec.model import Machine

# Arm cores say a number, not a name: the parts that edge devices have (Arm's MIDR tables).
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd0e": "Cortex-A76AE",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2",
    "0xd4b": "Cortex-A78C",
    "0xd4d": "Cortex-A715",
    "0xd4e": "Cortex-X3",
    "0xd4f": "Neoverse-V2",
    "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720",
    "0xd82": "Cortex-X4",
    "0xd84": "Neoverse-V3",
    "0xd85": "Cortex-X925",
    "0xd87": "Cortex-A725",
    "0xd8e": "Neoverse-N3",
}
_SMALL = 10e9
_INSTRUCTIONS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)


@dataclass(frozen=True, slots=True)
class Detected:
    """The hardware as the operating system names it, and what of it this process may use.

    ``cores`` and ``memory`` (bytes) are what the processor mask and a container's limits leave; ``visible_cores`` and
    ``total_memory`` are what the machine shows. ``quota`` is the limit on processors as it is written, such as 1.5,
    None where there is none. ``heat`` names what tells of heat that slows the machine down; empty where
    that is not visible.
    """

    cpu: str
    cores: int
    memory: int
    os: str
    arch: str
    gpus: tuple[str, ...] = ()
    npus: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    governor: str | None = None
    boot: str = ""
    python: str = ""
    # What follows is not in the evidence of every version.
    visible_cores: int | None = None
    total_memory: int | None = None
    quota: float | None = None
    heat: tuple[str, ...] | None = None

    @property
    def processor_class(self) -> str:
        """What integer arithmetic depends on, such as "x86-64 with VNNI and AMX"."""
        return processor_class(self.arch, self.instructions)

    def has(self, device: str) -> bool:
        """Whether there is such a device at all."""
        return {"gpu": bool(self.gpus), "npu": bool(self.npus)}.get(device, True)


def mismatch(wanted: Machine, here: Detected) -> str:
    """Why this machine is not the one a KPI was written for; empty when it is."""
    if not here.has(wanted.device):
        return f"this machine has no {wanted.device}"
    for name, pattern, found in (
        ("cpu", wanted.cpu, (here.cpu,)),
        ("gpu", wanted.gpu, here.gpus),
        ("npu", wanted.npu, here.npus),
        ("os", wanted.os, (here.os,)),
        ("arch", wanted.arch, (here.arch,)),
    ):
        if pattern is not None and not _fits(pattern, found):
            return f"{name} is {', '.join(found) or 'absent'}, promised for {pattern}"
    if wanted.cores is not None and not wanted.cores.holds(here.cores):
        return f"{cores_of(here)}, promised for {wanted.cores.text}"
    if wanted.memory is not None and not wanted.memory.holds(here.memory):
        return f"memory is {memory_of(here)}, promised for {wanted.memory.text}"
    return ""


def other_processor(wanted: Machine, here: Detected) -> str:
    """The processor that a KPI was written for, as its pattern names it, where that is not this machine's.

    Empty where it is, and where none is named: then this machine is as good as any.
    """
    named: tuple[tuple[str | None, tuple[str, ...]], ...] = ((wanted.cpu, (here.cpu,)), (wanted.arch, (here.arch,)))
    if wanted.device in ("gpu", "npu"):
        named = ((wanted.gpu, here.gpus), (wanted.npu, here.npus))
    for pattern, found in named:
        if pattern is not None and not _fits(pattern, found):
            return pattern.strip("* ") or pattern
    return ""


def processor_class(arch: str, instructions: Sequence[str]) -> str:
    """What the results of integer arithmetic depend on: the architecture, and which instructions multiply bytes.

    Without VNNI x86 adds pairs of products in 16 bits, which saturate; AMX and Arm's dot product have kernels of their
    own.
    """
    arm = arch.lower() in ("aarch64", "arm64")
    name = "AArch64" if arm else "x86-64" if arch.lower() in ("x86_64", "amd64") else arch
    if not instructions:
        return f"{name} (its instructions are not known)"
    if arm:
        return f"{name} {'with' if 'asimddp' in instructions else 'without'} dot product"
    vnni = any(instruction in instructions for instruction in ("avx512_vnni", "avx_vnni"))
    return f"{name} {'with' if vnni else 'without'} VNNI" + (" and AMX" if "amx_int8" in instructions else "")


def _fits(pattern: str, found: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in found)


def cores_of(machine: Detected) -> str:
    """The processors of a machine: ``2 cores (64 are visible, the quota leaves 2.5)``."""
    usable, visible, limit = machine.cores, machine.visible_cores, machine.quota
    said = [f"{visible} are visible"] if visible not in (None, usable) else []
    said += [f"the quota leaves {limit:g}"] if limit is not None and limit < (visible or math.inf) else []
    return f"{usable} core{'' if usable == 1 else 's'}" + (f" ({', '.join(said)})" if said else "")


def memory_of(machine: Detected) -> str:
    """The memory of a machine: ``4 GB (the container's limit; the machine has 128 GB)``."""
    usable, total = machine.memory, machine.total_memory or machine.memory
    size = BYTES.format(usable) if usable < _SMALL else f"{usable / 1e9:.0f} GB"
    return size + (f" (the container's limit; the machine has {total / 1e9:.0f} GB)" if usable < total else "")


def heat_of(machine: Detected) -> str:
    """Where heat would be seen on a machine; empty where older evidence does not say."""
    if machine.heat is None:
        return ""
    return ", ".join(machine.heat) or "not visible: the system shows no counter of it and no cooling device"


@cache
def detect() -> Detected:
    """Looks at the machine once; needs no runtime and no privilege."""
    cpu, flags = _processor()
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    limits, permitted, memory = quota(), _permitted(), int(psutil.virtual_memory().total)
    return Detected(
        cpu=cpu,
        cores=limits.cores(permitted),
        memory=min(memory, limits.memory or memory),
        visible_cores=os.cpu_count() or permitted,
        total_memory=memory,
        quota=limits.processors,
        heat=Heat.read().sources,
        os=platform.system(),
        arch=platform.machine(),
        gpus=_gpus(),
        npus=_npus(),
        instructions=tuple(name for name in _INSTRUCTIONS if name in flags),
        governor=governor or None,
        boot=_read("/proc/sys/kernel/random/boot_id") or str(int(psutil.boot_time())),
        python=platform.python_version(),
    )


def _permitted() -> int:
    """The processors of this process's mask: cpusets or taskset may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def arm_core(cpuinfo: str) -> str:
    """The name of Arm's core in what ``/proc/cpuinfo`` says; empty where it says no part."""
    parts = re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    # The big cores of a mixed processor are listed last, and are those that count.
    return _ARM_PARTS.get(parts[-1], parts[-1]) if parts else ""


def _processor() -> tuple[str, frozenset[str]]:
    text = _read("/proc/cpuinfo")
    fields = dict(re.findall(r"^([^:\n]+?)\s*:\s*(.*)$", text, re.MULTILINE))
    flags = frozenset((fields.get("flags") or fields.get("Features") or "").split())
    if "model name" in fields:
        return fields["model name"], flags
    if core := arm_core(text):
        return core, flags
    if sys.platform == "darwin":
        said = _ask("sysctl", "-n", "machdep.cpu.brand_string")
        return (said[0] if said else platform.processor()), flags
    return platform.processor() or platform.machine(), flags


def _gpus() -> tuple[str, ...]:
    nvidia = _ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    found = [name if name.startswith("NVIDIA") else f"NVIDIA {name}" for name in nvidia]
    vendors = {"0x8086": "Intel GPU", "0x1002": "AMD GPU"}
    for card in sorted(Path("/sys/class/drm").glob("renderD*")):
        vendor, device = _read(card / "device/vendor"), _read(card / "device/device")
        if vendor in vendors:
            found.append(f"{vendors[vendor]} {device}")
    return tuple(found)


def _npus() -> tuple[str, ...]:
    found = []
    for accel in sorted(Path("/sys/class/accel").glob("accel*")):
        driver = accel / "device/driver"
        name = driver.resolve().name if driver.exists() else accel.name
        # The accel class also holds training cards; these drivers are those of inference NPUs.
        if name in ("intel_vpu", "amdxdna", "rknpu", "rocket", "ethosu"):
            found.append(f"{name} {_read(accel / 'device/device')}".strip())
    return tuple(found)


def _ask(*command: str) -> list[str]:
    """The lines a tool prints; none when it is not installed, fails or hangs."""
    path = shutil.which(command[0])
    if path is None:
        return []
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
