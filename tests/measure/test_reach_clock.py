"""A board whose clock is set, jumps or runs too fast: libfaketime is loaded into all that the login there starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.board_project import board_project
from tests.support.boards import Board, needs_sshd, own_store, serving
from tests.support.project import Project

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="no libfaketime is installed: apt install faketime")
pytestmark = [pytest.mark.suite, pytest.mark.long, needs_sshd, needs_faketime]

Turn = Callable[[Board, Path, threading.Event], None]


def judged(tmp_path: Path, store: Path, turn: Turn, **variables: str) -> tuple[str, str, Project]:
    """The verdict and the reason where ``turn`` sets the clock while workers run: it writes libfaketime's file."""
    clock = tmp_path / "clock"
    clock.write_text("+0\n", encoding="ascii")
    told = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", **variables}
    with serving(tmp_path / "board", own_store(tmp_path, store), None, LD_PRELOAD=str(FAKETIME), **told) as board:
        project = board_project(tmp_path / "project", store, board)
        assert project.cli("reach", "setup", "edge").returncode == 0
        over = threading.Event()
        thread = threading.Thread(target=turn, args=(board, clock, over))
        thread.start()
        try:
            project.pytest("-k", "p50")
        finally:
            over.set()
            thread.join()
        assert board.nothing_left()
    line = next(one for one in project.evidence()["targets"] if one["metric"] == "latency.p50")
    return line["verdict"], line["reason"], project


def set_once(board: Board, clock: Path, over: threading.Event) -> None:
    while not over.is_set() and not board.workers():
        time.sleep(0.02)
    clock.write_text("+3600\n", encoding="ascii")


def jump(_: Board, clock: Path, over: threading.Event) -> None:
    hours = 0
    while not over.wait(0.2):
        hours += 1
        clock.write_text(f"+{3600 * hours}\n", encoding="ascii")


def hurry(board: Board, clock: Path, over: threading.Event) -> None:
    while not over.is_set() and not board.workers():
        time.sleep(0.02)
    clock.write_text("+0 x3\n", encoding="ascii")


def test_a_clock_that_is_set_costs_a_process(tmp_path: Path, shared_store: Path) -> None:
    verdict, reason, project = judged(tmp_path, shared_store, set_once, DONT_FAKE_MONOTONIC="1")
    assert (verdict, reason) == ("PASS", "")
    kept = sum(len(one["processes"]) for one in project.evidence()["measurements"] if one["machine"] == "edge")
    (log,) = (project.folder / ".kpi/runs").glob("*/measure.log")
    # What ran while it was set is not among what counts.
    assert log.read_text(encoding="utf-8").count("---- edge") == kept + 1


def test_a_clock_that_jumps_is_unavailable(tmp_path: Path, shared_store: Path) -> None:
    verdict, reason, _ = judged(tmp_path, shared_store, jump, DONT_FAKE_MONOTONIC="1")
    assert verdict == "UNAVAILABLE"
    assert "5 times in a row while it was measured: its clock was set by" in reason


def test_a_clock_that_runs_too_fast_is_an_error(tmp_path: Path, shared_store: Path) -> None:
    verdict, reason, _ = judged(tmp_path, shared_store, hurry)
    assert verdict == "ERROR"
    assert "the clock of edge can't be believed: it counted" in reason
