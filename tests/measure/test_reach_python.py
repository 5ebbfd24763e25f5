"""A machine without Python is brought one, with its C library, of the archive of a Linux system."""

from __future__ import annotations

import ensurepip
import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import psutil
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.reach.base import Reach
from harness.measure.reach.bringing import _unpack, bring
from harness.measure.reach.link import Link
from harness.measure.reach.system_python import WHOLE, take
from tests.support.boards import Board, bare_path
from tests.support.linux_system import VERSION, linux_system

MINORS = range(11, 15)


class Bare(Reach):
    """A shell here with a handful of programs on its path, as a small system has, and a store of its own."""

    name = "bare"
    folder: Path
    store = "store"
    before = ""

    @classmethod
    def check(cls, address: str) -> None:
        """Any address will do."""

    def start(self, command: str, errors: Path) -> subprocess.Popen[bytes]:
        shell = shutil.which("sh") or "/bin/sh"
        told = {"PATH": str(self.folder / "bin"), "KPI_REACH_STORE": str(self.folder / self.store), "HOME": "/nowhere"}
        with errors.open("ab") as file:
            return subprocess.Popen(
                [shell, "-c", self.before + command],
                env=told,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linux_system(tmp_path_factory.mktemp("system") / "system.tar")


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    bare_path(tmp_path / "bin")
    made = Bare("machine")
    made.folder = tmp_path
    return made


def brought(bare: Bare) -> list[str]:
    return sorted(os.listdir(bare.folder / "store" / "python"))


def test_it_runs_there_with_libraries_of_its_own_and_is_sent_once(bare: Bare, system: Path) -> None:
    log, said = bare.folder / "log", []
    with pytest.raises(Unavailable, match=r"Python 3\.11 or newer is needed there, it has none") as told:
        Link(bare, log)
    assert "kpi reach setup MACHINE --python SYSTEM.tar" in told.value.remedy
    bring(bare, system, log, said.append)
    assert said[-1].startswith(f"sending Python {VERSION}, ")
    bring(bare, system, log, said.append)
    assert sum(text.startswith("sending") for text in said) == 1
    link = Link(bare, log)
    try:
        there = bare.folder / "store" / "python" / brought(bare)[0]
        assert link.hello["prefix"] == str(there)
        assert link.hello["libc"][0] == "glibc"
        agent = next(one for one in psutil.Process().children(recursive=True) if str(there) in " ".join(one.cmdline()))
        libraries = {one.path for one in agent.memory_maps() if ".so" in one.path and "gconv" not in one.path}
        assert any("libc.so" in path for path in libraries)
        assert [path for path in libraries if not path.startswith(str(there))] == []
        assert str(there / "bin" / "python") in link.call("pythons").values()
        assert agent in Board(bare.folder, bare.folder / "store", 0).agents()  # of which tests see whether it is left
    finally:
        link.close()


def test_an_environment_made_of_it_is_one(bare: Bare, system: Path) -> None:
    bring(bare, system, bare.folder / "log", print)
    python = bare.folder / "store" / "python" / brought(bare)[0] / "bin" / "python"
    target = bare.folder / "environment"
    subprocess.run([python, "-m", "venv", "--without-pip", str(target)], check=True)
    ask = (
        "import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', sys.argv[1]], text=True), end='')"
    )
    told = "import sys, sysconfig, platform; print(sys.prefix, sysconfig.get_path('purelib'), platform.libc_ver()[0])"
    done = subprocess.run([target / "bin" / "python", "-c", ask, told], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(target), f"{target}/lib/python{VERSION}/site-packages", "glibc"]


@pytest.mark.parametrize("share", [0.02, 0.99])
def test_what_is_cut_off_leaves_nothing(
    bare: Bare, system: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, read = bare.folder / "log", Path.read_bytes

    def shortened(file: Path) -> bytes:
        content = read(file)
        return content[: int(share * len(content))] if file.name == "python.tar" else content

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", shortened)
        with pytest.raises(KpiError, match=r"^Python can't be brought to bare:machine: .*(?i:eof|ended|truncated)"):
            bring(bare, system, log, print)
    assert brought(bare) == []
    bring(bare, system, log, print)
    assert len(brought(bare)) == 1


def test_a_disk_that_is_full_is_said(bare: Bare, system: Path) -> None:
    full = bare.folder / "bin" / "tar"
    tar = full.readlink()
    full.unlink()
    full.write_text(f'#!/bin/sh\nulimit -f 1\nexec {tar} "$@"\n', encoding="ascii")
    full.chmod(0o755)
    with pytest.raises(KpiError, match=r"^Python can't be brought to bare:machine: "):
        bring(bare, system, bare.folder / "log", print)
    assert brought(bare) == []


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_a_compressed_archive_gives_the_same(system: Path, tmp_path: Path, mode: str) -> None:
    packed, level = tmp_path / "packed", {"preset": 0} if mode == "w:xz" else {"compresslevel": 1}
    with tarfile.open(system) as whole, tarfile.open(packed, mode, **level) as made:
        for member in whole:
            made.addfile(member, whole.extractfile(member) if member.isreg() else None)
    found = [take(archive, MINORS, tmp_path / f"{number}.tar") for number, archive in enumerate((system, packed))]
    assert found[0].digest == found[1].digest
    assert (found[0].version, found[0].arch) == (VERSION, os.uname().machine)
    with tarfile.open(found[0].file) as opened:
        names = opened.getnames()
    assert names[-1] == WHOLE
    assert f"lib/python{VERSION}/os.py" in names
    assert not [name for name in names if re.search(r"/test/|tkinter|\.pyc$|\.\.", name)]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (("os.py",), "it has no Python in /usr/bin or /usr/local/bin (any of 3.11, 3.12, 3.13, 3.14)"),
        (("libstdc++.so.6", ".so.6.0.30"), "it has no libstdc++.so.6, which the runtimes need"),
        (("x86-64.so.2", "aarch64.so.1"), "it has no glibc for"),
    ],
)
def test_a_system_that_lacks_something_is_refused(tmp_path: Path, without: tuple[str, ...], said: str) -> None:
    archive = linux_system(tmp_path / "system.tar", without=without)
    with pytest.raises(KpiError) as told:
        take(archive, MINORS, tmp_path / "out.tar")
    assert said in told.value.message
    assert told.value.message.startswith(f"{archive}: ")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, system: Path) -> None:
    (tmp_path / "text.tar").write_text("nothing of the sort", encoding="ascii")
    (tmp_path / "cut.tar").write_bytes(system.read_bytes()[: 1 << 20])
    for name, said in (("text.tar", "no archive"), ("cut.tar", "damaged|no Python"), ("none.tar", "No such file")):
        with pytest.raises(KpiError, match=f"{name}: .*(?:{said})"):
            take(tmp_path / name, MINORS, tmp_path / "out.tar")


