"""Goes on until Ctrl-C: changes come in, what they affect is queued, one run at a time judges it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import harness
from harness.core.errors import SpecError
from harness.core.registry import project_folders
from harness.core.text import plain
from harness.spec.model import Spec
from harness.spec.reader import read_spec
from harness.watch.affected import Folders, Reasons, by_files, by_promises, followed, ignored
from harness.watch.files import Noticing
from harness.watch.pytest_run import Running

_TICK_S = 0.2
_SHOWN = 8


class Watch:
    """What is known, what waits, what runs."""

    def __init__(
        self, kpis: Path, arguments: Sequence[str], say: Callable[[str], None], renew: Callable[[], None]
    ) -> None:
        """``renew`` restarts the whole command with the harness as it is on the disk, or returns."""
        self.kpis = kpis.resolve()
        self.arguments = list(arguments)
        self.say = say
        self.renew = renew
        tests = find_spec("kpi_tests")
        places = [Path(place) for place in tests.submodule_search_locations or ()] if tests else []
        self.folders = Folders(Path(harness.__file__).resolve().parent, places[0].resolve() if places else None)
        self.noticing = Noticing(ignored)
        self.spec: Spec | None = None
        self.waiting: Reasons = {}
        self.running: Running | None = None
        self.resume = False
        self.whole = False
        self.outdated = self.loadable = False

    def run(self) -> None:
        """Watches until it is interrupted; a run under way is then ended first."""
        try:
            self._read()
            self._follow()
            self._idle()
            while True:
                if changed := self.noticing.wait(_TICK_S):
                    self._take(changed)
                if self.running is not None and self.running.ended:
                    self._end(self.running)
                if self.running is None and self.waiting and self.whole:
                    self._start()
                if self.outdated and self.loadable and self.running is None and not self.waiting:
                    self._renew()
        finally:
            self.noticing.stop()
            if self.running is not None:
                self.running.finish()

    def _renew(self) -> None:
        """What was loaded is not what is on the disk any more: metrics that were added would not be known."""
        self.noticing.stop()
        self.renew()
        self.say("error: the harness can't be loaded as it is now; going on with what was loaded before")
        self.loadable = False
        self.noticing.again()

    def _read(self) -> Reasons:
        """Reads the promises; what differs from before waits. Mistakes are told, and the last whole ones stay."""
        try:
            new = read_spec(self.kpis)
        except SpecError as error:
            for problem in error.problems:
                self.say(f"error: {problem}")
            self.say(f"waiting for {self.kpis.name} to be fixed")
            self.whole = False
            return {}
        self.whole = True
        old, self.spec = self.spec, new
        known = {target.id for target in new.targets}
        self.waiting = {name: why for name, why in self.waiting.items() if name in known}
        return by_promises(old, new) if old is not None else {}

    def _follow(self) -> None:
        root = self.kpis.parent
        ours = {self.folders.harness, *([self.folders.tests] if self.folders.tests else [])}
        named = followed(self.spec) if self.spec is not None else [root / "fixtures"]
        self.noticing.follow({*ours, *named, self.kpis, root / "conftest.py"})

    def _take(self, changed: set[Path]) -> None:
        others = changed - {self.kpis}
        found = by_files(self.spec, others, self.folders) if self.spec is not None and others else {}
        loaded = (self.folders.harness, *project_folders())
        if any(path.is_relative_to(folder) for path in changed for folder in loaded):
            self.outdated = self.loadable = True
            self.resume = False
        # A file that includes may match is new: it is read again whatever it holds.
        if any(path.suffix == ".toml" for path in changed) or (self.spec is None and changed):
            found = {**found, **self._read()}
            self._follow()
        if not found:
            if self.running is None and self.whole:
                self.say(f"{_names(changed)}: affects no target")
            return
        self.say(f"{_names(changed)}: affects {len(found)} of {len(self.spec.targets) if self.spec else 0} targets")
        for name, why in list(found.items())[:_SHOWN]:
            self.say(f"  {name} ({why})")
        if len(found) > _SHOWN:
            self.say(f"  and {len(found) - _SHOWN} more")
        self.waiting = {**self.waiting, **found}
        if self.running is not None and set(self.running.targets) & set(found):
            self.say("stopping the run that measures what was changed")
            self.resume = not self.outdated
            self.running.stop()
        elif self.running is not None:
            self.say("queued until the run has ended")

    def _start(self) -> None:
        if self.spec is None:
            return
        wanted = [target.id for target in self.spec.targets if target.id in self.waiting]
        if len(wanted) == len(self.spec.targets):
            self.say(f"running all {len(wanted)} targets")
        self.running = Running(self.kpis, wanted, self.arguments, resume=self.resume)
        self.waiting, self.resume = {}, False

    def _end(self, ended: Running) -> None:
        """Takes what a stopped run did not come to back into the queue."""
        self.running = None
        if ended.stopped and ended.interrupted and self.spec is not None:
            known = {target.id for target in self.spec.targets}
            left = {name: "the run was stopped" for name in ended.targets if name in known}
            self.waiting = {**left, **self.waiting}
        if not self.waiting:
            self._idle()

    def _idle(self) -> None:
        if self.spec is not None:
            self.say(f"watching {len(self.spec.targets)} targets of {plain(self.kpis.name)}; Ctrl-C ends it")


def importable() -> bool:
    """Whether the harness as it is on the disk now can be loaded."""
    command = [sys.executable, "-P", "-m", "harness.cli.main", "schema"]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0


def _names(changed: set[Path]) -> str:
    names = sorted(plain(path.name) for path in changed)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
