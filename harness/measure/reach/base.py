"""What a way to a machine is: it starts one command there, whose standard input and output it carries."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from harness.core.errors import KpiError, Unavailable


def program(variable: str, usual: str, remedy: str) -> list[str]:
    """The command that a variable names, or else the usual one. Unavailable where there is no such program."""
    named = os.environ.get(variable, usual)
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise Unavailable(f"{variable} is not a command: {named} ({error})", f"unset {variable}") from None
    found = shutil.which(words[0]) if words else None
    if found is None:
        if variable in os.environ:
            raise Unavailable(f'{variable} is "{named}", and no such program is here', f"unset {variable}")
        raise Unavailable(f"{usual} is not installed here", remedy)
    return [found, *words[1:]]


def started(command: list[str], errors: Path) -> subprocess.Popen[bytes]:
    """A way's program, started here with pipes; what it says as errors is added to a file."""
    with errors.open("ab") as file:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the run, which then ends the connection itself
            )
        except OSError as error:
            raise Unavailable(f"{command[0]} can't be started: {error.strerror}", f"see: file {command[0]}") from None


def answered(command: list[str], seconds: float, silent: str) -> tuple[int, str]:
    """The exit code of a way's program and what it says; 1 and ``silent`` where it has not ended in time."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            start_new_session=True,  # a server that it starts outlives a Ctrl-C
        )
    except subprocess.TimeoutExpired:
        return 1, silent
    except OSError as error:
        return 1, f"{Path(command[0]).name} can't be started: {error.strerror}"
    return done.returncode, done.stdout


def last_line(said: str, otherwise: str) -> str:
    """The last line of what was said, 300 characters at most."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else otherwise


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
        last = last_line(said, "the connection ended without a word")
        return Lost(f"{self.name}:{self.address} can't be reached: {last}")

    def renew(self) -> None:  # noqa: B027 - most keep nothing
        """The last connection was lost: the next one must not rely on what was kept open with it."""

    def close(self) -> None:  # noqa: B027 - most keep nothing
        """Ends what is kept open between two connections."""
