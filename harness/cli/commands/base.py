"""What a command of ``kpi`` is."""

from __future__ import annotations

import argparse
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.core.errors import KpiError
from harness.core.text import plain
from harness.evidence.seal import KEY_VARIABLE
from harness.measure.journal import FILES

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


KPIS = Path("kpis.toml")
"""The file of promises where none is named: it itself, so that one that was named is told apart."""


class Command(ABC):
    """One command: its name, one line of help, its arguments.

    All have ``--kpis``, the file of promises, before or behind their name. ``for_programs`` says that what it prints
    is read by one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    for_programs: ClassVar[bool] = False

    @classmethod  # noqa: B027 - some have none
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the command's own arguments; none by default."""

    @classmethod
    def trusts(cls, chosen: argparse.Namespace) -> bool:
        """Whether code that the file of promises names, plug-ins and metrics of one's own, may be imported."""
        del chosen
        return True

    @classmethod
    @abstractmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        """Does it; returns 0, or 1 when something was found wrong.

        Raises SpecError for a mistake of the user's (exit code 4), KpiError for what can't be done (1).
        """


@contextmanager
def written(path: Path, remedy: str = "") -> Iterator[None]:
    """Whatever the operating system refuses while ``path`` is written becomes one line."""
    try:
        yield
    except OSError as error:
        raise KpiError(f"{path} can't be written: {error.strerror}", remedy) from None


def folder_of_runs(kpis: Path) -> Path:
    """``.kpi`` next to the file of promises, or where pytest was called."""
    near, here = kpis.resolve().parent / ".kpi", Path.cwd() / ".kpi"
    return near if near.exists() or not here.exists() else here


def console() -> Console:
    """Where a command prints."""
    return Console(highlight=False, soft_wrap=False)


def print_rows(sections: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """Prints sections of names with what was found of each."""
    out = console()
    for title, rows in sections:
        out.print(Text(title, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, said in rows:
            table.add_row(Text(f"  {plain(name)}"), Text(plain(said)))
        out.print(table)


def evidence_argument(parser: argparse.ArgumentParser) -> None:
    """The option ``--evidence`` of a command that reads a run."""
    said = "a run's evidence.json or folder; default: .kpi/latest/evidence.json next to the file of promises"
    parser.add_argument("--evidence", type=Path, help=said)


def read_asked(chosen: argparse.Namespace) -> tuple[Path, Evidence, str]:
    """The evidence that was asked for: its file, its content, what is wrong with its seal.

    The folder of a run that was killed, or still goes on, has no evidence.json: it is made of what there is.
    """
    from harness.evidence.composing import composed
    from harness.evidence.reader import read_evidence

    path = chosen.evidence or chosen.kpis.resolve().parent / ".kpi" / "latest"
    if path.is_dir():
        folder, path = path, path / "evidence.json"
        if (written := [journal.stat().st_mtime_ns for journal in folder.glob(FILES)]) and (
            not path.exists() or path.stat().st_mtime_ns < max(written)
        ):
            composed(folder, os.environ.get(KEY_VARIABLE))
    if not path.exists():
        found = sorted(journal.parent for journal in folder_of_runs(chosen.kpis).glob(f"runs/*/{FILES}"))
        killed = [folder for folder in found if not (folder / "evidence.json").exists()]
        remedy = f"the last run was stopped: --evidence {killed[-1]}" if killed and not chosen.evidence else ""
        raise KpiError(f"{path} is not there", remedy or "run pytest first, or name the file with --evidence")
    return path, *read_evidence(path, None)
