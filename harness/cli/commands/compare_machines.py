"""The command that compares machines."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from harness.cli.commands.base import Command
from harness.core.errors import KpiError
from harness.evidence.seal import KEY_VARIABLE


class CompareMachines(Command):
    """``kpi compare-machines``."""

    name = "compare-machines"
    title = "the same recipes on several machines, and what each costs"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="EVIDENCE", help="evidence.json of a run")
        parser.add_argument("--price", action="append", help='of each file\'s machine in turn, such as "1.536 USD/h"')
        parser.add_argument("--out", type=Path, help="a folder for machines.md and machines.svg")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.files import write_atomically
        from harness.core.prices import rented
        from harness.evidence.reader import read_evidence
        from harness.reports.machines import Seen, draw, markdown

        prices = chosen.price or []
        if prices and len(prices) != len(chosen.files):
            raise KpiError(
                f"{len(prices)} prices for {len(chosen.files)} files", "give --price once for each file, in turn"
            )
        try:
            hourly: list[float | None] = [rented(text).usd_per_hour for text in prices]
        except ValueError as error:
            raise KpiError(f"--price: {error}") from None
        seen = []
        for path, price in zip(chosen.files, hourly or [None] * len(chosen.files), strict=True):
            found, broken = read_evidence(path, os.environ.get(KEY_VARIABLE))
            if broken:
                raise KpiError(f"{path}: {broken}")
            seen.append(Seen.of(found, price))
        text = markdown(seen)
        print(text, end="")
        if chosen.out:
            chosen.out.mkdir(parents=True, exist_ok=True)
            draw(seen, chosen.out / "machines.svg")
            write_atomically(chosen.out / "machines.md", f"{text}\n![the same as bars](machines.svg)\n")
        return 0
