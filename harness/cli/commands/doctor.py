"""The command that examines the machine."""

from __future__ import annotations

import argparse

from rich.table import Table
from rich.text import Text

from harness.build.store import Store
from harness.cli.commands.base import Command, console
from harness.core.text import plain
from harness.spec.model import Spec
from harness.spec.reader import read_spec


class Doctor(Command):
    """``kpi doctor``."""

    name = "doctor"
    title = "what this machine has, and what each missing thing would enable"

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.cli.doctor import examine

        spec: Spec | None = None
        if chosen.kpis.exists():
            spec = read_spec(chosen.kpis)
        out = console()
        for title, rows in examine(spec, Store()):
            out.print(Text(title, style="bold"))
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
            table.add_column(no_wrap=True)
            table.add_column(overflow="fold")
            for name, said in rows:
                table.add_row(Text(f"  {plain(name)}"), Text(plain(said)))
            out.print(table)
        return 0
