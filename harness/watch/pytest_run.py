"""One run of pytest on chosen targets, in a process of its own that can be stopped politely."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.watch.child import INTERRUPTED, held_back

_PATIENCE_S = 60.0
_ENDS = (signal.SIGINT, signal.SIGTERM)


class Running:
    """A run under way; ``targets`` are the ids that it judges."""

    def __init__(self, kpis: Path, targets: Iterable[str], arguments: Sequence[str], *, resume: bool) -> None:
        self.targets = tuple(targets)
        self.stopped = False
        # A session of its own: Ctrl-C on the terminal reaches the watcher alone, which passes it on exactly once.
        called = command(kpis, self.targets, arguments, resume=resume)
        meanwhile: list[int] = []
        before = {number: signal.signal(number, lambda n, _: meanwhile.append(n)) for number in _ENDS}
        try:
            with held_back():
                self._process = subprocess.Popen(called, stdin=subprocess.DEVNULL, start_new_session=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if meanwhile:
            # Interrupted within the call it would have been started, and nothing would end it.
            self.finish()
            raise KeyboardInterrupt

    @property
    def ended(self) -> bool:
        """Whether it has come to its end, by itself or stopped."""
        return self._process.poll() is not None

    @property
    def interrupted(self) -> bool:
        """Whether it ended before it had judged everything."""
        return self._process.returncode == INTERRUPTED or self._process.returncode < 0

    def stop(self) -> None:
        """Asks it to end, as Ctrl-C would: what it has measured is kept, and can be resumed."""
        if not self.stopped and not self.ended:
            self.stopped = True
            self._process.send_signal(signal.SIGINT)

    def finish(self) -> None:
        """Ends it for good: asks, waits a minute, then kills it with all that it started."""
        self.stop()
        try:
            self._process.wait(_PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()


def command(kpis: Path, targets: Iterable[str], arguments: Sequence[str], *, resume: bool) -> list[str]:
    """The call of pytest that judges these targets and no others.

    Without a folder of its own tests here, the installed ones are asked for.
    """
    installed = ["--pyargs", "kpi_tests"] if not Path("kpi_tests").is_dir() and "--pyargs" not in arguments else []
    chosen = [f"--kpi-only={name}" for name in targets]
    again = ["--kpi-resume"] if resume else []
    plugin = ["-p", "harness.pytest_plugin"]  # named twice it is loaded once
    # The child is a module of the harness, so that it is imported before pytest comes to it.
    quiet = ["-W", "ignore:Module already imported so cannot be rewritten; harness:pytest.PytestAssertRewriteWarning"]
    return [
        sys.executable,
        "-m",
        "harness.watch.child",
        *plugin,
        *quiet,
        *installed,
        *arguments,
        f"--kpis={kpis}",
        *chosen,
        *again,
    ]
