"""By OpenSSH's own client, with its own configuration: hosts, keys, ports and jumps are as its files say."""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.measure.reach.base import Lost, Reach, program, started

COMMAND = "KPI_SSH"
"""Names the command where it is not ``ssh``, such as ``ssh -F my_config``."""
_ADDRESS = re.compile(r"(?:[\w.\-]+@)?[\w.\-:%\[\]]+", re.ASCII)
_CONNECT_S, _IDLE_S = 10, 60
_OPTIONS = {
    "BatchMode": "yes",  # an unknown host, or a password, is an error and never a question
    "ConnectTimeout": str(_CONNECT_S),
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "auto",
    "ControlPersist": str(_IDLE_S),
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "LogLevel": "ERROR",
}
_REASONS = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is another one than the known one"),
    (r"Host key verification failed|No .* host key is known", "its host key is not known"),
    (r"Permission denied", "it refuses this user's keys"),
)


class Ssh(Reach):
    """``ssh:user@host``, or ``ssh:NAME`` of a ``Host`` in ``~/.ssh/config``.

    One handshake serves all connections to a machine, until a minute after the last.
    """

    name = "ssh"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._folder: Path | None = None
        self._made = 0

    @classmethod
    def check(cls, address: str) -> None:
        if not _ADDRESS.fullmatch(address) or address.startswith("-"):
            raise ValueError(f'"{address}" is not an address; write user@host, or a Host of ~/.ssh/config')

    def start(self, command: str, errors: Path) -> subprocess.Popen[bytes]:
        return started([*self._command(), "-T", "-a", "-x", "--", self.address, command], errors)

    def explain(self, said: str) -> KpiError:
        where, plain = f"{self.name}:{self.address}", super().explain(said)
        found = next((reason for pattern, reason in _REASONS if re.search(pattern, said)), "")
        by_hand = f"ssh {self.address}"
        if found.endswith("the known one"):
            return KpiError(f"{where} can't be trusted: {found}", f"if that is meant: ssh-keygen -R; then {by_hand}")
        if found.endswith("not known"):
            return Unavailable(f"{where} can't be reached: {found}", f"compare the fingerprint once by hand: {by_hand}")
        if found:
            return Unavailable(f"{where} can't be reached: {found}", f"ssh-copy-id {self.address}")
        return Lost(plain.message, f"see what is wrong: {by_hand}")

    def close(self) -> None:
        """Ends the connection that was kept open, and removes its folder."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        atexit.unregister(self.close)
        self._end(folder)
        shutil.rmtree(folder, ignore_errors=True)

    def renew(self) -> None:
        """Lets the next connection make a handshake of its own: the kept one may be dead without knowing it."""
        if self._folder is not None:
            self._end(self._folder)
            self._made += 1

    def _end(self, folder: Path) -> None:
        if (folder / str(self._made)).exists():
            ask = [*self._command(), "-O", "exit", "--", self.address]
            try:
                subprocess.run(ask, capture_output=True, timeout=_CONNECT_S, check=False)
            except subprocess.TimeoutExpired:
                return  # a master that answers nothing ends by itself when nothing comes back from the machine

    def _command(self) -> list[str]:
        ssh = program(COMMAND, "ssh", "apt install openssh-client")
        if self._folder is None:
            # A socket's path may be a hundred characters long: below the system's own folder, not a longer one.
            top = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - the folder made in it is private
            self._folder = Path(tempfile.mkdtemp(prefix="kpi-ssh-", dir=top))
            atexit.register(self.close)
        options = {**_OPTIONS, "ControlPath": str(self._folder / str(self._made))}
        return [*ssh, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
