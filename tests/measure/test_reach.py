"""A machine that is reached through a real OpenSSH server: one ledger, one evidence file, every trouble one verdict."""

from __future__ import annotations

import pwd
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.measure.reach.reached import Reached
from harness.spec.reader import read_spec
from tests.support.board_project import HERE, TRUE_AND_FALSE, board_project, wrong
from tests.support.boards import (
    NAME,
    Board,
    another_user,
    bare_path,
    holding,
    may_add_users,
    may_mount,
    needs_sshd,
    serving,
)
from tests.support.cutting import Cutter
from tests.support.project import Project

if TYPE_CHECKING:
    import psutil

needs_user = pytest.mark.skipif(not may_add_users(), reason="needs the right to add a user of the system")
needs_mount = pytest.mark.skipif(not may_mount(), reason="needs the right to mount")
pytestmark = [pytest.mark.suite, needs_sshd]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Iterator[Board]:
    """A machine whose environment is made: once for all tests, by the command for it."""
    # The path of a socket is short, and below the temporary files of this machine it would not be.
    folder, store = tmp_path_factory.mktemp("board"), shared_store / "there"
    with serving(folder, store) as served:
        project = board_project(tmp_path_factory.mktemp("setup"), shared_store, served)
        done = project.cli("reach", "setup", "edge")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().startswith(str(store / "env"))
        yield served


@pytest.fixture
def project(tmp_path: Path, shared_store: Path, board: Board) -> Project:
    return board_project(tmp_path / "project", shared_store, board)


def reasons(project: Project) -> dict[str, tuple[str, str]]:
    return {line["metric"]: (line["verdict"], line["reason"]) for line in project.evidence()["targets"]}


def test_one_ledger_and_one_evidence_file(tmp_path: Path, shared_store: Path, board: Board) -> None:
    project = board_project(tmp_path, shared_store, board, HERE)
    done = project.pytest()
    assert set(project.verdicts().values()) == {"PASS"}, done.stdout
    assert len(project.verdicts()) == 4
    evidence = project.evidence()
    assert list(evidence["reached"]) == ["edge"]
    assert evidence["reached"]["edge"]["cpu"] == evidence["machine"]["cpu"]
    assert evidence["reached"]["edge"]["python"].startswith("3.")
    assert {kpi["name"]: kpi["elsewhere"] for kpi in evidence["kpis"]} == {"digits-edge": "", "digits-here": ""}
    where = {(m["machine"], m["recipe"], m["scenario"]) for m in evidence["measurements"]}
    assert where == {
        ("edge", "digits/optimized", "single-stream"),
        ("edge", "digits/optimized", "evaluate"),
        ("edge", "digits/float", "evaluate"),
        ("", "digits/float", "single-stream"),
    }
    assert project.recomputed().returncode == 0
    assert board.nothing_left()
    # A second run sends nothing: what it needs is there.
    before = sorted(path.name for path in (board.store / "files").iterdir())
    assert project.pytest("-m", "edge").returncode == 0
    assert sorted(path.name for path in (board.store / "files").iterdir()) == before


def test_attempts_are_those_on_the_board_whoever_judges_there(tmp_path: Path, shared_store: Path, board: Board) -> None:
    (there := tmp_path / "there").mkdir()
    (there / "env").symlink_to(board.store / "env")
    with serving(tmp_path / "board", there) as alone:
        found = []
        for name in ("one", "other", "other"):
            project = board_project(tmp_path / name, shared_store, alone, HERE)
            project.pytest("-k", "p50")
            lines = {line["kpi"]: line["attempt"] for line in project.evidence()["targets"] if line["n"]}
            found.append((lines["digits-edge"], lines["digits-here"]))
        assert found == [(1, 1), (2, 1), (3, 2)]
        # What the board lost the history of the workstation still knows.
        (there / "judged").unlink()
        project.pytest("-k", "p50")
        edge = next(line for line in project.evidence()["targets"] if line["kpi"] == "digits-edge" and line["n"])
        assert (edge["attempt"], edge["earlier"]) == (3, {"PASS": 2})


