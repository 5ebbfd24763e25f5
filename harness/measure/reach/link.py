"""A connection to the agent on a machine: questions and answers, files in both directions."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.measure.reach.base import Lost, Reach
from harness.measure.reach.there import agent, files, wire
from harness.measure.reach.there.wire import Gone, Wire

_SILENCE_S, _BEAT_S, _END_S = 60.0, 5.0, 10.0
_MOST_LINES = 200
STORE = "${KPI_REACH_STORE:-${XDG_CACHE_HOME:-$HOME/.cache}/kpi-reach}"
"""Where the agent keeps everything, as a shell there reads it."""
_LEAST = (3, 11)
PYTHONS = ("3.14", "3.13", "3.12", "3.11")
"""Newest first; what the harness runs under, and the light environment therefore may."""
# Reads so many bytes of program as the first eight say, and runs them; what follows is for the program.
_BOOT = """\
import os
n = int(b"".join(os.read(0, 1) for _ in range(8)))
b = b""
while len(b) < n:
    b += os.read(0, n - len(b)) or exit()
exec(b)
"""
Say = Callable[[str], None]


@dataclass
class _Asked:
    """A question that waits for its answer; files that come with it go to ``folder``."""

    progress: Say
    folder: Path | None
    answers: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)


class Link:
    """Open from the start to :meth:`close`, or until it is lost; ``hello`` is what the machine says of itself.

    Raises what :meth:`Reach.explain` makes of a connection that could not be made, and Unavailable where there is no
    Python.
    """

    def __init__(self, way: Reach, errors: Path, environments: Sequence[str] = ()) -> None:
        self._errors, self._start = errors, errors.stat().st_size if errors.exists() else 0
        self._asked: dict[int, _Asked] = {}
        self._numbers = itertools.count(1)
        self._lost = ""
        self._ended = threading.Event()
        self._process = way.start(_command(environments), errors)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the way to the machine was started without pipes")
        self._wire = Wire(stdout.fileno(), stdin.fileno(), _SILENCE_S)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        try:
            _send_program(stdin.fileno())
            self.hello = self._greeting()
        except (Gone, OSError) as error:
            self._kill()
            raise way.explain(self._said() or str(error)) from None
        except BaseException:
            self._kill()
            raise
        self._reader.start()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether nothing says that it is lost."""
        return not self._ended.is_set()

    def call(
        self,
        question: str,
        *,
        progress: Say = lambda _: None,
        folder: Path | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Any:
        """The answer to a question; files that come with it are put into ``folder``.

        Raises Unavailable or KpiError as the machine says, Lost where the connection is, TimeoutError where no answer
        came within ``timeout`` seconds.
        """
        return self._answer(*self._ask({"op": question, **arguments}, progress, folder), timeout)

    def put(self, digest: str, file: Path) -> None:
        """Sends a file."""
        self._answer(*self._ask({"op": "put", "digest": digest}, lambda _: None, None, file), None)

    def close(self) -> None:
        """Ends the agent with all that it started."""
        self._ended.set()
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_S)
        self._kill()

    def _ask(
        self, message: Mapping[str, Any], progress: Say, folder: Path | None, file: Path | None = None
    ) -> tuple[int, _Asked]:
        number = next(self._numbers)
        asked = self._asked[number] = _Asked(progress, folder)
        try:
            self._wire.send({**message, "id": number}, file)
        except BrokenPipeError:
            self._lose("the connection ended")
        return number, asked

    def _answer(self, number: int, asked: _Asked, timeout: float | None) -> Any:
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                if not self.alive and asked.answers.empty():
                    raise Lost(f"the connection was lost: {self._lost or self._said() or 'it was closed'}")
                try:
                    message = asked.answers.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
                except queue.Empty:
                    raise TimeoutError from None
                if message is None:
                    continue
                if "progress" in message:
                    asked.progress(str(message["progress"]))
                elif "error" in message:
                    kind = Unavailable if message["error"] == "unavailable" else KpiError
                    raise kind(str(message["message"]), str(message["remedy"]))
                else:
                    return message["result"]
        finally:
            self._asked.pop(number, None)

    def _listen(self) -> None:
        try:
            while True:
                message = self._wire.message()
                asked = self._asked.get(int(message["id"]))
                if "file" in message:
                    self._take(str(message["file"]), int(message["bytes"]), asked.folder if asked else None)
                elif asked is not None:
                    asked.answers.put(message)
        except (Gone, OSError, ValueError, KeyError) as error:
            self._lose(self._said() or str(error))

    def _take(self, name: str, size: int, folder: Path | None) -> None:
        pieces = self._wire.pieces(size)
        if folder is None:
            while pieces():
                continue
            return
        with (folder / Path(name).name).open("wb") as file:
            while piece := pieces():
                file.write(piece)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S):
            try:
                self._wire.send({"op": "beat", "id": 0})
            except OSError:
                self._lose("the connection ended")

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._ended.set()
        for asked in list(self._asked.values()):
            asked.answers.put(None)

    def _greeting(self) -> dict[str, Any]:
        """What the agent says first; before it a login may print what it likes."""
        begin = f'{{"{agent.HELLO}"'.encode()
        for _ in range(_MOST_LINES):
            line = self._wire.line()
            try:
                found = json.loads(line[max(0, line.find(begin)) :])  # what a login prints may lack its end of line
            except ValueError:
                continue
            if isinstance(found, dict) and agent.HELLO in found:
                return _checked(found)
        raise Gone("it prints a lot, and no agent answers")

    def _said(self) -> str:
        """What was said as errors since the start of this connection."""
        with self._errors.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace").strip()

    def _kill(self) -> None:
        self._ended.set()
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._reader.is_alive():
            self._reader.join(timeout=_END_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _checked(hello: dict[str, Any]) -> dict[str, Any]:
    """The greeting of an agent that can be used; raises what it says is wrong."""
    least = ".".join(map(str, _LEAST))
    if hello[agent.HELLO] == 0:
        found = str(hello.get("python", "")).removeprefix("Python ")
        what = f"it has {found}" if found[:1].isdigit() else "it has none that is found"
        raise Unavailable(
            f"Python {least} or newer is needed there, {what}",
            "install python3 there, or bring one: kpi reach setup MACHINE --python SYSTEM.tar; see docs/boards.md",
        )
    if "error" in hello:
        raise KpiError(str(hello["message"]), str(hello["remedy"]))
    if hello[agent.HELLO] != agent.VERSION:
        raise KpiError(f"the agent speaks protocol {hello[agent.HELLO]}, this harness {agent.VERSION}")
    return hello


def _command(environments: Sequence[str]) -> str:
    """What is started on the machine: the first Python that is new enough, told to read its program.

    Those of the environments that are whole are asked first.
    """
    new_enough = f"import sys; sys.exit(sys.version_info < {_LEAST})"
    boot = f"exec({_BOOT!r})"
    pythons = " ".join(f"python{version}" for version in PYTHONS)
    script = (
        f"S={STORE}; set --; for n in {' '.join(environments)}; do "
        'if [ -e "$S/env/$n/complete" ]; then set -- "$@" "$S/env/$n/bin/python"; fi; done; '
        f'set -- "$@" python3 {pythons}; for c in "$S"/{files.BROUGHT}/*/complete; do '
        'set -- "$@" "${c%/*}/bin/python"; done; for p in "$@"; do '
        f'if "$p" -c {shlex.quote(new_enough)} 2>/dev/null; then '
        f'exec "$p" -I -u -c {shlex.quote(boot)} "$S"; fi; done; '
        f'printf \'{{"{agent.HELLO}": 0, "python": "%s"}}\\n\' "$(python3 -V 2>&1 | tr -d \'"\\\\\' | head -n 1)"'
    )
    return f"exec sh -c {shlex.quote(script)}"


def _send_program(target: int) -> None:
    """The agent's own modules, as text; the last of them is run."""
    sources = [(module.__name__, Path(module.__file__ or "").read_text("utf-8")) for module in (wire, files, agent)]
    program = (
        "import sys, types\n"
        f"for name, source in {sources!r}:\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    exec(compile(source, name, 'exec'), module.__dict__)\n"
        "module.main(sys.argv[1])\n"
    ).encode()
    view = memoryview(b"%8d" % len(program) + program)
    while view:
        view = view[os.write(target, view) :]
