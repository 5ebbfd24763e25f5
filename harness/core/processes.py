"""Starts a worker process, listens to it, ends it whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import harness
from harness.core import registry
from harness.core.errors import KpiError, Unavailable
from harness.core.protocol import VERSION

# NumPy's own threads wait by spinning: on small matrices, while other work ran, they took seven times as long as one.
# Nothing that is measured runs on them; who sets the variable keeps it.
_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has but the one
Started = Callable[[subprocess.Popen[bytes]], None]


def call_worker(
    module: str,
    request: Mapping[str, Any],
    *,
    log: Path,
    timeout: float,
    python: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
    started: Started = lambda _: None,
) -> dict[str, Any]:
    """Runs ``python -m module`` with one request and returns its result; ``before`` goes in front of the command.

    ``started`` is given the process, so that another thread can end it.

    Raises Unavailable or KpiError as the worker said, and KpiError when it hangs longer than ``timeout`` seconds,
    dies, prints something else or speaks another protocol. Standard error is appended to ``log``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # -P keeps the current folder out of the import path.
    command = [*before, str(python or sys.executable), "-P", "-m", module]
    with log.open("ab") as errors:
        start = errors.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**_THREADS, **os.environ, **_import_path(), **(environment or {})},
            start_new_session=True,
        )
        started(process)
        watchdog = _Watchdog(process, timeout)
        try:
            answer = _converse(process, {"protocol": VERSION, **request}, progress)
        finally:
            watchdog.stop()
            end(process)
    if answer is None:
        raise KpiError(_obituary(module, process.returncode, watchdog, _tail(log, start)))
    if answer.get("protocol") != VERSION:
        raise KpiError(f"the worker speaks protocol {answer.get('protocol')}, this harness {VERSION}")
    if "result" in answer:
        result: dict[str, Any] = answer["result"]
        return result
    kind = Unavailable if answer.get("error") == "unavailable" else KpiError
    raise kind(str(answer.get("message", "the worker failed without a word")), str(answer.get("remedy", "")))


def _converse(
    process: subprocess.Popen[bytes], request: Mapping[str, Any], progress: Callable[[str], None]
) -> dict[str, Any] | None:
    """Sends the request, then reads to the last line; None when the worker ended without an answer."""
    stdin, stdout = _pipes(process)
    try:
        stdin.write(json.dumps(request).encode())
        stdin.close()
    except BrokenPipeError:
        return None
    answer: dict[str, Any] | None = None
    for line in stdout:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise KpiError(f"the worker printed something that is not an answer: {line[:80]!r}")
        if "progress" in message:
            progress(str(message["progress"]))
        else:
            answer = message
    process.wait()
    return answer


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker was started without pipes")
    return process.stdin, process.stdout


class _Watchdog:
    """Kills a process that takes too long; the wait itself costs no processor time."""

    def __init__(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        self.timeout = timeout
        self.bit = False
        self._process = process
        self._timer = threading.Timer(timeout, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def _bite(self) -> None:
        self.bit = True
        _signal_group(self._process, _KILL)

    def stop(self) -> None:
        self._timer.cancel()


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process with all its children: asks, then kills."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            _signal_group(process, _KILL)
            process.wait()
    _signal_group(process, _KILL)  # children that outlived it
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.kill()
    except ProcessLookupError:
        return


def _import_path() -> dict[str, str]:
    """Lets the worker find this very harness, also under another interpreter."""
    home = str(Path(harness.__file__).resolve().parent.parent)
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1", **registry.environment()}


def _obituary(module: str, code: int | None, watchdog: _Watchdog, last_words: str) -> str:
    name = module.rpartition("harness.")[2]
    if watchdog.bit:
        return f"worker {name} hung and was killed after {watchdog.timeout:.0f} s"
    if code is not None and code < 0:
        try:
            said = signal.Signals(-code).name
        except ValueError:
            said = f"signal {-code}"
        hint = "; was the machine out of memory?" if said == "SIGKILL" else ""
        return f"worker {name} died of {said}{hint}"
    return f"worker {name} ended with exit code {code} without an answer{': ' if last_words else ''}{last_words}"


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
