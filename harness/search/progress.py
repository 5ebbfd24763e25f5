"""Tells a person how a search goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from harness.core.text import plain
from harness.search.pareto import Row
from harness.spec.model import Kpi

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Voice:
    """On standard error: a line for each candidate, a passing one on a terminal."""

    console: Console
    trials: int
    kpi: Kpi | None = None
    shown: bool = field(default=False)

    def progress(self, text: str) -> None:
        if not self.console.is_terminal:
            return
        width = max(20, self.console.width - 1)
        self.console.file.write(f"\r\x1b[2K{plain(text)[:width]}")
        self.console.file.flush()
        self.shown = bool(text)

    def say(self, text: str) -> None:
        self.progress("")
        self.console.print(Text(plain(text)))

    def told(self, row: Row, rows: list[Row]) -> None:
        from harness.search.report import line

        if self.kpi is not None:
            self.say(line(len(rows) - 1, self.trials, row, rows, self.kpi.targets))