@pytest.mark.long
def test_a_setup_that_was_killed_is_made_again_by_two_at_once(tmp_path: Path, shared_store: Path) -> None:
    with serving(tmp_path / "board", there := tmp_path / "there") as alone:
        projects = [board_project(tmp_path / name, shared_store, alone) for name in ("one", "two")]

        def start(project: Project) -> subprocess.Popen[str]:
            command = [sys.executable, "-P", "-m", "harness.cli.main", "reach", "setup", "edge"]
            return subprocess.Popen(
                command,
                cwd=project.folder,
                env=project.variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        with start(projects[0]) as killed:
            while not list(there.glob("env/*/lib/python*/site-packages/*")):
                assert killed.poll() is None
                time.sleep(0.05)
            killed.kill()
        assert not list(there.glob("env/*/complete"))
        both = [start(project) for project in projects]
        said = [one.communicate()[0] for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert len(list(there.glob("env/*/complete"))) == 1
        assert sum("waits for another setup" in text for text in said) <= 1
        assert projects[1].pytest("-k", "p50").returncode == 0


def test_a_run_that_judged_meanwhile_is_told(
    tmp_path: Path, board: Board, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPI_SSH", board.ssh)
    edge = read_spec(project.toml).machines["edge"]
    places = [Reached(edge, tmp_path / name, project.folder, print, store=tmp_path) for name in ("one", "two")]
    try:
        assert [place.tried("meanwhile") for place in places] == [{}, {}]
        assert places[0].judged("meanwhile", "FAIL") == ""
        assert "other runs judged this on edge meanwhile (1)" in places[1].judged("meanwhile", "PASS")
    finally:
        for place in places:
            place.close()


@needs_user
def test_another_user_with_an_environment_and_a_store_of_its_own(tmp_path: Path, shared_store: Path) -> None:
    # The folders of these tests are closed to others.
    with tempfile.TemporaryDirectory(prefix="kpi-board-", dir="/tmp") as name, another_user() as user:
        folder = Path(name)
        folder.chmod(0o755)
        with serving(folder / "board", folder / "there", user=user, PATH="/usr/local/bin:/usr/bin:/bin") as board:
            project = board_project(tmp_path / "project", shared_store, board)
            done = project.cli("reach", "setup", "edge")
            assert done.returncode == 0, done.stderr
            assert project.pytest().returncode == 0
            assert set(project.verdicts().values()) == {"PASS"}
            assert board.nothing_left()
            owner = {pwd.getpwnam(user).pw_uid}
            assert {path.lstat().st_uid for path in folder.joinpath("there").rglob("*")} == owner
            assert list(project.evidence()["reached"]) == ["edge"]
            # The lock on its processor lies among its own temporary files.
            assert {path.lstat().st_uid for path in (folder / "board/tmp").iterdir()} == owner


@pytest.mark.long
def test_a_machine_is_named_on_the_command_line(project: Project) -> None:
    project.change(f'reach = "ssh:{NAME}"\n', "")
    assert project.pytest("--kpi-reach", f"edge=ssh:{NAME}", "-k", "p50").returncode == 0
    assert list(project.evidence()["reached"]) == ["edge"]
    done = project.pytest("--kpi-reach", "egde=ssh:board", "--kpi-reach", "edge=usb:1", "--kpi-reach", "edge")
    assert done.returncode == 4
    for said in (
        'unknown machine "egde"; did you mean "edge"?',
        'unknown way to a machine "usb" (allowed: adb, labgrid, ssh)',
        '"edge" is not of the form MACHINE=ssh:user@host',
    ):
        assert said in done.stderr


@pytest.mark.long
def test_another_machine_than_promised_proves_nothing(project: Project) -> None:
    project.change('device = "edge"\n', 'device = "edge"\ncpu = "*Cortex-A76*"\n')
    project.pytest("-k", "p50")
    verdict, reason = reasons(project)["latency.p50"]
    assert verdict == "OFF_TARGET"
    assert "promised for *Cortex-A76*" in reason


def test_a_host_that_nobody_compared_is_not_trusted(project: Project, tmp_path: Path, board: Board) -> None:
    config = (board.folder / "client").read_text(encoding="ascii")
    (tmp_path / "known").touch()
    other = tmp_path / "client"
    other.write_text(config.replace(str(board.folder / "known_hosts"), str(tmp_path / "known")), encoding="ascii")
    project.environment["KPI_SSH"] = f"ssh -F {other}"
    done = project.pytest()
    verdict, reason = reasons(project)["latency.p50"]
    assert (verdict, "its host key is not known" in reason) == ("UNAVAILABLE", True)
    assert "compare the fingerprint once by hand" in " ".join(done.stdout.split())
    assert project.verdicts()["digits-edge:size"] == "PASS"
    # Another key than the known one is worse: somebody may be in between.
    known = (board.folder / "known_hosts").read_text(encoding="ascii").split()[0]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "evil"], check=True)
    (tmp_path / "known").write_text(f"{known} {(tmp_path / 'evil.pub').read_text(encoding='ascii')}", encoding="ascii")
    project.pytest()
    verdict, reason = reasons(project)["latency.p50"]
    assert (verdict, "another one than the known one" in reason) == ("ERROR", True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HostName 127.0.0.1", "HostName no-such-host.invalid", "resolve"),
        ("Port ", "Port 1\n  #", "refused"),
        ("IdentityFile ", "IdentityFile /nowhere\n  #", "it refuses this user's keys"),
    ],
)
def test_what_can_not_be_reached_is_unavailable(
    project: Project, tmp_path: Path, board: Board, old: str, new: str, said: str
) -> None:
    other = tmp_path / "client"
    other.write_text((board.folder / "client").read_text(encoding="ascii").replace(old, new), encoding="ascii")
    project.environment["KPI_SSH"] = f"ssh -F {other}"
    done = project.pytest()
    assert done.returncode == 0
    verdict, reason = reasons(project)["latency.p50"]
    assert verdict == "UNAVAILABLE"
    assert said in reason
    assert project.evidence()["reached"] == {}


