"""The command that makes a page of a run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.commands.base import Command, folder_of_runs, read_asked, written
from harness.core.errors import KpiError

if TYPE_CHECKING:
    from harness.evidence.history.points import Point


class Report(Command):
    """``kpi report``."""

    name = "report"
    title = "the evidence of a run as one page to look at: report.html"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "evidence", nargs="?", type=Path, metavar="EVIDENCE", help="of any run (default: of the latest)"
        )
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html next to the evidence")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.files import write_atomically
        from harness.reports.html import render

        path, found, broken = read_asked(chosen)
        if broken:
            print(f"warning: {path}: {broken}", file=sys.stderr)
        out = chosen.out or path.parent / "report.html"
        with written(out, "name a file with --out"):
            write_atomically(out, render(found, _trend(chosen.kpis)))
        print(out)
        return 0


def _trend(kpis: Path) -> list[Point]:
    """What earlier runs answered; none, with a warning, where the history can't be read."""
    from harness.evidence.history.database import trend

    try:
        return trend(folder_of_runs(kpis))
    except KpiError as error:
        print(f"warning: {error}", file=sys.stderr)
        return []
