"""Where processes are measured: on this machine, or on one that is reached."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.placement import memory_binding
from harness.core.processes import Started, call_worker
from harness.measure.instances import run_together
from harness.measure.lock import device_lock
from harness.measure.machine.temperature import longest_wait

if TYPE_CHECKING:
    from harness.build.environments import Environments, Interpreter
    from harness.measure.machine.detect import Detected

_MODULE = "harness.measure.worker"
_TIMEOUT_S = 3600.0
"""For what a process does besides waiting, and besides what its scenario's options ask for."""
Say = Callable[[str], None]


class Place(ABC):
    """One machine: its hardware and system, its lock, its libraries, its worker processes.

    ``name`` is that of the machine in ``kpis.toml``; empty for this machine.
    """

    name: str = ""

    @property
    @abstractmethod
    def machine(self) -> Detected:
        """Its hardware and system. Raises Unavailable where it can't be reached."""

    @property
    @abstractmethod
    def known(self) -> Detected | None:
        """The same where it is known already; None where it was never reached."""

    @abstractmethod
    def lock(self, device: str, progress: Say) -> AbstractContextManager[None]:
        """Held while something is measured on a device: one measurement at a time."""

    @abstractmethod
    def interpreter(self, environments: Environments, name: str | None) -> Interpreter:
        """The Python that a recipe's processes run under; Unavailable where it was not made yet."""

    @abstractmethod
    def measure(
        self, requests: Sequence[Mapping[str, Any]], interpreter: Interpreter, *, log: Path, progress: Say
    ) -> list[dict[str, Any]]:
        """Runs a fresh worker process for each request, all at once; what each found, as plain JSON.

        ``outputs`` of a request is where its file is afterwards, on this machine. Raises Unavailable or KpiError as
        the workers said.
        """

    def tried(self, key: str) -> Mapping[str, int]:
        """The verdicts of other runs on a target there, with how often each was given, as the machine keeps them.

        This one keeps none: its history knows them.
        """
        del key
        return {}

    def judged(self, key: str, verdict: str) -> str:
        """Lets the machine keep that a target was judged by this run; what went wrong, for people."""
        del key, verdict
        return ""

    def close(self) -> None:  # noqa: B027 - this machine keeps nothing open
        """Ends what was started there."""


class Here(Place):
    """The machine that the suite runs on."""

    def __init__(self, machine: Detected) -> None:
        self._machine = machine

    @property
    def machine(self) -> Detected:
        return self._machine

    @property
    def known(self) -> Detected | None:
        return self._machine

    def lock(self, device: str, progress: Say) -> AbstractContextManager[None]:
        return device_lock(device, progress)

    def interpreter(self, environments: Environments, name: str | None) -> Interpreter:
        return environments.interpreter(name)

    def measure(
        self, requests: Sequence[Mapping[str, Any]], interpreter: Interpreter, *, log: Path, progress: Say
    ) -> list[dict[str, Any]]:
        return run_workers(requests, interpreter.python, interpreter.environment, log=log, progress=progress)


def run_workers(
    requests: Sequence[Mapping[str, Any]],
    python: Path,
    environment: Mapping[str, str],
    *,
    log: Path,
    progress: Say,
    started: Started = lambda _: None,
) -> list[dict[str, Any]]:
    """Runs a worker on this machine for each request; several are timed together."""

    def call(request: Mapping[str, Any]) -> dict[str, Any]:
        begin, node = time.monotonic(), request["numa_node"]
        found = call_worker(
            _MODULE,
            request,
            log=log,
            timeout=_TIMEOUT_S + request.get("span_s", 0.0) + longest_wait(request.get("cool_to")),
            python=python,
            environment=environment,
            before=memory_binding(node) if node is not None else (),
            progress=progress,
            started=started,
        )
        # From the first to the last moment, so with Python's own start and end.
        found["system"] = {**found["system"], "life_s": round(time.monotonic() - begin, 4)}
        return found

    if len(requests) == 1:
        return [call(requests[0])]
    return run_together(len(requests), lambda met: call({**requests[met.number], "meeting": met.to_json()}))
