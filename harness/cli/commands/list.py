"""The command that lists promises."""

from __future__ import annotations

import argparse

from rich.table import Table
from rich.text import Text

from harness.cli.commands.base import Command, console
from harness.core.text import plain
from harness.measure.machine.detect import detect, mismatch, other_processor
from harness.spec.model import Kpi, Spec, Target
from harness.spec.reader import read_spec


class List(Command):
    """``kpi list``."""

    name = "list"
    title = "every promised target, with what gates on this machine"

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        spec, here = read_spec(chosen.kpis), detect()
        out, gating = console(), 0
        for kpi in spec.kpis:
            machine = spec.machines[kpi.machine]
            why = f"measured at {machine.reach}" if machine.reach else mismatch(machine, here)
            title = Text(plain(kpi.name), style="bold")
            title.append(f"  {plain(kpi.workload)}/{plain(kpi.recipe)} on {plain(kpi.machine)}", style="dim")
            if kpi.marks:
                title.append(f"  {' '.join(kpi.marks)}", style="yellow")
            out.print(title)
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
            for target in kpi.targets:
                needs_device = target.metric.scenario is not None
                if needs_device and machine.reach:
                    said = Text("reached", style="blue")
                elif needs_device and not here.has(machine.device):
                    said = Text("unavailable", style="magenta")
                elif why and (
                    not target.gates_everywhere or _of_integers(spec, target, other_processor(machine, here))
                ):
                    said = Text("off target", style="cyan")
                else:
                    said, gating = Text("gates here", style="green"), gating + 1
                table.add_row(target.metric_name, Text(plain(target.bound.text)), said)
            out.print(table)
            if takes := _takes(spec, kpi):
                out.print(Text(f"  {takes}", style="dim"))
            if why:
                out.print(Text(f"  {plain(why)}", style="dim"))
        out.print(f"{len(spec.targets)} targets of {len(spec.kpis)} KPIs; {gating} gate on this machine")
        return 0


def _takes(spec: Spec, kpi: Kpi) -> str:
    """How long a KPI takes at least, where a scenario of it says how long it plays; else empty.

    Its targets are judged on the same processes: that which takes longest counts.
    """
    least = max((spec.least_time(target) for target in kpi.targets), key=lambda one: one.seconds)
    if not least.processes:
        return ""
    minutes = least.seconds / 60
    return f"a PASS takes at least {minutes:.3g} min: {least.processes} x {minutes / least.processes:.3g} min"


def _of_integers(spec: Spec, target: Target, promised: str) -> bool:
    """Whether the target is about integer arithmetic of another processor than this one."""
    if not promised or not target.metric.computed:
        return False
    return any(spec.computes_with_integers(recipe) for recipe in spec.recipes_of(target))
