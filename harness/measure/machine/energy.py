"""How much energy the processors and GPUs took meanwhile, where their counters can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.measure.machine.nvidia import boards

_RAPL = Path("/sys/class/powercap")
_MICRO, _MILLI = 1e-6, 1e-3


@dataclass(frozen=True, slots=True)
class Counter:
    """A running total of joules that starts again from 0 after ``wraps_at``."""

    name: str
    read: Callable[[], float]
    wraps_at: float = float("inf")


class EnergyMeter:
    """The machine's energy counters.

    ``package-<n>`` and ``dram-<n>``: all that a processor and its memory take, for every program, by RAPL (Linux's
    powercap); ``nvidia<n>``: the whole board since the driver was loaded, by NVML (Volta or newer).
    """

    def __init__(self, rapl: Path = _RAPL) -> None:
        self.missing: list[str] = []
        self._counters = [*self._rapl(rapl), *self._nvidia()]

    def read(self) -> dict[str, float]:
        """Joules by counter, now."""
        return {counter.name: counter.read() for counter in self._counters}

    def between(self, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
        """``joules`` by counter, and of what is ``missing`` why."""
        wraps = {counter.name: counter.wraps_at for counter in self._counters}
        joules = {
            name: round(after[name] - start + (wraps[name] if after[name] < start else 0.0), 6)
            for name, start in before.items()
        }
        return {"joules": joules, "missing": "; ".join(self.missing)}

    def _rapl(self, rapl: Path) -> Iterator[Counter]:
        # "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it; a package holds its cores, but not its memory.
        found = False
        for zone in sorted(rapl.glob("intel-rapl:*")):
            try:
                name = (zone / "name").read_text(encoding="ascii").strip()
                most = int((zone / "max_energy_range_uj").read_text(encoding="ascii")) * _MICRO
                if not name.startswith(("package", "dram")):
                    continue
                found = True
                _joules(zone / "energy_uj")
            except PermissionError:
                self.missing.append(f"{zone.name}/energy_uj may be read by root alone")
                continue
            except (OSError, ValueError) as error:
                self.missing.append(f"{zone.name} can't be read: {error}")
                continue
            number = zone.name.split(":")[1]
            yield Counter(
                name if name[-1:].isdigit() else f"{name}-{number}", partial(_joules, zone / "energy_uj"), most
            )
        if not found and not self.missing:
            self.missing.append("this machine shows no energy counters of its processors (RAPL)")

    def _nvidia(self) -> Iterator[Counter]:
        nvml, devices = boards()
        for number, device in enumerate(devices):
            try:
                nvml.nvmlDeviceGetTotalEnergyConsumption(device)
            except nvml.NVMLError as error:
                self.missing.append(f"nvidia{number}: {error}")
                continue
            yield Counter(f"nvidia{number}", partial(_board, nvml, device))


def _joules(file: Path) -> float:
    return int(file.read_text(encoding="ascii")) * _MICRO


def _board(nvml: Any, device: Any) -> float:
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) * _MILLI