def test_without_an_environment_the_command_is_named(tmp_path: Path, shared_store: Path) -> None:
    with serving(tmp_path / "bare", tmp_path / "there") as bare:
        project = board_project(tmp_path / "project", shared_store, bare)
        done = project.pytest("-k", "p50")
        assert reasons(project)["latency.p50"][0] == "UNAVAILABLE"
        assert "kpi reach setup edge" in " ".join(done.stdout.split())
        said = project.cli("reach", "doctor", "edge").stdout
        assert "enables digits-edge" in " ".join(said.split())


def test_without_python_there_is_nothing_to_measure_with(tmp_path: Path, shared_store: Path) -> None:
    with serving(tmp_path / "bare", tmp_path / "there", PATH=str(bare_path(tmp_path / "bin"))) as bare:
        project = board_project(tmp_path / "project", shared_store, bare)
        project.pytest("-k", "p50")
        verdict, reason = reasons(project)["latency.p50"]
        assert (verdict, "Python 3.11 or newer is needed there" in reason) == ("UNAVAILABLE", True)


def test_the_doctor_says_what_a_machine_has(project: Project) -> None:
    done = project.cli("reach", "doctor", "edge")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for part in (f"edge (ssh:{NAME})", "integer arithmetic", "openvino not installed", "nothing is missing"):
        assert part in said
    wrong = project.cli("reach", "doctor", "any-cpu")
    assert wrong.returncode == 1
    assert "machine any-cpu is not reached" in wrong.stderr
    assert project.cli("reach", "setup", "egde").returncode == 4


@pytest.mark.long
def test_a_board_that_another_run_holds_is_waited_for(project: Project, board: Board) -> None:
    with holding(board):
        (project.folder / "conftest.py").write_text(
            "from harness.measure.reach import reached\n\nreached._PATIENCE_S = 3.0\n", encoding="utf-8"
        )
        project.pytest("-k", "p50")
    verdict, reason = reasons(project)["latency.p50"]
    assert (verdict, "another run has measured on edge" in reason) == ("UNAVAILABLE", True)
    assert project.pytest("-k", "p50").returncode == 0
    assert board.nothing_left()


@pytest.mark.parametrize("what", ["agents", "sessions"])
def test_a_process_that_was_cut_is_measured_again(project: Project, board: Board, what: str) -> None:
    cuts: list[int] = []
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.05) and len(cuts) < 2:
            if working := board.workers():
                victims = board.sessions() if what == "sessions" else [p for p in board.agents() if p not in working]
                for victim in victims:
                    cuts.append(victim.pid)
                    victim.kill()
                time.sleep(3)

    thread = threading.Thread(target=cut)
    thread.start()
    done = project.pytest("-k", "p50")
    over.set()
    thread.join()
    assert cuts
    assert reasons(project)["latency.p50"][0] == "PASS", done.stdout
    assert board.nothing_left()


