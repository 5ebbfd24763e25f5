"""A machine to be reached, without one: a real OpenSSH server on the loopback with a home and a store of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.measure.reach.system_python import LOADER

NAME = "board"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed: apt install openssh-server")


@dataclass
class Board:
    """``folder`` holds keys and configurations, ``store`` what a run leaves on the other side."""

    folder: Path
    store: Path
    port: int

    @property
    def ssh(self) -> str:
        """The command that KPI_SSH names."""
        return f"ssh -F {self.folder / 'client'}"

    @property
    def environment(self) -> dict[str, str]:
        return {"KPI_SSH": self.ssh}

    def forget_host(self) -> None:
        """As if nobody had ever compared the host's key."""
        (self.folder / "known_hosts").write_text("", encoding="ascii")

    def sessions(self) -> list[psutil.Process]:
        """The server's processes that serve a connection."""
        return [p for p in _all() if "sshd" in _name(p) and self.port in _ports(p)]

    def clients(self) -> list[psutil.Process]:
        """The processes of OpenSSH's client that are connected to it."""
        return [p for p in _all() if _name(p) == "ssh" and str(self.folder / "client") in _command(p)]

    def workers(self) -> list[psutil.Process]:
        """Those of the agents' children that measure."""
        return [p for p in self.agents() if "harness.measure.worker" in _command(p)]

    def agents(self) -> list[psutil.Process]:
        """What the harness runs on the other side: agents and workers, by their store."""
        return [p for p in _all() if p.pid != os.getpid() and _of_store(p, self.store)]

    def nothing_left(self, seconds: float = 20) -> bool:
        """Whether nothing of the harness runs there any more, within so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.agents():
                return True
            time.sleep(0.1)
        return False


@contextmanager
def holding(board: Board) -> Iterator[subprocess.Popen[str]]:
    """Another run that measures there: a process that holds the lock on the board's processor."""
    code = (
        "import sys, tempfile, time\ntempfile.tempdir = sys.argv[1]\nfrom harness.measure.lock import device_lock\n"
        "with device_lock('edge', print):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(board.folder / "tmp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def bare_path(folder: Path) -> Path:
    """A folder for PATH with the programs that a small system has, and no Python."""
    folder.mkdir()
    for name in ("sh", "tar", "mkdir", "mv", "rm", "ln", "chmod", "uname", "head", "tr", "sleep"):
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return folder


def own_store(folder: Path, shared: Path) -> Path:
    """A store over there in which only this test's agents are, with the environments that tests share."""
    store, environments = folder / "there", shared / "there" / "env"
    environments.mkdir(parents=True, exist_ok=True)
    store.mkdir()
    (store / "env").symlink_to(environments)
    return store


def may_mount() -> bool:
    """Whether this process may mount file systems."""
    tool = shutil.which("unshare")
    return os.geteuid() == 0 and tool is not None and subprocess.run([tool, "-m", "true"], check=False).returncode == 0


def showing(shown: Mapping[str, Path], command: Sequence[str]) -> list[str]:
    """The command, to whom paths of the kernel show what these files and folders hold; takes the right to mount."""
    mounts = [shlex.join(["mount", "--bind", str(source), target]) for target, source in shown.items()]
    return ["unshare", "-m", "sh", "-c", " && ".join([*mounts, f"exec {shlex.join(command)}"])]


def _all() -> list[psutil.Process]:
    return list(psutil.process_iter(["pid", "name"]))


def _ports(process: psutil.Process) -> set[int]:
    try:
        return {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED}
    except psutil.Error:
        return set()


def _owner(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.username())
    return ""


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.name())
    return ""


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def _of_store(process: psutil.Process, store: Path) -> bool:
    """Whether a process is an agent or a worker of this store: only those have it in their environment."""
    with suppress(psutil.Error):
        told = process.environ().get("KPI_REACH_STORE")
        program = "python" in process.name() or process.name() == Path(LOADER).name  # which starts a brought Python
        return told == str(store) and program and process.status() != psutil.STATUS_ZOMBIE
    return False


def may_add_users() -> bool:
    """Whether this process may make a user of the system."""
    return os.geteuid() == 0 and None not in map(shutil.which, ("useradd", "userdel"))


@contextmanager
def another_user() -> Iterator[str]:
    """A user of the system who is nobody else, and is gone afterwards with all that still runs for it."""
    name = f"kpi-{os.getpid()}"
    plain = [
        "--no-create-home",
        "--no-user-group",
        "--shell",
        "/bin/sh",
        "--password",
        "*",
    ]
    subprocess.run(["useradd", *plain, name], check=True)
    try:
        yield name
    finally:
        for process in [p for p in _all() if _owner(p) == name]:
            with suppress(psutil.Error):
                process.kill()
        subprocess.run(["userdel", "--force", name], check=True)


@contextmanager
def serving(
    folder: Path,
    store: Path,
    shown: Mapping[str, Path] | None = None,
    root: str = "none",
    *,
    user: str = "",
    **variables: str,
) -> Iterator[Board]:
    """Starts the server; the login there has a home, temporary files and variables of its own.

    Paths of the kernel, such as ``/sys/class/thermal``, are there what ``shown`` says, which takes the right to mount.
    Where the login sees but a folder ``root``, ``variables`` name home and store in it. ``user`` is who logs in.
    """
    assert SSHD is not None
    folder.mkdir(parents=True, exist_ok=True)
    store.mkdir(parents=True, exist_ok=True)
    (folder / "home").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server asks for it
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if user:
        for own in (store, folder / "home", folder / "tmp"):
            shutil.chown(own, user)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    told = {"KPI_REACH_STORE": store, "HOME": folder / "home", "TMPDIR": folder / "tmp", **variables}
    (folder / "server").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"ChrootDirectory {root}\nMaxStartups 100\nLogLevel ERROR\n"
        f"SetEnv {' '.join(f'{name}={value}' for name, value in told.items())}\n",
        encoding="ascii",
    )
    host = (folder / "host.pub").read_text(encoding="ascii").split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host)}\n", encoding="ascii")
    (folder / "client").write_text(
        f"Host {NAME}\n  HostName 127.0.0.1\n  Port {port}\n  User {user or getpass.getuser()}\n"
        f"  IdentityFile {folder / 'user'}\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known_hosts'}\n"
        "  GlobalKnownHostsFile /dev/null\n",
        encoding="ascii",
    )
    with (folder / "log").open("wb") as log:
        command = [SSHD, "-D", "-e", "-f", str(folder / "server")]
        if shown:
            command = showing(shown, command)
        server = subprocess.Popen(command, stderr=log)
    try:
        board = Board(folder, store, port)
        _wait(board)
        yield board
    finally:
        server.terminate()
        server.wait(timeout=10)
        for session in board.sessions():
            with suppress(psutil.Error):
                session.send_signal(signal.SIGTERM)


def _wait(board: Board) -> None:
    for _ in range(100):
        done = subprocess.run(
            [*shlex.split(board.ssh), "-o", "BatchMode=yes", NAME, "true"], check=False, capture_output=True
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(done.stderr.decode())


if __name__ == "__main__":
    with serving(Path(sys.argv[1]), Path(sys.argv[2])) as served:
        print(f"export KPI_SSH='{served.ssh}'", flush=True)  # noqa: T201
        signal.pause()
