"""The command that shows recipes side by side."""

from __future__ import annotations

import argparse

from harness.cli.commands.base import Command, evidence_argument, read_asked
from harness.core.errors import KpiError


class Recipes(Command):
    """``kpi recipes``."""

    name = "recipes"
    title = "the measured recipes of a workload side by side, as a Markdown table"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("workload")
        evidence_argument(parser)

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.reports.recipes import side_by_side

        path, found, broken = read_asked(chosen)
        if broken:
            raise KpiError(f"{path}: {broken}")
        print(side_by_side(chosen.workload, found), end="")
        return 0
