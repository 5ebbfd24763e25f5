"""A machine that is reached as a place where processes are measured."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.build.environments import Environments, Interpreter
from harness.core.codec import of_plain
from harness.core.errors import KpiError, Unavailable
from harness.measure.machine.detect import Detected
from harness.measure.place import Place, Say
from harness.measure.reach import reach
from harness.measure.reach.base import Lost, Reach
from harness.measure.reach.link import Link
from harness.measure.reach.pinned import (
    environment_key,
    environment_keys,
    make,
    python_for,
    requirement_file,
    running_file,
)
from harness.measure.reach.sending import Parcel, of_artifact, of_harness, of_plugins, of_workload
from harness.measure.scenarios import scenarios

if TYPE_CHECKING:
    from harness.spec.model import Machine

_T = TypeVar("_T")
_CUTS = 5
"""So often in a row one process may be cut before it is given up."""
_PAUSES_S = (0.2, 1.0, 2.0, 4.0, 8.0, 15.0)
_PATIENCE_S = 900.0
_JUMP_S, _FASTER, _SLACK_S = 1.0, 1.05, 0.2


@dataclass(frozen=True, slots=True)
class ReachedInterpreter(Interpreter):
    """The Python of an environment there; ``versions`` are its distributions."""

    versions: Mapping[str, str] = field(default_factory=dict)

    def version(self, distribution: str) -> str | None:
        return self.versions.get(re.sub(r"[-_.]+", "-", distribution).lower())


class Reached(Place):
    """A machine at the other end of a way; connected when it is first asked for something.

    ``errors`` is where ssh's own words go, ``root`` the folder of ``kpis.toml``; with ``install`` a missing environment
    is made. ``met`` is told once what the machine is.
    """

    def __init__(
        self,
        wanted: Machine,
        errors: Path,
        root: Path,
        progress: Say,
        *,
        store: Path,
        install: bool = False,
        met: Callable[[Detected], None] = lambda _: None,
    ) -> None:
        if wanted.reach is None:
            raise ValueError(f"machine {wanted.name} is not reached")
        self.name = wanted.name
        scheme, _, address = wanted.reach.partition(":")
        self.way: Reach = reach()[scheme](address)
        self._errors, self._root, self._store = errors, root, store
        self._progress, self._install, self._met = progress, install, met
        self._link: Link | None = None
        self._machine: Detected | None = None
        self._interpreters: dict[str | None, ReachedInterpreter] = {}
        self._gone: KpiError | None = None
        self._sent: dict[Path, str] = {}
        self._greeting: Mapping[str, Any] = {}
        self._device = ""
        self._locked: Link | None = None
        self._run = uuid.uuid4().hex
        self._tried: dict[str, Mapping[str, int]] = {}

    # ---- what a place is asked --------------------------------------------------------------------------------

    @property
    def machine(self) -> Detected:
        self._connected()
        if self._machine is None:
            raise RuntimeError("connected to a machine that was not described")
        return self._machine

    def interpreter(self, environments: Environments, name: str | None) -> Interpreter:
        del environments
        return self.python(name)

    def python(self, name: str | None) -> ReachedInterpreter:
        """The Python of the light environment there, or of one that recipes name.

        Raises Unavailable where it is missing, or no Python there can be its own.
        """
        self._connected()
        if name is not None and name not in self._interpreters:
            self._interpreters[name] = self._uncut(lambda link: self._python(link, name), "was asked for")
        return self._interpreters[name]

    @property
    def known(self) -> Detected | None:
        return self._machine

    @property
    def greeting(self) -> Mapping[str, Any]:
        """What it said of itself when it was last connected; empty where it never was."""
        return self._greeting

    def runtimes(self) -> dict[str, str]:
        """Of each runtime what its library sees there, for people; empty where it is not installed."""
        found: dict[str, str] = self._connected().call("runtimes")
        return found

    @property
    def environment(self) -> str:
        """Where its light environment is, there."""
        return str(self._connected().hello["prefix"])

    @contextmanager
    def lock(self, device: str, progress: Say) -> Iterator[None]:
        self._device = device
        try:
            self._uncut(lambda link: self._take(link, progress), "waited for its turn")
            yield
        finally:
            self._device, link, self._locked = "", self._locked, None
            if link is not None and link.alive:
                with contextlib.suppress(KpiError):
                    link.call("unlock", device=device)

    def measure(
        self, requests: Sequence[Mapping[str, Any]], interpreter: Interpreter, *, log: Path, progress: Say
    ) -> list[dict[str, Any]]:
        python = None if interpreter.name is None else str(interpreter.python)

        def measured(link: Link) -> list[dict[str, Any]]:
            self._take(link, progress)
            return self._measured(link, requests, python, log, progress)

        return self._uncut(measured, "was measured", lambda text: progress(f"{text}; the process is measured again"))

    def tried(self, key: str) -> Mapping[str, int]:
        if key not in self._tried:  # the same all through a run, though others may judge there meanwhile
            self._tried[key] = self._uncut(lambda link: link.call("tried", key=key, run=self._run), "was asked")
        return self._tried[key]

    def judged(self, key: str, verdict: str) -> str:
        try:
            self._uncut(lambda link: link.call("judged", key=key, run=self._run, verdict=verdict), "was told")
            now = self._uncut(lambda link: link.call("tried", key=key, run=self._run), "was asked")
        except KpiError as error:
            return f"{self.name} was not told of this attempt: {error.message}"
        if (more := sum(now.values()) - sum(self._tried.get(key, now).values())) > 0:
            return f"other runs judged this on {self.name} meanwhile ({more}): this attempt does not count them"
        return ""

    def close(self) -> None:
        """Ends what runs there, and the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self.way.close()

    def _uncut(self, ask: Callable[[Link], _T], what: str, say: Say = lambda _: None) -> _T:
        """What is asked over the connection, again where that is lost on the way."""
        why: KpiError = Lost("")
        for _ in range(_CUTS):
            try:
                return ask(self._connected())
            except Lost as error:
                why = error
                say(f"{self.name}: {error.message}")
        raise self._said(why, f"{_CUTS} times in a row while it {what}: ")

    # ---- one process ------------------------------------------------------------------------------------------

    def _measured(
        self, link: Link, requests: Sequence[Mapping[str, Any]], python: str | None, log: Path, say: Say
    ) -> list[dict[str, Any]]:
        outputs = Path(requests[0]["outputs"]).parent
        outputs.mkdir(parents=True, exist_ok=True)
        moved = [self._moved(link, request, say) for request in requests]
        with tempfile.TemporaryDirectory(prefix=".reached-", dir=outputs) as folder:
            begin = time.monotonic()
            try:
                answer = link.call("measure", requests=moved, python=python, progress=say, folder=Path(folder))
            except Lost:
                raise
            except KpiError as error:
                raise self._said(error) from error
            finally:
                self._keep_log(Path(folder) / "log", log)
            self._check_clock(answer, time.monotonic() - begin)
            for file in Path(folder).iterdir():
                file.replace(outputs / file.name)
        found: list[dict[str, Any]] = answer["found"]
        return found

    def _keep_log(self, there: Path, log: Path) -> None:
        if there.exists():
            with log.open("ab") as file:
                file.write(f"---- {self.name}\n".encode() + there.read_bytes())
            there.unlink()

    def _check_clock(self, answer: Mapping[str, Any], here_s: float) -> None:
        """Raises where what was timed there can't be believed; Lost where it may be when it is measured again."""
        if self._machine is not None and answer["boot"] != self._machine.boot:
            raise self._restarted()
        if abs(jump := float(answer["jump"])) > _JUMP_S:
            raise Lost(f"its clock was set by {jump:+.0f} s while a process ran")
        if (there_s := float(answer["seconds"])) > _FASTER * here_s + _SLACK_S:
            self._gone = KpiError(
                f"the clock of {self.name} can't be believed: it counted {there_s:.2f} s of {here_s:.2f} s"
            )
            raise self._gone

    def _moved(self, link: Link, request: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """The request with paths that are there; a workload's files are sent where the scenario reads them."""
        moved = {
            **request,
            "artifact": self._send(link, Path(request["artifact"]), say),
            "inputs": self._send(link, Path(request["inputs"]), say),
            "outputs": Path(request["outputs"]).name,
            "earlier": [],
        }
        cache = f"{link.hello['store']}/data"
        if not scenarios()[request["scenario"]].reads_workload:
            return {**moved, "root": cache, "fixture": "", "settings": {**request["settings"], "cache": cache}}
        parcel, settings = of_workload(Path(request["root"]), request["fixture"], request["settings"])
        tree = self._sending(parcel, link, say)
        return {
            **moved,
            "root": f"{tree}{request['root']}",
            "settings": {**_placed(settings, tree), "cache": cache},
        }

    def _send(self, link: Link, folder: Path, say: Say) -> str:
        if folder not in self._sent:
            self._sent[folder] = self._sending(of_artifact(folder), link, say)
        return self._sent[folder]

    def _sending(self, parcel: Parcel, link: Link, say: Say) -> str:
        try:
            return parcel.send(link, lambda text: say(f"{self.name}: {text}"))
        except Lost:
            raise
        except KpiError as error:
            raise self._said(error) from error

    # ---- the connection ---------------------------------------------------------------------------------------

    def _connected(self) -> Link:
        """The connection, made again where it was lost. Raises what is wrong for good, every time."""
        if self._gone is not None:
            raise self._gone
        if self._link is not None and self._link.alive:
            return self._link
        if self._link is not None:
            self._link.close()
            self._link = None
            self.way.renew()
        pauses = iter(_PAUSES_S)
        while self._link is None:
            try:
                self._link = self._connect()
            except Lost as error:
                # What never answered is told at once; what did may come back.
                pause = next(pauses, None) if self._greeting else None
                if pause is None:
                    self._gone = Unavailable(error.message, error.remedy)
                    raise self._gone from error
                time.sleep(pause)
                self.way.renew()
            except KpiError as error:
                self._gone = error
                raise
        return self._link

    def _connect(self) -> Link:
        self._progress(f"connecting to {self.name}")
        link = self._open()
        try:
            if not self._ready(link):
                link.close()
                link = self._open()
            self._describe(link)
        except BaseException:
            link.close()
            raise
        return link

    def _open(self) -> Link:
        try:
            link = Link(self.way, self._errors, environment_keys(self._root))
        except Lost:
            raise
        except KpiError as error:
            raise self._said(error) from error
        self._greeting = link.hello
        return link

    def _ready(self, link: Link) -> bool:
        """Whether the agent runs in the right environment; False where that was made now."""
        requirements = requirement_file(link.hello["arch"], self._root)
        if Path(link.hello["prefix"]).name == environment_key(requirements, link.hello["arch"], link.hello["python"]):
            return True
        if not self._install:
            raise Unavailable(
                f"the environment of {self.name} was not made yet, or is of another requirement file",
                f"kpi reach setup {self.name}",
            )
        make(link, requirements, self._root, self._store, self._progress)
        return False

    def _python(self, link: Link, name: str) -> ReachedInterpreter:
        """The Python of an environment that recipes name; it is made where it is missing, and may be."""
        arch = link.hello["arch"]
        requirements = running_file(arch, self._root, name)
        try:
            python = python_for(requirements, link.call("pythons"), self.name)
            key = environment_key(requirements, arch, python[0])
            if (found := link.call("installed", key=key)) is None:
                if not self._install:
                    raise Unavailable(f'the environment "{name}" was not made there', f"kpi reach setup {self.name}")
                make(link, requirements, self._root, self._store, self._progress, python)
                found = link.call("installed", key=key)
        except Lost:
            raise
        except KpiError as error:
            raise self._said(error) from error
        return ReachedInterpreter(Path(found["path"]) / "bin" / "python", {}, name, found["versions"])

    def _describe(self, link: Link) -> None:
        """Sends the harness, and asks what the machine is: the same as before."""
        self._sent = {}
        plugins = {name: self._sending(parcel, link, self._progress) for name, parcel in of_plugins().items()}
        home = self._sending(of_harness(), link, self._progress)
        found = link.call("use", harness=home, plugins=plugins)
        machine = of_plain(found["machine"], Detected)
        if self._machine is None:
            self._met(machine)
        elif machine.boot != self._machine.boot:
            raise self._restarted()
        elif replace(machine, governor=None) != replace(self._machine, governor=None):
            raise KpiError(f"{self.name} is another machine than before: {machine.cpu}, {machine.cores} cores")
        self._machine = machine
        self._interpreters[None] = ReachedInterpreter(Path("python"), {}, None, found["versions"])

    def _restarted(self) -> KpiError:
        self._gone = KpiError(
            f"{self.name} was started again while it was measured: what was measured before and after is not alike",
            "find out why it restarted (power, heat, memory), then run again",
        )
        return self._gone

    def _take(self, link: Link, progress: Say) -> None:
        """Takes the device's lock there, unless this connection has it."""
        if not self._device or self._locked is link:
            return
        try:
            link.call("lock", device=self._device, progress=progress, timeout=_PATIENCE_S)
        except TimeoutError:
            with contextlib.suppress(KpiError):
                link.call("unlock", device=self._device)
            raise Unavailable(
                f"another run has measured on {self.name} for {_PATIENCE_S / 60:.0f} minutes",
                "run again when it has ended",
            ) from None
        self._locked = link

    def _said(self, error: KpiError, before: str = "") -> KpiError:
        """The same error, with the machine's name."""
        kind = Unavailable if isinstance(error, Unavailable) else KpiError
        return kind(f"{self.name}: {before}{error.message}", error.remedy)


def _placed(value: Any, tree: str) -> Any:
    if isinstance(value, str):
        return tree + value.removeprefix("{tree}") if value.startswith("{tree}/") else value
    if isinstance(value, Mapping):
        return {key: _placed(inner, tree) for key, inner in value.items()}
    return [_placed(inner, tree) for inner in value] if isinstance(value, list) else value