def test_a_killed_run_leaves_nothing_behind(project: Project, board: Board) -> None:
    project.stop_when(lambda: bool(board.workers()), 9, "-k", "p50")
    assert board.nothing_left()
    assert not [path for path in (board.store / "work").iterdir() if (path / "alive").exists()]


@needs_mount
def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, shared_store: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", there], check=True)
    try:
        with serving(tmp_path / "board", there) as small:
            done = board_project(tmp_path / "project", shared_store, small).cli("reach", "setup", "edge")
            assert done.returncode == 1
            assert "the disk is full" in done.stderr
            assert small.nothing_left()
    finally:
        subprocess.run(["umount", "-l", there], check=True)


@needs_mount
def test_a_board_that_restarts_is_an_error(tmp_path: Path, shared_store: Path, board: Board) -> None:
    boot = tmp_path / "boot"
    boot.write_text("11111111-1111-4111-8111-111111111111\n", encoding="ascii")
    with serving(tmp_path / "board", board.store, {"/proc/sys/kernel/random/boot_id": boot}) as restarting:
        project = board_project(tmp_path / "project", shared_store, restarting)
        project.change("looks = [2]", "looks = [2, 3]")

        def restart() -> None:
            while not (working := restarting.workers()):
                time.sleep(0.02)
            boot.write_text("22222222-2222-4222-8222-222222222222\n", encoding="ascii")
            for process in [p for p in restarting.agents() if p not in working]:
                process.kill()

        thread = threading.Thread(target=restart)
        thread.start()
        project.pytest("-k", "p50")
        thread.join()
        verdict, reason = reasons(project)["latency.p50"]
        assert (verdict, "was started again while it was measured" in reason) == ("ERROR", True)
        assert project.evidence()["reached"]["edge"]["boot"].startswith("1111")


def test_several_boards_are_in_one_ledger(tmp_path: Path, shared_store: Path, board: Board) -> None:
    more = '[machine.other]\ndevice = "edge"\nreach = "ssh:other"\n\n[[kpi]]\nname = "other"\nworkload = "digits"\n'
    more += 'recipe = "float"\nmachine = "other"\ntargets = { "latency.p50" = "< 1 s" }\n'
    with serving(tmp_path / "second", board.store) as second:
        config = (second.folder / "client").read_text(encoding="ascii").replace(f"Host {NAME}", "Host other")
        (tmp_path / "client").write_text((board.folder / "client").read_text(encoding="ascii") + config)
        project = board_project(tmp_path / "project", shared_store, board, more)
        project.environment["KPI_SSH"] = f"ssh -F {tmp_path / 'client'}"
        done = project.pytest("-k", "p50")
        assert set(project.verdicts().values()) == {"PASS", "INCONCLUSIVE"}, done.stdout
        evidence = project.evidence()
        assert sorted(evidence["reached"]) == ["edge", "other"]
        assert {m["machine"] for m in evidence["measurements"]} == {"edge", "other"}


@pytest.mark.long
def test_cuts_at_random_moments_make_no_wrong_verdict(tmp_path: Path, shared_store: Path, board: Board) -> None:
    project = board_project(tmp_path, shared_store, board, kpis=TRUE_AND_FALSE)
    cutter = Cutter(board, random.Random(5), (0.5, 4.0), 6)  # noqa: S311 - moments, not secrets
    with cutter.cutting():
        project.pytest()
    assert cutter.count
    assert wrong(project.evidence()) == []
    assert board.nothing_left()
    assert project.recomputed().returncode == 0


@pytest.mark.long
def test_a_silent_connection_is_given_up_on_both_sides(project: Project, board: Board) -> None:
    stopped: list[psutil.Process] = []

    def stop() -> None:
        while not board.workers():
            time.sleep(0.02)
        stopped.extend(board.sessions())
        for session in stopped:
            session.suspend()

    thread = threading.Thread(target=stop)
    thread.start()
    done = project.pytest("-k", "p50")
    thread.join()
    assert reasons(project)["latency.p50"][0] == "PASS", done.stdout
    assert board.nothing_left(60)
    for session in stopped:
        session.kill()
