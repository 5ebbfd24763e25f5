"""A server that the harness starts, waits for, and stops whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.protocol import die_with_parent

_POLL_S = 0.01
_GRACE_S = 5.0
_BRIEF_S = 1.0


class ServerProcess:
    """Runs a command in which ``{places}`` are filled in; {python} is this interpreter.

    The server stays in this process's group and dies with it, so that a killed worker leaves no server behind. Its
    output goes to standard error, which is the log.
    """

    def __init__(self, command: Sequence[str], places: Mapping[str, Any]) -> None:
        filled = {"python": sys.executable, **places}
        try:
            self.command = tuple(part.format_map(filled) for part in command)
        except (KeyError, ValueError, IndexError) as error:
            known = ", ".join("{" + name + "}" for name in filled)
            raise KpiError(f"the server's command has an unknown place {error}", f"known are {known}") from None
        # A file, not a pipe: it is not read while the server runs, and a full pipe would stop the server.
        self._output = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed in stop; appended to, since the place is shared
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent if os.name == "posix" else None,  # noqa: PLW1509 - no threads run yet
            )
        except OSError as error:
            self._output.close()
            raise Unavailable(
                f"the model server can't be started: {self.command[0]}: {error.strerror}",
                "install it, or check command",
            ) from error

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once ``ready()``; KpiError when the server ends before, or takes longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        while not ready():
            if ended := self.ended():
                raise KpiError(f"the model server {ended}", "see measure.log")
            if time.monotonic() > deadline:
                raise KpiError(
                    f"the model server was not ready within {seconds:g} s{self._last_words()}", "raise ready_s"
                )
            time.sleep(_POLL_S)

    def ended(self, wait_s: float = 0.0) -> str:
        """How the server ended, if it does within ``wait_s``; empty while it runs."""
        try:
            code = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return ""
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return how + self._last_words()

    def _last_words(self) -> str:
        self._output.seek(0)
        lines = [line.strip() for line in self._output.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {lines[-1][:200]}" if lines else ""

    def stop(self) -> None:
        """Asks the server to end, then kills it; what it said goes to the log."""
        if self._output.closed:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.seek(0)
        sys.stderr.write(self._output.read().decode(errors="replace"))
        self._output.close()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, on the loopback interface."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def listens(port: int) -> bool:
    """Whether a connection is accepted at a port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), _BRIEF_S).close()
    except OSError:
        return False
    return True
