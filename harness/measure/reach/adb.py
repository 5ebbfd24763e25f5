"""By adb's own client, with its keys and its server: phones, and boards whose Linux has adbd."""

from __future__ import annotations

import atexit
import os
import re
import shlex
import subprocess
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.measure.reach.base import Lost, Reach, answered, program, started

COMMAND, ENTER = "KPI_ADB", "KPI_ADB_ENTER"
"""Names the command where it is not ``adb``; what comes before ``/bin/sh`` there, such as ``chroot /data/debian``."""
_ADDRESS = re.compile(r"[\w.\-:%\[\]]+", re.ASCII)
_OF_NETWORK = re.compile(r"(?!(?:usb|product|model|device):)(?:\[[\w:.%\-]+\]|[\w.\-]+):\d+", re.ASCII)
_NOTE = re.compile(r"^\* daemon .*$", re.MULTILINE)
_ASK_S = 30.0
# Android gives a shell no home, no /tmp, and one folder whose files it may run.
_ANDROID = (
    "if [ -x /system/bin/sh ] && [ -d /data/local/tmp ]; then export HOME=/data/local/tmp TMPDIR=/data/local/tmp; fi; "
)
_REASONS = (
    (r"unauthorized|still authorizing|failed to authenticate", "it has not allowed this computer",
     "unlock it and allow USB debugging, then run again"),
    (r"insufficient permissions|no permissions", "this user may not open its USB device",
     "apt install android-sdk-platform-tools-common, then plug it in again"),
    (r"more than one device", "several devices answer to that", "write one serial of: adb devices -l"),
    (r"support PTY args|only supports allocating a pty", "its adbd has no shell that carries bytes (shell_v2)",
     "reach it by ssh"),
    (r"cannot connect to daemon|failed to start daemon", "adb's server does not start here", "adb start-server"),
)  # fmt: skip


class Adb(Reach):
    """``adb:SERIAL``, a serial or a description that ``adb devices -l`` lists, or ``adb:HOST:PORT``.

    A machine of the network is connected for the run, unless it is already.
    """

    name = "adb"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._joined = False

    @classmethod
    def check(cls, address: str) -> None:
        if not _ADDRESS.fullmatch(address) or address.startswith("-"):
            raise ValueError(f'"{address}" is not a serial; write one that "adb devices" lists, or host:port')

    def start(self, command: str, errors: Path) -> subprocess.Popen[bytes]:
        adb = _command()
        if _OF_NETWORK.fullmatch(self.address) and not self._joined:
            self._join()
        if enter := os.environ.get(ENTER, "").strip():
            command = f"exec {enter} /bin/sh -c {shlex.quote(command)}"
        else:
            command = _ANDROID + command
        return started([*adb, "-s", self.address, "shell", "-T", command], errors)

    def explain(self, said: str) -> KpiError:
        where, said = f"{self.name}:{self.address}", _NOTE.sub("", said)
        for pattern, reason, remedy in _REASONS:
            if re.search(pattern, said):
                return Unavailable(f"{where} can't be reached: {reason}", remedy)
        plain, enter = super().explain(said), os.environ.get(ENTER, "").strip()
        by_hand = f"see whether {ENTER} is right: adb -s {self.address} shell {enter} /bin/sh"
        return Lost(plain.message, by_hand if enter else "see what is there: adb devices -l")

    def renew(self) -> None:
        """Ends adb's own connection, where this run made it: it may be dead without knowing it."""
        self.close()

    def close(self) -> None:
        """Ends adb's own connection to a machine of the network, where this run made it."""
        atexit.unregister(self.close)
        if self._joined:
            self._joined = False
            _ask("disconnect", self.address)

    def _join(self) -> None:
        said = _ask("connect", self.address)
        if re.search(r"^already connected to ", said, re.MULTILINE):
            return
        if not re.search(r"^connected to ", said, re.MULTILINE):
            raise self.explain(said)
        self._joined = True
        atexit.register(self.close)


def _command() -> list[str]:
    return program(COMMAND, "adb", "apt install adb")


def _ask(*words: str) -> str:
    """What adb answers."""
    return answered([*_command(), *words], _ASK_S, f"adb {words[0]} has not answered for {_ASK_S:.0f} s")[1]
