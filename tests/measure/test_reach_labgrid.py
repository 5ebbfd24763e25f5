"""A place of labgrid, with its own coordinator and exporter: acquired for a run, released at its end."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.measure.reach.labgrid import Labgrid
from tests.support.board_project import board_project
from tests.support.boards import NAME, needs_sshd, own_store, serving

PLACE = "board-7"
needs_labgrid = pytest.mark.skipif(
    None in map(shutil.which, ("labgrid-client", "labgrid-coordinator", "labgrid-exporter")),
    reason="labgrid is not installed: pip install labgrid",
)


@contextmanager
def laboratory(folder: Path, port: int) -> Iterator[dict[str, str]]:
    """A place with a NetworkService on the loopback; the variables that lead to its coordinator."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "exported.yaml").write_text(
        f"shelf:\n  NetworkService:\n    address: 127.0.0.1\n    port: {port}\n    username: {getpass.getuser()}\n",
        encoding="ascii",
    )
    told = {"LG_COORDINATOR": address}
    started = []
    try:
        for command in (
            ["labgrid-coordinator", "-l", address],
            ["labgrid-exporter", "-c", address, "-n", "here", "exported.yaml"],
        ):
            log = (folder / f"{command[0]}.log").open("wb")
            started.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
            log.close()
            while not listens(address):
                time.sleep(0.2)
        assert client(told, "create") == 0
        assert client(told, "add-match", "here/shelf/*") == 0
        for _ in range(50):
            if "NetworkService" in shown(told, "resources"):
                break
            time.sleep(0.2)
        yield told
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=20)


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def client(told: dict[str, str], *words: str) -> int:
    command = ["labgrid-client", "-p", PLACE, *words]
    return subprocess.run(command, env={**os.environ, **told}, capture_output=True, check=False).returncode


def shown(told: dict[str, str], *words: str) -> str:
    command = ["labgrid-client", "-p", PLACE, *words]
    return subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False).stdout


@pytest.mark.suite
@pytest.mark.long
@needs_sshd
@needs_labgrid
def test_a_place_is_acquired_for_a_run(tmp_path: Path, shared_store: Path) -> None:
    with (
        serving(tmp_path / "board", own_store(tmp_path, shared_store)) as board,
        laboratory(tmp_path, board.port) as told,
    ):
        project = board_project(tmp_path / "project", shared_store, board)
        project.change(f'reach = "ssh:{NAME}"', f'reach = "labgrid:{PLACE}"')
        config = (board.folder / "client").read_text(encoding="ascii").replace(f"Host {NAME}", "Host 127.0.0.1")
        (tmp_path / "client").write_text(config, encoding="ascii")
        project.environment.update({"KPI_SSH": f"ssh -F {tmp_path / 'client'}", **told})
        done = project.cli("reach", "setup", "edge")
        assert done.returncode == 0, done.stderr
        assert "acquired: None" in shown(told, "show")
        assert project.pytest("-k", "p50").returncode == 0
        assert project.verdicts()["digits-edge:p50"] == "PASS"
        assert list(project.evidence()["reached"]) == ["edge"]
        assert board.nothing_left()
        assert "acquired: None" in shown(told, "show")
        # What this user holds already is used, and stays held; what another one holds is not there.
        assert client(told, "acquire") == 0
        assert project.pytest("-k", "p50").returncode == 0
        assert project.verdicts()["digits-edge:p50"] == "PASS"
        assert "acquired: None" not in shown(told, "show")
        project.environment["LG_USERNAME"] = "another"
        project.pytest("-k", "p50")
        line = next(one for one in project.evidence()["targets"] if one["metric"] == "latency.p50")
        assert line["verdict"] == "UNAVAILABLE"
        assert "is already acquired by" in line["reason"]
        # An error ends with the place given back, too.
        assert client(told, "release") == 0
        project.environment["KPI_SSH"] = "ssh -F /dev/null"
        project.pytest("-k", "p50")
        assert project.verdicts()["digits-edge:p50"] == "UNAVAILABLE"
        assert "acquired: None" in shown(told, "show")


def test_without_a_client_or_a_name_there_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_LABGRID", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match=r'KPI_LABGRID is ".*nothing", and no such program is here'):
        Labgrid(PLACE).start("true", tmp_path / "log")
    monkeypatch.delenv("KPI_LABGRID")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="labgrid-client is not installed here") as told:
        Labgrid(PLACE).start("true", tmp_path / "log")
    assert told.value.remedy == "pip install labgrid"
    for address in ("", "-p", "a b", "a;b"):
        with pytest.raises(ValueError, match="is not the name of a place"):
            Labgrid.check(address)


def test_a_client_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "client").write_bytes(b"\0")
    (tmp_path / "client").chmod(0o755)
    monkeypatch.setenv("KPI_LABGRID", str(tmp_path / "client"))
    with pytest.raises(Unavailable, match="can't be acquired: client can't be started: Exec format error"):
        Labgrid("board-7").start("true", tmp_path / "log")
