"""A machine that is reached by adb: its real client and server, adbd's protocol, real processes at the other end."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.core.errors import Unavailable
from harness.measure.reach.adb import Adb
from harness.measure.reach.base import Lost
from harness.measure.reach.link import Link
from harness.measure.reach.reached import Reached
from harness.spec.reader import read_spec
from tests.support.adbd import MODEL, Phone, needs_adb, phone
from tests.support.board_project import board_project
from tests.support.boards import NAME, bare_path, holding, own_store
from tests.support.linux_system import linux_system


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    folder = tmp_path_factory.mktemp("phone")
    with phone(folder, folder / "there") as one:
        yield one


@pytest.fixture
def way(served: Phone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adb]:
    monkeypatch.setenv("KPI_ADB", served.adb)
    made = Adb(served.serial)
    yield made
    made.close()


@needs_adb
def test_bytes_go_both_ways_as_they_are(way: Adb, served: Phone, tmp_path: Path) -> None:
    sent = b"\n~.\r\n\x03\x04\x00\xff" + random.Random(3).randbytes(3_000_000)  # noqa: S311 - content, not a secret
    process = way.start("cat; echo said >&2; exit 3", tmp_path / "errors")
    assert process.communicate(sent, timeout=60) == (sent, None)
    assert process.returncode == 3
    assert (tmp_path / "errors").read_text(encoding="ascii").endswith("said\n")
    assert served.connected()
    way.close()
    assert not served.connected()


@needs_adb
def test_what_was_connected_already_stays_so(way: Adb, served: Phone, tmp_path: Path) -> None:
    assert "connected to" in served.said("connect", served.serial)
    assert way.start("echo here", tmp_path / "errors").communicate(timeout=60)[0] == b"here\n"
    way.close()
    assert served.connected()
    served.said("disconnect", served.serial)


@needs_adb
@pytest.mark.parametrize("ending", ["close", "cut"])
def test_nothing_is_left_when_the_connection_ends(way: Adb, served: Phone, tmp_path: Path, ending: str) -> None:
    process = way.start("echo $$; exec sleep 600", tmp_path / "errors")
    assert process.stdout is not None
    there = int(process.stdout.readline())
    assert psutil.pid_exists(there)
    if ending == "close":
        process.terminate()
    else:
        served.said("disconnect", served.serial)
    process.communicate(timeout=60)
    end = time.monotonic() + 10
    while running(there) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(there)


def running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@needs_adb
def test_the_agent_answers_from_where_the_variable_enters(
    way: Adb, served: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other store"
    enter = f"env 'KPI_REACH_STORE={other}'"
    monkeypatch.setenv("KPI_ADB_ENTER", f"chroot / {enter}" if os.geteuid() == 0 else enter)
    link = Link(way, tmp_path / "errors")
    assert link.hello["store"] == str(other)
    assert link.hello["arch"] == os.uname().machine
    there = replace(served, store=other)
    assert there.agents()
    link.close()
    assert there.nothing_left()


@needs_adb
def test_a_variable_that_leads_nowhere_is_named(way: Adb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for enter in ("chroot /nowhere", "nonsense", "'"):
        monkeypatch.setenv("KPI_ADB_ENTER", enter)
        with pytest.raises(Lost, match="can't be reached: ") as told:
            Link(way, tmp_path / "errors")
        assert told.value.remedy.startswith("see whether KPI_ADB_ENTER is right: adb -s ")


@needs_adb
@pytest.mark.parametrize(
    ("options", "said", "remedy"),
    [
        (["--unauthorized"], "it has not allowed this computer", "allow USB debugging"),
        (["--features", "cmd"], "has no shell that carries bytes", "reach it by ssh"),
    ],
)
def test_what_can_not_be_used_is_said_in_one_line(
    options: list[str],
    said: str,
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with phone(tmp_path / "phone", tmp_path / "there", *options) as closed:
        monkeypatch.setenv("KPI_ADB", closed.adb)
        way = Adb(closed.serial)
        with pytest.raises(Unavailable) as told:
            Link(way, tmp_path / "errors")
        way.close()
    assert (said in told.value.message, remedy in told.value.remedy) == (True, True), told.value
    assert "\n" not in told.value.message
    assert not isinstance(told.value, Lost)


@needs_adb
@pytest.mark.usefixtures("way")
def test_what_is_not_there_may_come_back(tmp_path: Path) -> None:
    for serial, said in (("R58M123ABC", "not found"), ("127.0.0.1:1", "refused")):
        with pytest.raises(Lost, match=f"(?i)^adb:{serial} can't be reached: .*{said}") as told:
            Link(Adb(serial), tmp_path / "errors")
        assert told.value.remedy == "see what is there: adb devices -l"


@needs_adb
@pytest.mark.usefixtures("way")
def test_a_description_means_one_machine(served: Phone, tmp_path: Path) -> None:
    assert served.said("connect", served.serial)
    model = Adb(f"model:{MODEL}")
    assert model.start("echo here", tmp_path / "errors").communicate(timeout=60)[0] == b"here\n"
    with phone(tmp_path / "second", tmp_path / "there") as second:
        assert served.said("connect", second.serial)
        with pytest.raises(Unavailable, match="several devices answer to that"):
            Link(model, tmp_path / "errors")
        for serial in (served.serial, second.serial):
            served.said("disconnect", serial)


def test_without_a_client_or_a_serial_there_is_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_bytes(b"\0")
    (tmp_path / "text").chmod(0o755)
    for named, said in (
        (tmp_path / "nothing", "no such program"),
        ('adb "', "is not a command"),
        ("", "no such program"),
    ):
        monkeypatch.setenv("KPI_ADB", str(named))
        with pytest.raises(Unavailable, match=said) as told:
            Adb("127.0.0.1:5555").start("true", tmp_path / "log")
        assert told.value.remedy == "unset KPI_ADB"
    monkeypatch.setenv("KPI_ADB", str(tmp_path / "text"))
    for serial in ("127.0.0.1:5555", "R58M123ABC"):
        with pytest.raises(Unavailable, match="can't be started: Exec format error"):
            Link(Adb(serial), tmp_path / "log")
    monkeypatch.delenv("KPI_ADB")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="adb is not installed here") as told:
        Adb("127.0.0.1:5555").start("true", tmp_path / "log")
    assert told.value.remedy == "apt install adb"
    for address in ("", "-s", "a b", "a;b"):
        with pytest.raises(ValueError, match="is not a serial"):
            Adb.check(address)
    for address in ("R58M123ABC", "emulator-5554", "192.168.1.7:5555", "[fe80::1%wlan0]:5555", "usb:1-4.2"):
        Adb.check(address)


@pytest.mark.suite
@pytest.mark.long
@needs_adb
def test_a_phone_without_python_is_brought_one_and_judged(tmp_path: Path, shared_store: Path) -> None:
    tools = bare_path(tmp_path / "bin")
    with phone(tmp_path / "phone", tmp_path / "there", PATH=str(tools)) as bare:
        project = board_project(tmp_path / "project", shared_store, bare)
        project.change(f'reach = "ssh:{NAME}"', f'reach = "adb:{bare.serial}"')
        done = project.cli("reach", "doctor", "edge")
        assert done.returncode != 0
        assert "Python 3.11 or newer is needed there, it has none that is found" in done.stderr
        assert "--python SYSTEM.tar" in done.stderr
        system = linux_system(tmp_path / "system.tar")
        done = project.cli("reach", "setup", "edge", "--python", str(system))
        assert done.returncode == 0, done.stderr
        assert project.pytest().returncode == 0
        assert set(project.verdicts().values()) == {"PASS"}
        assert bare.nothing_left()


@pytest.mark.suite
@pytest.mark.long
@needs_adb
def test_one_ledger_though_adbd_ends_while_it_measures(tmp_path: Path, shared_store: Path) -> None:
    with phone(tmp_path / "phone", own_store(tmp_path, shared_store)) as board:
        project = board_project(tmp_path / "project", shared_store, board)
        project.change(f'reach = "ssh:{NAME}"', f'reach = "adb:{board.serial}"')
        done = project.cli("reach", "setup", "edge")
        assert done.returncode == 0, done.stderr
        assert project.pytest().returncode == 0
        assert set(project.verdicts().values()) == {"PASS"}
        assert list(project.evidence()["reached"]) == ["edge"]
        assert board.nothing_left()
        assert not board.connected()
        cuts: list[int] = []

        def cut() -> None:
            while not (working := board.workers()):
                time.sleep(0.02)
            cuts.extend(process.pid for process in working)
            board.restart()

        thread = threading.Thread(target=cut)
        thread.start()
        done = project.pytest("-k", "p50")
        thread.join(timeout=60)
        assert cuts
        assert project.verdicts()["digits-edge:p50"] == "PASS", done.stdout
        assert board.nothing_left()


@pytest.mark.suite
@pytest.mark.long
@needs_adb
def test_a_connection_that_is_lost_before_its_turn_is_made_again(
    tmp_path: Path, shared_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with phone(tmp_path / "phone", own_store(tmp_path, shared_store)) as board:
        monkeypatch.setenv("KPI_ADB", board.adb)
        project = board_project(tmp_path / "project", shared_store, board)
        project.change(f'reach = "ssh:{NAME}"', f'reach = "adb:{board.serial}"')
        assert project.cli("reach", "setup", "edge").returncode == 0
        edge, said = read_spec(project.toml).machines["edge"], list[str]()
        place = Reached(edge, tmp_path / "log", project.folder, print, store=tmp_path)
        with holding(board) as holder:

            def cut(text: str) -> None:
                said.append(text)
                holder.kill()
                board.restart()

            with place.lock("edge", cut):
                assert "another measurement runs" in said[0]
                assert board.agents()
        place.close()
