"""The other side of a connection: runs on the machine that is reached, answers one caller, and ends with it.

Until the rest of the harness has been sent too, it can do what the standard library can: keep files, and make an
environment. It ends, with all that it started, when its standard input ends or stays silent although its caller speaks
every few seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from harness.measure.reach.there.files import BROUGHT, Files, hold
from harness.measure.reach.there.wire import Gone, Wire

HELLO = "kpi-agent"
VERSION = 2
_SILENCE_S = 30.0
_NEWEST = 20
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
Say = Callable[[str], None]


class Refused(Exception):
    """What can't be done here; ``remedy`` says what would help."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


class Agent:
    """Answers one caller; threads answer what may take long."""

    def __init__(self, store: Path, wire: Wire) -> None:
        self.files = Files(store)
        self.files.keep(Path(sys.prefix))
        self.files.sweep()
        self.wire = wire
        self.work = Path(tempfile.mkdtemp(dir=store / "work"))
        self._alive = hold(self.work)
        self._children: set[subprocess.Popen[bytes]] = set()
        self._locks: dict[str, threading.Event] = {}
        self._measured = 0

    def serve(self) -> NoReturn:
        """Answers until the caller is gone, which raises Gone."""
        self.wire.send(self.hello())
        while True:
            message = self.wire.message()
            if message["op"] == "put":
                self._answer(message, self.wire.pieces(message["bytes"]))
            elif message["op"] == "beat":
                self.wire.send({"id": 0})
            else:
                threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def close(self) -> None:
        """Kills what was started, and removes what was kept for it."""
        for process in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in list(self._children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        shutil.rmtree(self.work, ignore_errors=True)

    def hello(self) -> dict[str, Any]:
        """What is known without the harness."""
        system = os.uname()
        return {
            HELLO: VERSION,
            "python": platform.python_version(),
            "prefix": os.path.realpath(sys.prefix),
            "arch": system.machine,
            "system": f"{system.sysname} {system.release}",
            "libc": list(platform.libc_ver()),
            "host": system.nodename,
            "store": str(self.files.root),
            "free": shutil.disk_usage(self.files.root).free,
            "boot": _boot(),
        }

    def _answer(self, message: Mapping[str, Any], pieces: Callable[[], bytes] | None = None) -> None:
        number = message["id"]
        try:
            found: Any = None
            if pieces is not None:
                self.files.put(message["digest"], pieces)
            else:
                method = getattr(self, f"op_{message['op']}")
                found = method(message, lambda text: self.wire.send({"id": number, "progress": text}))
            answer = {"result": found}
        except OSError as error:
            answer = refusal(error, self.files.root)
        except Exception as error:  # noqa: BLE001 - whatever it is ends as one line at the caller
            kind = "unavailable" if type(error).__name__ == "Unavailable" else "error"
            said = getattr(error, "message", f"{type(error).__name__}: {error}")
            answer = {"error": kind, "message": said, "remedy": getattr(error, "remedy", "")}
        with contextlib.suppress(BrokenPipeError):
            self.wire.send({"id": number, **answer})

    # ---- what may be asked ------------------------------------------------------------------------------------

    def op_missing(self, message: Mapping[str, Any], _: Say) -> list[str]:
        """Which files of these digests and sizes must be sent."""
        return self.files.missing(message["sizes"])

    def op_tree(self, message: Mapping[str, Any], _: Say) -> str:
        """A folder of files that are here."""
        return self.files.tree(message["key"], message["names"])

    def op_pythons(self, _: Mapping[str, Any], __: Say) -> dict[str, str]:
        """The Pythons of this machine by version, with their paths: first the one that answers."""
        found = {platform.python_version(): sys.executable}
        whole = sorted(self.files.root.glob(f"{BROUGHT}/*/complete"))
        brought = (str(path.parent / "bin" / "python") for path in whole)
        for program in (*(shutil.which(f"python3.{minor}") for minor in range(11, _NEWEST)), *brought):
            if program is None:
                continue
            with contextlib.suppress(OSError):  # what does not start is none
                told = subprocess.run(
                    [program, "-c", "import platform; print(platform.python_version())"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if told.returncode == 0:
                    found.setdefault(told.stdout.strip(), program)
        return found

    def op_installed(self, message: Mapping[str, Any], _: Say) -> dict[str, Any] | None:
        """Where an environment is, and what is installed in it; None where it was not made."""
        target = self.files.root / "env" / message["key"]
        if not _is_made(target):
            return None
        self.files.keep(target)
        path = [str(folder) for folder in target.glob("lib/python*/site-packages")]
        return {"path": str(target), "versions": _versions(path)}

    def op_environment(self, message: Mapping[str, Any], say: Say) -> str:
        """Makes an environment of wheels that were sent: nothing is fetched, nothing but Python is needed."""
        target, wheels = self.files.root / "env" / message["key"], Path(message["wheels"])
        with self.files.making(message["key"], say) as held:
            if not _is_made(target):
                shutil.rmtree(target, ignore_errors=True)
                say("making the environment")
                self._run([message["python"] or sys.executable, "-m", "venv", "--without-pip", str(target)], held)
                say("installing")
                pip = str(next(wheels.glob("pip-*.whl")) / "pip")
                quiet = ["--quiet", "--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
                listed = ["--find-links", str(wheels), "-r", str(wheels / "requirements.txt")]
                self._run([str(target / "bin" / "python"), pip, "install", *quiet, *listed], held)
                (target / "complete").touch()
        return str(target)

    def _run(self, command: list[str], held: int) -> None:
        """Runs it to its end; it holds the lock ``held`` as well, should this process be killed."""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[held],
        ) as process:
            self._children.add(process)
            _, said = process.communicate()
            self._children.discard(process)
        if process.returncode:
            lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
            raise Refused(f"the environment can't be made: {lines[-1][:300] if lines else ' '.join(command[:3])}")

    def op_use(self, message: Mapping[str, Any], _: Say) -> dict[str, Any]:
        """From now on the harness and its plug-ins are those that were sent; returns what this machine is and has."""
        sys.path.insert(0, message["harness"])
        os.environ.update(PYTHONPATH=message["harness"], KPI_PLUGINS=json.dumps(message["plugins"]))
        from dataclasses import asdict

        from harness.measure.machine.detect import detect

        return {"machine": asdict(detect()), "versions": _versions(sys.path)}

    def op_runtimes(self, _: Mapping[str, Any], __: Say) -> dict[str, str]:
        """Of each runtime what its library sees here, for people; empty where it is not installed."""
        from harness.measure.runtimes import runtimes

        found = {}
        for name, runtime in sorted(runtimes().items()):
            try:
                found[name] = runtime.available_devices() if runtime.available_here() else ""
            except Exception as error:  # noqa: BLE001 - a broken installation is a finding
                found[name] = f"does not load: {type(error).__name__}: {error}"
        return found

    def op_tried(self, message: Mapping[str, Any], _: Say) -> dict[str, int]:
        """How other runs judged a target here: how often each verdict was given."""
        return self.files.tried(message["key"], message["run"])

    def op_judged(self, message: Mapping[str, Any], _: Say) -> None:
        """A run judged a target here."""
        self.files.judged(message["key"], message["run"], message["verdict"])

    def op_lock(self, message: Mapping[str, Any], say: Say) -> None:
        """Answers when the device is the caller's; it stays so until ``unlock``, or until the end."""
        from harness.measure.lock import device_lock

        taken, given_back = threading.Event(), threading.Event()
        self._locks[message["device"]] = given_back
        failed: list[BaseException] = []

        def wait(text: str) -> None:
            if given_back.is_set():
                raise Refused("the caller did not wait for it")
            say(text)

        def keep() -> None:
            try:
                with device_lock(message["device"], wait):
                    taken.set()
                    given_back.wait()
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that answers
                failed.append(error)
            finally:
                taken.set()

        threading.Thread(target=keep, daemon=True).start()
        taken.wait()
        if failed:
            raise failed[0]

    def op_unlock(self, message: Mapping[str, Any], _: Say) -> None:
        """Lets others have the device."""
        if held := self._locks.pop(message["device"], None):
            held.set()

    def op_measure(self, message: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Runs the workers, under the Python of an environment where one is named.

        The files that they leave are sent before the answer.
        """
        from harness.measure.place import run_workers

        self._measured += 1
        folder = self.work / f"measured-{self._measured}"
        folder.mkdir()
        requests = [{**one, "outputs": str(folder / one["outputs"])} for one in message["requests"]]
        wall, begin = time.time(), time.monotonic()
        started: list[subprocess.Popen[bytes]] = []

        def note(process: subprocess.Popen[bytes]) -> None:
            started.append(process)
            self._children.add(process)

        try:
            python = Path(message["python"] or sys.executable)
            found = run_workers(requests, python, {}, log=folder / "log", progress=say, started=note)
        finally:
            self._children.difference_update(started)
            for file in sorted(path for path in folder.iterdir() if path.is_file()):
                self.wire.send({"id": message["id"], "file": file.name}, file)
            shutil.rmtree(folder, ignore_errors=True)
        seconds = time.monotonic() - begin
        return {"found": found, "seconds": seconds, "jump": time.time() - wall - seconds, "boot": _boot()}


def refusal(error: OSError, store: Path) -> dict[str, Any]:
    """An operating system's refusal as an answer."""
    said, remedy = f"{error.strerror or error}: {error.filename or store}", ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        said = f"the disk is full: {shutil.disk_usage(store).free / 1e6:.0f} MB are left in {store}"
        remedy = "free space there, or set KPI_REACH_STORE there to another folder"
    return {"error": "error", "message": said, "remedy": remedy}


def _is_made(environment: Path) -> bool:
    """Whether an environment is whole, and the Python still runs that it was made of."""
    if not (environment / "complete").exists():
        return False
    program = [str(environment / "bin" / "python"), "-I", "-c", ""]
    try:
        return subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _versions(path: list[str]) -> dict[str, str]:
    """The distributions below folders, with their versions; of several of a name the first."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for one in distributions(path=path):
        found.setdefault(re.sub(r"[-_.]+", "-", one.name).lower(), one.version)
    return found


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def main(store: str) -> NoReturn:
    """Serves the caller at the standard input and output."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
    wire = Wire(os.dup(0), os.dup(1), _SILENCE_S)
    os.dup2(2, 1)  # what a library prints is not an answer

    def stop(*_: object) -> NoReturn:
        raise Gone("asked to end")

    for number in _ENDINGS:
        signal.signal(number, stop)
    agent: Agent | None = None
    try:
        Path(store).mkdir(parents=True, exist_ok=True)
        agent = Agent(Path(store), wire)
        agent.serve()
    except OSError as error:
        with contextlib.suppress(OSError):
            wire.send({HELLO: VERSION, **refusal(error, Path(store).parent)})
    except Gone:
        pass
    finally:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        if agent is not None:
            agent.close()
        os._exit(0)
