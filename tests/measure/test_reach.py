"""A machine that is reached through a real OpenSSH server: one ledger, one evidence file, every trouble one verdict."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.board_project import HERE, board_project
from tests.support.boards import NAME, Board, needs_sshd, serving
from tests.support.project import Project

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
        ("edge", "digits/openvino", "single-stream"),
        ("edge", "digits/openvino", "evaluate"),
        ("edge", "digits/float", "evaluate"),
        ("", "digits/float", "single-stream"),
    }
    assert project.recomputed().returncode == 0
    assert board.nothing_left()
    # A second run sends nothing: what it needs is there.
    before = sorted(path.name for path in (board.store / "files").iterdir())
    assert project.pytest("-m", "edge").returncode == 0
    assert sorted(path.name for path in (board.store / "files").iterdir()) == before


def test_a_machine_is_named_on_the_command_line(project: Project) -> None:
    project.change(f'reach = "ssh:{NAME}"\n', "")
    assert project.pytest("--kpi-reach", f"edge=ssh:{NAME}", "-k", "p50").returncode == 0
    assert list(project.evidence()["reached"]) == ["edge"]
    done = project.pytest("--kpi-reach", "egde=ssh:board", "--kpi-reach", "edge=adb:1", "--kpi-reach", "edge")
    assert done.returncode == 4
    for said in (
        'unknown machine "egde"; did you mean "edge"?',
        'unknown way to a machine "adb" (allowed: ssh)',
        '"edge" is not of the form MACHINE=ssh:user@host',
    ):
        assert said in done.stderr


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
    with serving(tmp_path / "bare", tmp_path / "there", PATH="/nowhere") as bare:
        project = board_project(tmp_path / "project", shared_store, bare)
        project.pytest("-k", "p50")
        verdict, reason = reasons(project)["latency.p50"]
        assert (verdict, "Python 3.11 or newer is needed there" in reason) == ("UNAVAILABLE", True)


def test_the_doctor_says_what_a_machine_has(project: Project) -> None:
    done = project.cli("reach", "doctor", "edge")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for part in (f"edge (ssh:{NAME})", "integer arithmetic", "openvino devices CPU", "nothing is missing"):
        assert part in said
    wrong = project.cli("reach", "doctor", "any-cpu")
    assert wrong.returncode == 1
    assert "machine any-cpu is not reached" in wrong.stderr
    assert project.cli("reach", "setup", "egde").returncode == 4


def test_a_board_that_another_run_holds_is_waited_for(project: Project, board: Board) -> None:
    code = (
        "import sys, tempfile, time\ntempfile.tempdir = sys.argv[1]\nfrom harness.measure.lock import device_lock\n"
        "with device_lock('edge', print):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(board.folder / "tmp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        (project.folder / "conftest.py").write_text(
            "from harness.measure.reach import reached\n\nreached._PATIENCE_S = 3.0\n", encoding="utf-8"
        )
        project.pytest("-k", "p50")
        holder.kill()
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
            if working := [p for p in board.agents() if "harness.measure.worker" in p.cmdline()]:
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
    project.stop_when(
        lambda: any("harness.measure.worker" in process.cmdline() for process in board.agents()), 9, "-k", "p50"
    )
    assert board.nothing_left()
    assert not [path for path in (board.store / "work").iterdir() if (path / "alive").exists()]


def root_may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or not root_may_mount(), reason="needs the right to mount")
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
