"""adbd, which no distribution packages: its protocol, for adb's real client, which starts real processes here.

It knows what ``adb connect`` and ``adb shell -T`` ask for: CNXN, AUTH, OPEN, OKAY, WRTE and CLSE, and the packets of
shell_v2. What it started ends as with the real one: its pipes are closed, and it gets SIGHUP.
"""

from __future__ import annotations

import argparse
import os
import queue
import shlex
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pytest

from tests.support.boards import Board, showing
from tests.support.project import ROOT

ADB = shutil.which("adb")
MODEL = "loopback"
needs_adb = pytest.mark.skipif(ADB is None, reason="adb's client is not installed: apt install adb")
_MESSAGE, _PACKET = struct.Struct("<4s5I"), struct.Struct("<BI")
_VERSION, _LARGEST = 0x01000001, 1 << 18
_TOKEN, _SIGNATURE = 1, 2
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(
        self, port: int, features: str, shell: Sequence[str], variables: Mapping[str, str], *, open_to_all: bool
    ) -> None:
        super().__init__(("127.0.0.1", port), _Transport)
        self.features, self.shell, self.variables, self.open_to_all = features, shell, variables, open_to_all


class _Transport(socketserver.StreamRequestHandler):
    """One connection of adb's server; streams have the same number on both sides."""

    def handle(self) -> None:
        self._lock = threading.Lock()
        self._shells: dict[int, _Shell] = {}
        try:
            with suppress(ConnectionError):
                while len(head := self.rfile.read(_MESSAGE.size)) == _MESSAGE.size:
                    command, first, second, size, _, _ = _MESSAGE.unpack(head)
                    self._take(command, first, second, self.rfile.read(size))
        finally:
            for shell in self._shells.values():
                shell.end()

    def send(self, command: bytes, first: int = 0, second: int = 0, data: bytes = b"") -> None:
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        with self._lock:
            self.request.sendall(_MESSAGE.pack(command, first, second, len(data), sum(data), magic) + data)

    def _take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        server = cast("_Server", self.server)
        if command == b"CNXN" and server.open_to_all:
            told = f"ro.product.name=kpi;ro.product.model={MODEL};ro.product.device=kpi;features={server.features}"
            self.send(b"CNXN", _VERSION, _LARGEST, f"device::{told}".encode())
        elif command == b"CNXN" or (command == b"AUTH" and first == _SIGNATURE):
            self.send(b"AUTH", _TOKEN, 0, os.urandom(20))  # no signature is known; of a public key a person is asked
        elif command == b"OPEN":
            kind, _, text = data.rstrip(b"\0").decode().partition(":")
            if {"shell", "v2", "raw"} <= set(kind.split(",")):
                self._shells[first] = _Shell(self, first, [*server.shell, "-c", text], server.variables)
            else:
                self.send(b"CLSE", 0, first)
        elif (shell := self._shells.get(second)) is None:
            return
        elif command == b"OKAY":
            shell.ready.release()
        elif command == b"WRTE":
            shell.given.put(data)
        elif command == b"CLSE":
            del self._shells[second]
            shell.end()


