"""The command that scores texts."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.commands.base import Command

_WIDTH = 18


class Score(Command):
    """``kpi score``."""

    name = "score"
    title = "METEOR, chrF and BLEU of a results.json, of this machine or another"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="results.json: a list of objects with output and reference")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.tasks.language.scoring.results import score

        for name, said in score(chosen.file):
            print(f"{name:{_WIDTH}}{said}")
        return 0
