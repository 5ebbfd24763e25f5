"""What is kept on a machine that is reached: by content, whole or absent, and removed when its owner is gone."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.measure.reach.link import _command, _send_program
from harness.measure.reach.pinned import requirement_file
from harness.measure.reach.ssh import Ssh
from harness.measure.reach.there.files import Files, hold
from harness.measure.reach.there.wire import Gone, Wire
from tests.support.project import ROOT


def pieces(*given: bytes) -> Callable[[], bytes]:
    left = list(given)
    return lambda: left.pop(0) if left else b""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert files.missing({digest(b"ab"): 2, digest(b"c"): 1}) == [digest(b"ab"), digest(b"c")]
    files.put(digest(b"ab"), pieces(b"a", b"b"))
    assert files.missing({digest(b"ab"): 2, digest(b"c"): 1}) == [digest(b"c")]
    assert Files(tmp_path).missing({digest(b"ab"): 2}) == []


def test_a_content_with_another_digest_is_refused_and_read_to_its_end(tmp_path: Path) -> None:
    files, rest = Files(tmp_path), pieces(b"a", b"x")
    with pytest.raises(ValueError, match="came with the digest"):
        files.put(digest(b"ab"), rest)
    assert rest() == b""
    assert files.missing({digest(b"ab"): 2}) == [digest(b"ab")]
    assert list((tmp_path / "work").iterdir()) == []


def test_what_was_damaged_is_sent_again_and_its_folder_made_again(tmp_path: Path) -> None:
    files, key = Files(tmp_path), digest(b"ab")
    files.put(key, pieces(b"ab"))
    tree = Path(files.tree("t", {"folder/one.txt": key}))
    assert (tree / "folder/one.txt").read_bytes() == b"ab"
    stored = tmp_path / "files" / key
    stored.chmod(0o644)
    stored.write_bytes(b"xy")  # the same size, through a link the folder's too
    later = Files(tmp_path)
    assert later.missing({key: 2}) == [key]
    later.put(key, pieces(b"ab"))
    assert (Path(later.tree("t", {"folder/one.txt": key})) / "folder/one.txt").read_bytes() == b"ab"


def test_a_folder_that_another_agent_uses_is_not_taken_away(tmp_path: Path) -> None:
    names = {f"{number}.py": digest(str(number).encode()) for number in range(30)}
    for turn in range(20):
        start, gone = threading.Barrier(3), []

        def send(files: Files, key: str, start: threading.Barrier, gone: list[OSError]) -> None:
            start.wait()
            for number, content in enumerate(names.values()):
                files.put(content, pieces(str(number).encode()))
            folder = Path(files.tree(key, names))
            try:
                for _ in range(20):
                    assert [(folder / name).read_text("ascii") for name in names] == list(map(str, range(30)))
            except OSError as error:
                gone.append(error)

        agents = [Files(tmp_path) for _ in range(3)]
        assert all(len(files.missing({names["0.py"]: 1})) == (not turn) for files in agents)
        threads = [threading.Thread(target=send, args=(files, f"{turn}", start, gone)) for files in agents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert gone == []
    assert list((tmp_path / "work").iterdir()) == []


def test_only_what_belongs_to_nobody_alive_is_swept(tmp_path: Path) -> None:
    files = Files(tmp_path)
    kept, left, old = (tmp_path / "work" / name for name in ("kept", "left", "old"))
    for folder in (kept, left):
        folder.mkdir()
        (folder / "alive").touch()
    held = hold(kept)
    old.write_bytes(b"half a file")
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    files.sweep()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["kept"]
    assert held is not None


def test_runs_that_judged_are_counted_once_each_whoever_asks(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert files.tried("a", "mine") == {}
    for key, run, verdict in (("a", "one", "PASS"), ("a", "one", "FAIL"), ("a", "two", "PASS"), ("b", "two", "PASS")):
        files.judged(key, run, verdict)
    files.judged("a", "mine", "INCONCLUSIVE")
    assert (files.tried("a", "mine"), files.tried("b", "mine")) == ({"FAIL": 1, "PASS": 1}, {"PASS": 1})
    assert files.tried("c", "mine") == {}
    Files(tmp_path).sweep()
    assert sum(Files(tmp_path).tried("a", "another").values()) == 3


@pytest.mark.parametrize("damage", [b"a four FA", b"a four", b"\xff\x00\xfe", b"a\n", b"a zero\x85PASS"])
def test_a_damaged_line_hides_no_attempt_after_it(tmp_path: Path, damage: bytes) -> None:
    files = Files(tmp_path)
    files.judged("a", "one", "FAIL")
    with (tmp_path / "judged").open("ab") as file:
        file.write(damage)
    files.judged("a", "two", "FAIL")
    files.judged("a", "three", "PASS")
    found = files.tried("a", "mine")
    assert (found["FAIL"], found["PASS"]) == (2, 1)


def test_a_full_disk_that_keeps_half_a_line_is_told(tmp_path: Path) -> None:
    kept, limits = tmp_path / "judged", resource.getrlimit(resource.RLIMIT_FSIZE)
    files = Files(tmp_path)
    files.judged("a", "one", "FAIL")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept.stat().st_size + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            files.judged("a", "two", "FAIL")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    files.judged("a", "three", "PASS")
    assert files.tried("a", "mine") == {"FAIL": 1, "PASS": 1}


def prefix(store: Path) -> str:
    """Of which environment an agent's Python is that is started for this store."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _command(["one", "two"])],
        env={**os.environ, "KPI_REACH_STORE": str(store)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        _send_program(process.stdin.fileno())
        hello = json.loads(process.stdout.readline())
        process.stdin.close()
    return Path(hello["prefix"]).name


def test_an_environment_that_was_half_made_is_not_taken_for_one(tmp_path: Path) -> None:
    made = tmp_path / "env/two"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    assert prefix(tmp_path) != "two"
    (made / "complete").touch()
    assert prefix(tmp_path) == "two"


def test_an_environment_is_made_by_one_agent_at_a_time(tmp_path: Path) -> None:
    told, first, order = threading.Event(), Files(tmp_path), list[str]()

    def second() -> None:
        with Files(tmp_path).making("key", lambda _: told.set()):
            order.append("second")

    thread = threading.Thread(target=second)
    with first.making("key", pytest.fail):
        thread.start()
        assert told.wait(10)
        order.append("first")
    thread.join()
    with first.making("other", pytest.fail), first.making("key", pytest.fail):
        assert order == ["first", "second"]


def test_a_silent_caller_is_taken_for_gone() -> None:
    source, target = os.pipe()
    wire = Wire(source, target, 0.1)
    wire.send({"op": "beat"})
    assert wire.message() == {"op": "beat"}
    with pytest.raises(Gone, match=r"nothing was heard for 0 s"):
        wire.message()
    os.write(target, b"Welcome!\n")
    with pytest.raises(Gone, match="not a message: b'Welcome!'"):
        wire.message()


def test_a_file_follows_its_line(tmp_path: Path) -> None:
    source, target = os.pipe()
    wire = Wire(source, target, 5)
    file = tmp_path / "file"
    file.write_bytes(b"\n{}\n" * 100)
    wire.send({"id": 1}, file)
    wire.send({"id": 2})
    message = wire.message()
    take, found = wire.pieces(message["bytes"]), b""
    while piece := take():
        found += piece
    assert found == file.read_bytes()
    assert wire.message() == {"id": 2}


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_a_board_gets_the_versions_that_are_used_here(arch: str) -> None:
    ours = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    theirs = [line for line in requirement_file(arch, ROOT).read_text(encoding="utf-8").splitlines() if "==" in line]
    assert [line for line in theirs if line not in ours and not line.startswith("pip==")] == []


def test_an_architecture_without_a_requirement_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match='unknown architecture "armv7l"') as told:
        requirement_file("armv7l", tmp_path)
    assert "environments/reach-armv7l.txt" in told.value.remedy
    (tmp_path / "environments").mkdir()
    own = tmp_path / "environments/reach-armv7l.txt"
    own.touch()
    assert requirement_file("armv7l", tmp_path) == own


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "pi@board;reboot", "$(x)"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        Ssh.check(address)


@pytest.mark.parametrize("address", ["board-7", "pi@board-7.local", "pi@10.0.0.7", "root@fe80::1%eth0"])
def test_addresses(address: str) -> None:
    Ssh.check(address)