class _Shell:
    """A process, whose pipes a stream carries; ``ready`` says that the other side takes one more message."""

    def __init__(
        self, transport: _Transport, number: int, command: Sequence[str], variables: Mapping[str, str]
    ) -> None:
        self._transport, self._number = transport, number
        self.given: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ready = threading.Semaphore(1)
        self._ended = False
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        transport.send(b"OKAY", number, number)
        pipes = ((_STDOUT, self._process.stdout), (_STDERR, self._process.stderr))
        carriers = [threading.Thread(target=self._carry, args=told, daemon=True) for told in pipes]
        for thread in (*carriers, threading.Thread(target=self._feed, daemon=True)):
            thread.start()
        threading.Thread(target=self._finish, args=(carriers,), daemon=True).start()

    def end(self) -> None:
        """The other side is gone."""
        self._ended = True
        self.given.put(None)
        self.ready.release(3)
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)

    def _carry(self, kind: int, pipe: IO[bytes]) -> None:
        while piece := os.read(pipe.fileno(), 1 << 16):
            self._say(kind, piece)

    def _say(self, kind: int, content: bytes) -> None:
        self.ready.acquire()
        if not self._ended:
            with suppress(OSError):
                self._transport.send(b"WRTE", self._number, self._number, _PACKET.pack(kind, len(content)) + content)

    def _feed(self) -> None:
        held = bytearray()
        stdin = cast("IO[bytes]", self._process.stdin)
        while (data := self.given.get()) is not None:
            held += data
            while len(held) >= _PACKET.size:
                kind, size = _PACKET.unpack_from(held)
                if len(held) < _PACKET.size + size:
                    break
                with suppress(BrokenPipeError, ValueError):
                    if kind == _STDIN:
                        stdin.write(held[_PACKET.size : _PACKET.size + size])
                        stdin.flush()
                    elif kind == _CLOSE_STDIN:
                        stdin.close()
                del held[: _PACKET.size + size]
            with suppress(OSError):
                self._transport.send(b"OKAY", self._number, self._number)
        with suppress(BrokenPipeError):
            stdin.close()

    def _finish(self, carriers: list[threading.Thread]) -> None:
        for thread in carriers:
            thread.join()
        self._say(_EXIT, bytes([self._process.wait() & 0xFF]))
        if not self._ended:
            with suppress(OSError):
                self._transport.send(b"CLSE", self._number, self._number)


@dataclass
class Phone(Board):
    """A board behind adb; ``here`` is the port of adb's own server, which knows no other machine."""

    here: int
    command: list[str]
    server: subprocess.Popen[str]

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def adb(self) -> str:
        """The command that KPI_ADB names."""
        return f"adb -P {self.here}"

    @property
    def environment(self) -> dict[str, str]:
        return {"KPI_ADB": self.adb}

    def said(self, *words: str) -> str:
        """What adb's client answers."""
        command = [*self.adb.split(), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout

    def connected(self) -> bool:
        """Whether adb's server here has a connection to it."""
        return self.serial in self.said("devices")

    def restart(self) -> None:
        """Ends adbd without a word, and starts it again."""
        self.server.kill()
        self.server.wait()
        self.server, _ = _adbd(self.port, self.command)


@contextmanager
def phone(
    folder: Path, store: Path, *options: str, shown: Mapping[str, Path] | None = None, **variables: str
) -> Iterator[Phone]:
    """Starts adbd, whose shells have a home, a store and ``variables`` of their own, and adb's server with its keys.

    Paths of the kernel are there what ``shown`` says, which takes the right to mount.
    """
    home, temporary = folder / "home", folder / "tmp"
    for made in (home, temporary, store):
        made.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()[1]
    told = {"KPI_REACH_STORE": str(store), "HOME": str(home), "TMPDIR": str(temporary), **variables}
    chosen = [*options, *(word for name, value in told.items() for word in ("--set", f"{name}={value}"))]
    command = [sys.executable, "-m", "tests.support.adbd", *chosen]
    command = showing(shown, command) if shown else command
    server, port = _adbd(0, command)
    served = Phone(folder, store, port, here, command, server)
    try:
        own = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
        subprocess.run([*served.adb.split(), "start-server"], env=own, check=True, capture_output=True, timeout=60)
        yield served
    finally:
        served.said("kill-server")
        served.server.kill()
        served.server.wait()


def _adbd(port: int, command: Sequence[str]) -> tuple[subprocess.Popen[str], int]:
    """The process, when it listens, and its port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KPI_", "PYTEST", "PYTHON"))}
    told = {**kept, "ADBD_PORT": str(port)}
    server = subprocess.Popen(command, cwd=ROOT, env=told, stdout=subprocess.PIPE, text=True)
    with cast("IO[str]", server.stdout) as said:
        return server, int(said.readline())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", default="shell_v2,cmd")
    parser.add_argument("--shell", default="/bin/sh", help="what is given -c and a command")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--unauthorized", action="store_true")
    asked = parser.parse_args()
    variables, port = dict(one.split("=", 1) for one in asked.set), int(os.environ.pop("ADBD_PORT"))
    open_to_all, shell = not asked.unauthorized, shlex.split(asked.shell)
    with _Server(port, asked.features, shell, variables, open_to_all=open_to_all) as listening:
        print(listening.server_address[1], flush=True)  # noqa: T201
        listening.serve_forever()
