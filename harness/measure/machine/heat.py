"""Whether heat slows the machine down: the kernel's counters, its cooling devices, the Raspberry Pi's firmware."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
# Fans and displays are cooling devices too, but slow no processor; "TCC Offset" is a setting.
_SLOWS = re.compile(r"cpufreq|devfreq|^Processor$|^cpu|intel_powerclamp", re.IGNORECASE)
# Bits of the firmware's get_throttled: those of now, 16 higher those that were ever seen; under-voltage is left out.
_FIRMWARE = {1: "capped the clock", 2: "throttled the processor", 3: "reached the soft temperature limit"}
_EVER = 16


@dataclass(frozen=True, slots=True)
class Heat:
    """What the system says at one moment.

    ``events``: how often heat has slowed processors down since the start, None where that is not counted; ``cooling``:
    level and highest level of each device that cools by slowing down; ``firmware``: the bits of ``get_throttled``;
    ``clocks``: the highest permitted clock in kHz, by policy of cpufreq. Without the first three, heat is not visible:
    a clock may be limited for other reasons.
    """

    events: int | None = None
    cooling: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    firmware: int | None = None
    clocks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path = ROOT) -> Heat:
        """Reads it now; ``root`` is the folder in which ``sys`` is."""
        return cls(throttle_events(root / _CPUS), dict(_cooling(root)), _firmware(root), dict(_clocks(root)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Where heat can be seen; empty where it can't."""
        counters = () if self.events is None else ("thermal_throttle counters",)
        firmware = () if self.firmware is None else ("firmware (get_throttled)",)
        return (*counters, *(f"cooling device {name}" for name in sorted(self.cooling)), *firmware)

    def slowed(self, before: Heat) -> str:
        """What slowed the machine down between ``before`` and now, apart from ``events``; empty for nothing."""
        for name, (level, most) in sorted(self.cooling.items()):
            highest = max(level, before.cooling.get(name, (0, 0))[0])
            if highest > 0:
                return f"cooling device {name} was at level {highest} of {most}"
        for bit, what in _FIRMWARE.items():
            now = (self.firmware or 0) | (before.firmware or 0)
            new = (self.firmware or 0) & ~(before.firmware or 0)
            if now & 1 << bit or new & 1 << (bit + _EVER):
                return f"the firmware {what}"
        for name, clock in sorted(self.clocks.items()):
            if clock < before.clocks.get(name, 0):
                return f"the highest clock of {name} fell from {before.clocks[name] / 1e3:.0f} to {clock / 1e3:.0f} MHz"
        return ""


def throttle_events(cpus: Path) -> int | None:
    """How often heat has slowed the processors down since the start, where Linux counts it (x86); None elsewhere.

    Source: the kernel's ABI/testing/sysfs-devices-system-cpu, ``thermal_throttle``. A package's count shows at each of
    its cores, so that the largest counts for all.
    """
    counts: dict[str, list[int]] = {"core": [], "package": []}
    for kind, found in counts.items():
        for file in cpus.glob(f"cpu[0-9]*/thermal_throttle/{kind}_throttle_count"):
            if (count := read_number(file)) is not None:  # a core may be taken offline meanwhile
                found.append(count)
    if not any(counts.values()):
        return None
    return sum(counts["core"]) + max(counts["package"], default=0)


def _cooling(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for folder in _cooling_devices(root):
        level, most = read_number(folder / "cur_state"), read_number(folder / "max_state")
        if level is not None:
            # -1: a device that injects idle time, and does not at the moment.
            yield f"{read_text(folder / 'type')} ({folder.name[14:]})", (max(0, level), most or 0)


@cache
def _cooling_devices(root: Path) -> tuple[Path, ...]:
    folders = sorted((root / "sys/class/thermal").glob("cooling_device[0-9]*"))
    return tuple(folder for folder in folders if _SLOWS.search(read_text(folder / "type")))


def _firmware(root: Path) -> int | None:
    for file in sorted((root / "sys/devices/platform").glob("soc*/*firmware/get_throttled")):
        text = read_text(file)
        break
    else:
        text = _asked() if root == ROOT else ""
    found = re.search(r"(?:0x)?([0-9a-fA-F]+)$", text)
    return int(found[1], 16) if found else None


def _asked() -> str:
    """What the Raspberry Pi's own tool says, where a kernel does not show the file; empty elsewhere."""
    tool = shutil.which("vcgencmd")
    if tool is None:
        return ""
    try:
        done = subprocess.run([tool, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _clocks(root: Path) -> Iterator[tuple[str, int]]:
    for file in sorted((root / _CPUS / "cpufreq").glob("policy[0-9]*/scaling_max_freq")):
        if (clock := read_number(file)) is not None:
            yield file.parent.name, clock


def read_number(file: Path) -> int | None:
    """The whole number in a file of the kernel; None where there is none."""
    try:
        return int(read_text(file))
    except ValueError:
        return None


def read_text(file: Path) -> str:
    """What is in a file of the kernel; empty where it can't be read: a device may be gone."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
