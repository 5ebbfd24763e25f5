"""What work takes of energy, by the machine's own counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import Unavailable
from harness.core.units import ENERGY
from harness.judge.metrics.base import ProcessMetric

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord

_GPU = ("nvidia",)


class EnergyPerSample(ProcessMetric):
    """Formula: joules while it was timed / samples completed (a language model's tokens), in batches (Offline).

    Of processors and their memory (RAPL), and on a GPU of its board as well (NVML); all that they take, idle power
    and other programs included.
    """

    name = "energy.per_sample"
    drawn = True
    title = "energy of a sample"
    dimension = ENERGY
    better = "lower"
    scenario = "offline"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        found = (process.system.get("window") or {}).get("energy") or {"joules": {}, "missing": "nothing was read"}
        joules = found["joules"]
        on_gpu = process.proof.device.lower().startswith(("gpu", "cuda"))
        wanted = [j for name, j in joules.items() if on_gpu or not name.startswith(_GPU)]
        if not wanted or (on_gpu and not any(name.startswith(_GPU) for name in joules)):
            raise Unavailable(
                f"energy can't be measured here: {found['missing'] or 'the GPU shows no counter'}",
                "run where the counters can be read (as root, or after chmod a+r of energy_uj)",
            )
        return float(sum(wanted)) / process.completed
