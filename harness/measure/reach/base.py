"""What a way to a machine is: it starts one command there, whose standard input and output it carries."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from harness.core.errors import KpiError, Unavailable


class Lost(Unavailable):
    """The connection was lost: what it carried may be asked for again."""


class Reach(ABC):
    """A way to the machine at ``address``, what is written behind the scheme, which is the ``name`` of the class."""

    name: ClassVar[str]

    def __init__(self, address: str) -> None:
        self.address = address

    @classmethod
    @abstractmethod
    def check(cls, address: str) -> None:
        """Raises ValueError where the address can't be one."""

    @abstractmethod
    def start(self, command: str, errors: Path) -> subprocess.Popen[bytes]:
        """Starts a command of a POSIX shell there, with pipes; what it and the way say as errors goes to a file.

        When the process here ends, or its standard input is closed, the command's standard input ends.
        """

    def explain(self, said: str) -> KpiError:
        """Why a connection could not be made, from what was said as errors: what to do belongs to it.

        Unavailable, or KpiError where somebody may be in between; Lost where to try again may help.
        """
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "the connection ended without a word"
        return Lost(f"{self.name}:{self.address} can't be reached: {last}")

    def renew(self) -> None:  # noqa: B027 - most keep nothing
        """The last connection was lost: the next one must not rely on what was kept open with it."""

    def close(self) -> None:  # noqa: B027 - most keep nothing
        """Ends what is kept open between two connections."""
