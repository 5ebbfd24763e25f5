"""`kpi watch` as a program: real saves, real runs, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.project import Project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite

_PATIENCE_S = 120.0


@dataclass
class Watched:
    """A watcher under way; what it has said so far, and what it says next."""

    process: subprocess.Popen[bytes]
    log: Path
    read: int = 0

    def hears(self, text: str) -> str:
        """Waits until it has said ``text``; returns what it said since the last time, up to there."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            said = self.log.read_text(encoding="utf-8", errors="replace")
            at = said.find(text, self.read)
            if at >= 0:
                since = said[self.read : at + len(text)]
                self.read = at + len(text)
                return since
            assert self.process.poll() is None, said
            time.sleep(0.05)
        raise AssertionError(f"{text!r} was not said: {self.log.read_text(encoding='utf-8')[self.read :]}")

    def runs(self) -> psutil.Process:
        """The run of pytest that it has started."""
        found: list[psutil.Process] = []
        _until(lambda: bool(found.extend(psutil.Process(self.process.pid).children()) or found))
        return found[0]


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def watching(project: Project, *arguments: str) -> Iterator[Watched]:
    """Starts it, ends it with Ctrl-C, and sees that it ends well and leaves nothing behind."""
    log = project.folder / "watch.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.cli.main", "watch", *arguments],
            cwd=project.folder,
            env={**project.variables, "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        watched = Watched(process, log)
        try:
            yield watched
            children = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(timeout=60) == 0
            assert not psutil.wait_procs(children, timeout=10)[1]
            said = log.read_text(encoding="utf-8")
            assert said.endswith("kpi watch: ended\n")
            assert "Traceback" not in said
        finally:
            process.kill()


@pytest.fixture
def built(project: Project) -> Project:
    """A project whose artifacts are in the store."""
    assert project.pytest("-k", "size").returncode == 0
    return project


def answered(project: Project) -> dict[str, str]:
    """What the latest run has judged."""
    file = project.folder / ".kpi/latest/evidence.json"
    targets = json.loads(file.read_text(encoding="utf-8"))["targets"]
    return {t["id"]: t["verdict"] for t in targets if "not selected" not in t["reason"]}


def test_a_bound_is_judged_alone_and_a_comment_not_at_all(built: Project) -> None:
    with watching(built) as watched:
        watched.hears("watching 5 targets of kpis.toml; Ctrl-C ends it")
        built.change('"< 20 kB"', '"< 30 kB"')
        watched.hears("kpis.toml: affects 1 of 5 targets\nkpi watch:   stripes-int8:size (its bound)")
        assert "warning" not in watched.hears("1 passed, 4 deselected")
        watched.hears("watching 5 targets")
        assert answered(built) == {"stripes-int8:size": "PASS"}
        built.change("[measure]", "# nothing of importance\n[measure]")
        watched.hears("kpis.toml: affects no target")
        built.change('"< 30 kB"', '"< 1 B"')
        watched.hears("1 failed, 4 deselected")
        watched.hears("watching 5 targets")
        assert answered(built) == {"stripes-int8:size": "FAIL"}


def test_a_file_with_mistakes_is_waited_for(built: Project) -> None:
    with watching(built) as watched:
        watched.hears("watching 5 targets")
        built.change('"< 20 kB"', '"< 20 parsecs"')
        text = built.toml.read_text(encoding="utf-8")
        line = text[: text.index("parsecs")].count("\n") + 1
        watched.hears(f"error: kpis.toml:{line}: [[kpi]] \"stripes-int8\": size: unit 'parsecs' does not fit")
        watched.hears("waiting for kpis.toml to be fixed")
        built.change("[machine.any-cpu]", "[machine.any-cpu")
        watched.hears("error: kpis.toml: not valid TOML")
        built.change("[machine.any-cpu", "[machine.any-cpu]")
        watched.hears("waiting for kpis.toml to be fixed")
        built.change('"< 20 parsecs"', '"< 21 kB"')
        assert "affects no target" not in watched.hears("affects 1 of 5 targets")
        watched.hears("1 passed, 4 deselected")
        watched.hears("watching 5 targets")


def test_what_a_fixture_or_a_part_of_the_harness_affects_is_named(built: Project) -> None:
    fixture = built.folder / "fixtures/stripes/__init__.py"
    text = fixture.read_text(encoding="utf-8")
    with watching(built, "-k", "nothing_of_this_name", "--kpis", "kpis.toml") as watched:
        watched.hears("watching 5 targets")
        fixture.write_text(text, encoding="utf-8")  # saved without a change
        (fixture.parent / "notes.md").write_text("a page", encoding="utf-8")
        (fixture.parent / "sizes.json").write_text("[]", encoding="utf-8")
        assert "__init__" not in watched.hears("sizes.json: affects 5 of 5 targets")
        watched.hears("running all 5 targets")
        watched.hears("5 deselected")
        watched.hears("watching 5 targets")
        # As editors save: written aside, then renamed.
        aside = fixture.parent / ".aside"
        aside.write_text(f"{text}\n# changed\n", encoding="utf-8")
        aside.replace(fixture)
        watched.hears("__init__.py: affects 5 of 5 targets")
        watched.hears("5 deselected")
        watched.hears("watching 5 targets")


def test_a_run_is_stopped_when_what_it_measures_is_changed(built: Project) -> None:
    built.change('seconds = "20 ms"', 'seconds = "2 s"')
    with watching(built) as watched:
        watched.hears("watching 5 targets")
        built.change('"< 50 ms"', '"< 60 ms"')
        watched.hears("affects 1 of 5 targets")
        running = watched.runs()
        runs = built.folder / ".kpi/runs"
        before = len(list(runs.iterdir()))
        _until(lambda: len(list(runs.iterdir())) > before)
        # Something else waits its turn.
        built.change('"< 20 kB"', '"< 30 kB"')
        watched.hears("queued until the run has ended")
        assert running.is_running()
        built.change('"< 60 ms"', '"< 70 ms"')
        watched.hears("stopping the run that measures what was changed")
        watched.hears("2 passed, 3 deselected")
        watched.hears("watching 5 targets")
        assert answered(built) == {"stripes-int8:size": "PASS", "stripes-int8:p50": "PASS"}


@pytest.mark.parametrize("early", [True, False])
def test_ctrl_c_ends_the_run_under_way(built: Project, early: bool) -> None:  # noqa: FBT001
    built.change('seconds = "20 ms"', 'seconds = "3 s"')
    runs = built.folder / ".kpi/runs"
    before = set(runs.iterdir())
    with watching(built) as watched:
        watched.hears("watching 5 targets")
        built.change('"< 50 ms"', '"< 60 ms"')
        watched.runs()
        if not early:
            _until(lambda: any((new / "measure.log").exists() for new in {*runs.iterdir()} - before))
    if not early:
        assert not json.loads((built.folder / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))["complete"]


def test_an_option_of_another_command_is_still_a_mistake(built: Project) -> None:
    command = [sys.executable, "-P", "-m", "harness.cli.main", "list", "--no-such-option"]
    done = subprocess.run(
        command, cwd=built.folder, env=built.variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "unrecognized arguments: --no-such-option" in done.stderr


def test_only_chosen_targets_run(built: Project) -> None:
    done = built.pytest("--kpi-only=stripes-int8:size")
    assert done.returncode == 0
    assert "1 passed, 4 deselected" in done.stdout
    wrong = built.pytest("--kpi-only=stripes-int8:sise")
    assert wrong.returncode == 4
    assert 'did you mean "stripes-int8:size"' in wrong.stderr


def test_an_odd_name_is_chosen_exactly(built: Project) -> None:
    name = "a::b[c] -x 'd' \"e\" \u00e9\u202e\U0001f4a5"
    built.change('name = "stripes-int8"', f"name = {json.dumps(name, ensure_ascii=False)}")
    done = built.pytest(f"--kpi-only={name}:size")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 4 deselected" in done.stdout
