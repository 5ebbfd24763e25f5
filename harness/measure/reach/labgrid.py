"""By a place of labgrid: it is acquired for the run, switched on where it has power, reached by ssh, and released."""

from __future__ import annotations

import ast
import atexit
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.measure.reach.base import Lost, Reach, answered, last_line, program
from harness.measure.reach.ssh import Ssh

COMMAND = "KPI_LABGRID"
"""Names the command where it is not ``labgrid-client``; the coordinator is that of ``LG_COORDINATOR``."""
_PLACE = re.compile(r"[\w.\-]+", re.ASCII)
_NETWORK = re.compile(r"^Acquired resource '[^']*' \([^)]*/NetworkService/[^)]*\):\n((?:[ ].*\n?)+)", re.MULTILINE)
_OWN, _NO_POWER = "You have already acquired", "no compatible resource"
_ASK_S, _BOOT_S = 60.0, 180.0


class Labgrid(Reach):
    """``labgrid:PLACE``; the address, the port and the user are those of its NetworkService.

    A place that this user has acquired already is used, and stays acquired.
    """

    name = "labgrid"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._way: Ssh | None = None
        self._acquired = False

    @classmethod
    def check(cls, address: str) -> None:
        if not _PLACE.fullmatch(address) or address.startswith("-"):
            raise ValueError(f'"{address}" is not the name of a place')

    def start(self, command: str, errors: Path) -> subprocess.Popen[bytes]:
        if self._way is None:
            try:
                self._way = self._acquire()
            except BaseException:
                self.close()
                raise
        return self._way.start(command, errors)

    def explain(self, said: str) -> KpiError:
        if self._way is None:
            return super().explain(said)
        found = self._way.explain(said)
        kind = Lost if isinstance(found, Lost) else Unavailable if isinstance(found, Unavailable) else KpiError
        return kind(f"{self.name}:{self.address}: {found.message}", found.remedy)

    def renew(self) -> None:
        if self._way is not None:
            self._way.renew()

    def close(self) -> None:
        """Ends what is kept open, then gives the place back."""
        atexit.unregister(self.close)
        way, self._way = self._way, None
        if way is not None:
            way.close()
        if self._acquired:
            self._acquired = False
            self._ask("release")

    def _acquire(self) -> Ssh:
        where = f"{self.name}:{self.address}"
        code, said = self._ask("acquire")
        if code and _OWN not in said:
            raise Unavailable(f"{where} can't be acquired: {_last(said)}", f"labgrid-client -p {self.address} show")
        self._acquired = not code
        atexit.register(self.close)
        _, shown = self._ask("show")
        found = _NETWORK.search(shown)
        if found is None:
            raise Unavailable(f"{where} has no NetworkService that is there", "let an exporter name its address")
        told: dict[str, Any] = ast.literal_eval(found[1].strip())["params"]
        host, port = str(told["address"]), int(told.get("port") or 22)
        code, said = self._ask("power", "on")
        if code and _NO_POWER not in said:
            raise Unavailable(
                f"{where} can't be switched on: {_last(said)}", f"labgrid-client -p {self.address} power get"
            )
        if not code:
            _await(host, port)
        user = f"{told['username']}@" if told.get("username") else ""
        return Ssh(f"ssh://{user}{f'[{host}]' if ':' in host else host}:{port}")

    def _ask(self, *words: str) -> tuple[int, str]:
        """What labgrid's client answers, and its exit code."""
        command = [*program(COMMAND, "labgrid-client", "pip install labgrid"), "-p", self.address, *words]
        return answered(command, _ASK_S, "labgrid's coordinator does not answer")


def _await(host: str, port: int) -> None:
    """Returns when something listens there; what was just switched on takes a while. What never does ssh reports."""
    end = time.monotonic() + _BOOT_S
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            time.sleep(1)
        else:
            return


def _last(said: str) -> str:
    return last_line(said, "it says nothing").removeprefix("labgrid-client: Error: ")
