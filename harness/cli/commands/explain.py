"""The command that explains verdicts."""

from __future__ import annotations

import argparse

from rich.text import Text

from harness.cli.commands.base import Command, console, evidence_argument, read_asked
from harness.core.errors import SpecError, suggest
from harness.core.text import plain
from harness.judge.verdict import Verdict
from harness.reports.terminal import STYLE


class Explain(Command):
    """``kpi explain``."""

    name = "explain"
    title = "why a KPI's targets ended as they did, from the evidence of a run"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kpi", help="a KPI, or one of its targets as in KPI:p50")
        evidence_argument(parser)

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.explain import explain

        path, found, broken = read_asked(chosen)
        wanted = [t for t in found.targets if chosen.kpi in (t.kpi, t.id)]
        if not wanted:
            raise SpecError([suggest(chosen.kpi, {name for t in found.targets for name in (t.kpi, t.id)}, "KPI")])
        out = console()
        if broken:
            out.print(Text(f"{plain(path)}: {broken}", style="bold red"))
        for target in wanted:
            verdict = Verdict(target.verdict)
            out.print(Text(f"{plain(target.id)}  ", style="bold").append(verdict.value, style=STYLE[verdict]))
            for said in explain(target, found):
                out.print(Text(f"  {plain(said)}"), soft_wrap=True)
        return 0