def test_a_system_for_another_processor_is_refused(bare: Bare, system: Path) -> None:
    uname = bare.folder / "bin" / "uname"
    uname.unlink()
    uname.write_text("#!/bin/sh\necho riscv64\n", encoding="ascii")
    uname.chmod(0o755)
    with pytest.raises(Unavailable, match=r"is a system for \w+, bare:machine is riscv64"):
        bring(bare, system, bare.folder / "log", print)


def test_a_machine_that_does_not_say_its_processor_is_brought_it(bare: Bare, system: Path) -> None:
    (bare.folder / "bin" / "uname").unlink()
    bring(bare, system, bare.folder / "log", print)
    assert len(brought(bare)) == 1


@pytest.mark.parametrize("name", ['a "store"', "a $store", "a `store`", "a\\store"])
def test_a_store_that_a_script_can_not_name_is_refused(bare: Bare, system: Path, name: str) -> None:
    bare.store = name
    with pytest.raises(KpiError, match="a script can't be kept in a folder named") as told:
        bring(bare, system, bare.folder / "log", print)
    assert "KPI_REACH_STORE" in told.value.remedy
    assert not (bare.folder / name).exists()


@pytest.mark.parametrize("name", ["a store", "it's", "%s"])
def test_a_store_may_have_an_odd_name(bare: Bare, system: Path, name: str) -> None:
    bare.store = name
    bring(bare, system, bare.folder / "log", print)
    link = Link(bare, bare.folder / "log")
    try:
        path = environment(link, bare)
        assert link.call("installed", key="one") == {"path": path, "versions": {}}
    finally:
        link.close()


def test_what_a_login_prints_need_not_end_its_line(bare: Bare, system: Path) -> None:
    bring(bare, system, bare.folder / "log", print)
    bare.before = "printf 'Welcome back! '; "
    link = Link(bare, bare.folder / "log")
    link.close()
    assert link.hello["host"] == os.uname().nodename


