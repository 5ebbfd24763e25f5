"""What is printed before a run: the file that is judged by, and the machine."""

from __future__ import annotations

from harness.core.text import plain
from harness.measure.machine.detect import Detected, cores_of, memory_of
from harness.spec.model import Spec


def header(spec: Spec, file: str, machine: Detected) -> list[str]:
    """A line each on the promises and on the machine, for ``file`` as the user would write it."""
    devices = [("gpu", machine.gpus), ("npu", machine.npus)]
    more = "".join(f", {name} {', '.join(found)}" for name, found in devices if found)
    return [
        plain(f"kpis: {file}, {_counted(len(spec.targets), 'target')} of {_counted(len(spec.kpis), 'KPI')}"),
        plain(f"machine: {machine.cpu}, {cores_of(machine)}, memory {memory_of(machine)}{more}"),
    ]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
