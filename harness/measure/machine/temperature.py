"""How warm a device is and how fast its processors run, as the system shows it; waiting until it has cooled down."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import Unavailable
from harness.core.units import TIME
from harness.measure.machine.heat import ROOT, read_number, read_text
from harness.measure.machine.nvidia import boards

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord
    from harness.measure.runner import Series

# Zones and chips of the processor, or of the package that it is part of; batteries, discs and radios tell nothing.
_ZONES = re.compile(r"cpu|core|soc|x86_pkg|package|^tj[-_]|^B0D4$", re.IGNORECASE)
_CHIPS = re.compile(r"^(coretemp|k10temp|zenpower)$|cpu|soc", re.IGNORECASE)
# What broken sensors show: nothing that computes is that cold or that hot.
_LOWEST, _HIGHEST = -50.0, 200.0
_PATIENCE_S, _EVERY_S = 600.0, 1.0


@dataclass(frozen=True, slots=True)
class Warmth:
    """One look: the temperature in °C, the mean clock in MHz; None where the system does not show it."""

    celsius: float | None = None
    mhz: float | None = None

    @classmethod
    def read(cls, device: str = "cpu", root: Path = ROOT) -> Warmth:
        """Reads it now; ``root`` is the folder in which ``sys`` and ``proc`` are."""
        return cls(temperature(device, root), clock(root))

    @property
    def words(self) -> str:
        """What it is, for people."""
        if self.celsius is None:
            return "not shown by the system: cool_to can't be kept here"
        return f"{self.celsius:.0f} °C" + (f", processors at {self.mhz:.0f} MHz" if self.mhz is not None else "")


@dataclass(frozen=True, slots=True)
class Cooled:
    """How a process waited for a temperature: how warm it was before and after, in °C, and for how long."""

    cool_to: float
    before: float
    after: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As a worker tells it."""
        return asdict(self)


def temperature(device: str = "cpu", root: Path = ROOT) -> float | None:
    """The hottest sensor of the device in °C: of an NVIDIA board by NVML, else of the processor; None without one."""
    return max(_sensors(device, root).values(), default=None)


class Thermometer:
    """The sensors of a device, looked at again and again; one that is lost counts as warm as it last was."""

    def __init__(self, device: str = "cpu", root: Path = ROOT) -> None:
        self._device, self._root = device, root
        self._last: dict[str, float] = {}

    def read(self) -> float | None:
        """The hottest in °C; None where none shows anything now."""
        shown = _sensors(self._device, self._root)
        self._last |= shown
        return max(self._last.values()) if shown else None


def clock(root: Path = ROOT, cores: Iterable[int] | None = None) -> float | None:
    """The mean clock in MHz of the processors that this process may use, or of ``cores``; None where none shows it."""
    if cores is None:
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    wanted = frozenset(cores)
    folder = root / "sys/devices/system/cpu"
    khz = [read_number(folder / f"cpu{core}/cpufreq/scaling_cur_freq") for core in sorted(wanted)]
    found = [one / 1e3 for one in khz if one is not None] or list(_listed(root, wanted))
    return round(sum(found) / len(found), 1) if found else None


def cool_down(
    cool_to: float,
    read: Callable[[], float | None],
    progress: Callable[[str], None],
    *,
    patience_s: float = _PATIENCE_S,
    every_s: float = _EVERY_S,
) -> Cooled:
    """Waits until ``read`` gives at most ``cool_to`` °C.

    Raises Unavailable where it gives nothing, and when ``patience_s`` have passed.
    """
    begin, before = time.monotonic(), _known(read(), cool_to)
    now, told = before, ""
    while now > cool_to:
        waited = time.monotonic() - begin
        if waited >= patience_s:
            raise Unavailable(
                f"the machine did not cool down to {cool_to:g} °C within {patience_s:g} s: it was at {before:.1f} °C, "
                f"and is at {now:.1f} °C",
                "raise cool_to, cool the machine better, or end what else works on it",
            )
        if (said := f"{now:.0f} °C, waits for {cool_to:g} °C") != told:
            progress(told := said)
        time.sleep(min(every_s, patience_s - waited))
        now = _known(read(), cool_to)
    return Cooled(cool_to, before, now, round(time.monotonic() - begin, 3))


def longest_wait(cool_to: float | None) -> float:
    """Seconds that a process may wait before it begins."""
    return 0.0 if cool_to is None else _PATIENCE_S


def waited(record: ProcessRecord) -> float:
    """Seconds for which a process waited until the machine had cooled down."""
    return float((record.system.get("cooled") or {}).get("seconds", 0.0))


def cooling_notes(series: Series) -> Iterator[str]:
    """A note where processes waited for the machine to cool down, or would have."""
    found = [record.system["cooled"] for record in series.records if record.system.get("cooled")]
    if not found:
        return
    longest, hottest = max(one["seconds"] for one in found), max(one["before"] for one in found)
    yield (
        f"{len(found)} processes began at {found[0]['cool_to']:g} °C or less: they waited "
        f"{TIME.format(sum(one['seconds'] for one in found))} in all, {TIME.format(longest)} at most, "
        f"from {hottest:.0f} °C at most"
    )


def _known(celsius: float | None, cool_to: float) -> float:
    if celsius is None:
        raise Unavailable(
            f"cool_to = {cool_to:g} needs the temperature, and this machine does not show it: there is no sensor of "
            "the processor in /sys/class/thermal or /sys/class/hwmon",
            "leave out cool_to for this machine, or measure where there is one: virtual machines have none",
        )
    return celsius


def _sensors(device: str, root: Path) -> dict[str, float]:
    """What each sensor shows, °C, by name."""
    if device == "gpu" and (nvidia := boards())[1]:
        return dict(_nvidia(*nvidia))
    return dict(_processor(root))


def _processor(root: Path) -> Iterator[tuple[str, float]]:
    """Those of the processor: thermal zones, then hardware monitors."""
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone[0-9]*")):
        if _ZONES.search(read_text(folder / "type")):
            yield from _sane(folder / "temp")
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon[0-9]*")):
        if _CHIPS.search(read_text(folder / "name")):
            for file in sorted(folder.glob("temp[0-9]*_input")):
                yield from _sane(file)


def _sane(file: Path) -> Iterator[tuple[str, float]]:
    # Exactly zero is what a sensor shows that is off.
    if (thousandths := read_number(file)) and _LOWEST < thousandths / 1e3 < _HIGHEST:
        yield str(file), thousandths / 1e3


def _nvidia(nvml: Any, devices: Sequence[Any]) -> Iterator[tuple[str, float]]:
    for number, device in enumerate(devices):
        with contextlib.suppress(nvml.NVMLError):  # a board without a sensor, or one that is lost
            yield str(number), float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))


def _listed(root: Path, cores: frozenset[int]) -> Iterator[float]:
    """MHz as ``/proc/cpuinfo`` lists them (x86)."""
    core = -1
    for line in read_text(root / "proc/cpuinfo").splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "processor" and value.isdigit():
            core = int(value)
        elif name == "cpu MHz" and core in cores:
            try:
                yield float(value)
            except ValueError:
                continue