def test_one_that_was_damaged_there_is_brought_again(bare: Bare, system: Path) -> None:
    log = bare.folder / "log"
    bring(bare, system, log, print)
    there = bare.folder / "store" / "python" / brought(bare)[0]
    shutil.rmtree(there / "lib" / f"python{VERSION}" / "json")
    bring(bare, system, log, print)
    assert len(brought(bare)) == 1
    Link(bare, log).close()
    (there / WHOLE).unlink()  # half removed
    with pytest.raises(Unavailable, match="it has none that is found"):
        Link(bare, log)


def test_what_is_left_of_an_unpacking_is_no_python(bare: Bare, system: Path) -> None:
    bring(bare, system, bare.folder / "log", print)
    left = bare.folder / "store" / "python" / f"{brought(bare)[0]}.77"
    left.mkdir()
    (left / WHOLE).touch()
    link = Link(bare, bare.folder / "log")
    try:
        assert len(link.call("pythons")) == 1
    finally:
        link.close()


def test_an_environment_is_made_again_when_its_python_is_gone(bare: Bare, system: Path, tmp_path: Path) -> None:
    log, other = bare.folder / "log", tmp_path / "other.tar"
    shutil.copy(system, other)
    with tarfile.open(other, "a") as made:
        made.addfile(tarfile.TarInfo(f"usr/local/lib/python{VERSION}/another.py"))
    bring(bare, system, log, print)
    link = Link(bare, log)
    path = environment(link, bare)
    link.close()
    first = bare.folder / "store" / "python" / brought(bare)[0]
    for gone in ("libexec", ""):
        shutil.rmtree(first / gone)
        bring(bare, other, log, print)
        link = Link(bare, log, ["one"])
        try:
            assert "/python/" in link.hello["prefix"]
            assert link.call("installed", key="one") is None
            assert environment(link, bare) == path
        finally:
            link.close()
        link = Link(bare, log, ["one"])
        link.close()
        assert link.hello["prefix"] == path
        other, system = system, other
        first = bare.folder / "store" / "python" / (set(brought(bare)) - {first.name}).pop()


def test_the_one_in_use_is_kept_where_the_store_is_behind_a_link(bare: Bare, system: Path) -> None:
    log = bare.folder / "log"
    (bare.folder / "disk").mkdir()
    (bare.folder / "store").symlink_to("disk")
    bring(bare, system, log, print)
    link = Link(bare, log)
    path = environment(link, bare)
    link.close()
    for folder in (Path(path), bare.folder / "disk" / "python" / brought(bare)[0]):
        os.utime(folder, (1.0, 1.0))
    for _ in range(2):
        link = Link(bare, log, ["one"])
        link.close()
        assert Path(link.hello["prefix"]).name == "one"
    assert len(brought(bare)) == 1


def test_a_system_without_all_of_python_is_named(bare: Bare, tmp_path: Path) -> None:
    system = linux_system(tmp_path / "system.tar", without=(f"_ctypes{EXTENSION_SUFFIXES[0]}",))
    with pytest.raises(KpiError, match="No module named '_ctypes'") as told:
        bring(bare, system, bare.folder / "log", print)
    assert "the whole of Python" in told.value.remedy
    assert brought(bare) == []


def test_nothing_is_left_when_the_shell_there_is_hung_up(bare: Bare, system: Path) -> None:
    found = take(system, MINORS, bare.folder / "python.tar")
    process = bare.start(f"exec sh -c {shlex.quote(_unpack(found))}", bare.folder / "log")
    assert process.stdin is not None
    process.stdin.write(found.file.read_bytes()[: 1 << 20])
    process.stdin.flush()
    while not brought_so_far(bare):
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert brought(bare) == []


def brought_so_far(bare: Bare) -> list[str]:
    folder = bare.folder / "store" / "python"
    return os.listdir(folder) if folder.exists() else []


def environment(link: Link, bare: Bare) -> str:
    """Makes an environment, named one, of pip and nothing else."""
    (made := bare.folder / "wheels").mkdir(exist_ok=True)
    pip = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    shutil.copy(pip, made)
    (made / "requirements.txt").touch()
    path: str = link.call("environment", key="one", wheels=str(made), python=None)
    return path
