"""The store keeps artifacts whole: built once, noticed when damaged, never half written, whoever is killed when."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import harness.build.store
from harness.build.artifact import MANIFEST, Artifact, Damaged, read_artifact, write_manifest
from harness.build.store import Store, default_root, folder_size
from harness.core.errors import KpiError

ROOT = Path(__file__).resolve().parents[2]
KEY = "a" * 64
# Another user of the same store: waits for the file "go", then wants the artifact, which takes a while to build.
USER = """
import sys, time
from pathlib import Path
from harness.build.artifact import write_manifest
from harness.build.store import Store

root, key, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

def build(aside):
    with (root / "builds").open("a") as file:
        file.write("x")
    (aside / "model.bin").write_bytes(b"weights")
    (root / "halfway").touch()
    time.sleep(seconds)
    write_manifest(aside, key, "onnx", {})

store = Store(root / "store")
(root / f"ready-{sys.argv[4]}").touch()
while not (root / "go").exists():
    time.sleep(0.005)
print(store.obtain(key, build).digest)
"""


class Builder:
    """Writes a small artifact, counts how often."""

    def __init__(self, key: str = KEY, content: bytes = b"weights") -> None:
        self.key = key
        self.content = content
        self.calls = 0

    def __call__(self, aside: Path) -> None:
        self.calls += 1
        assert list(aside.iterdir()) == []
        (aside / "data").mkdir()
        (aside / "model.bin").write_bytes(self.content)
        (aside / "data" / "tokens.txt").write_text("a b c")
        write_manifest(aside, self.key, "onnx", {"step": 1})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def user(folder: Path, seconds: float, number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(folder), KEY, str(seconds), str(number)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "building").iterdir())


def test_an_artifact_is_built_once(store: Store) -> None:
    build = Builder()
    assert store.get(KEY) is None
    first, second = store.obtain(KEY, build), store.obtain(KEY, build)
    assert build.calls == 1
    assert first == second == store.get(KEY)
    assert (first.key, first.format, first.notes, first.size) == (KEY, "onnx", {"step": 1}, len(b"weights" + b"a b c"))
    assert first.path == store.path(KEY)
    assert set(first.files) == {"model.bin", "data/tokens.txt"}
    assert leftovers(store) == []


def test_the_same_content_has_the_same_digest_under_any_key(store: Store) -> None:
    other = "b" * 64
    assert store.obtain(KEY, Builder()).digest == store.obtain(other, Builder(other)).digest
    third = "c" * 64
    assert store.obtain(third, Builder(third, b"others!")).digest != store.obtain(KEY, Builder()).digest


@pytest.mark.parametrize("damaged", [False, True], ids=["missing", "damaged"])
def test_processes_that_want_the_same_build_it_once(tmp_path: Path, store: Store, damaged: bool) -> None:  # noqa: FBT001
    if damaged:
        store.obtain(KEY, Builder())
        (store.path(KEY) / "model.bin").unlink()
    users = [user(tmp_path, 0.5, number) for number in range(4)]
    wait_for(lambda: len(list(tmp_path.glob("ready-*"))) == 4)
    (tmp_path / "go").touch()
    answers = [process.communicate(timeout=60) for process in users]
    assert [process.returncode for process in users] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1
    assert (tmp_path / "builds").read_text() == "x"
    assert leftovers(store) == []


def flip(path: Path) -> None:
    (path / "model.bin").write_bytes(b"wEights")


def truncate(path: Path) -> None:
    os.truncate(path / "model.bin", 3)


def remove(path: Path) -> None:
    (path / "data" / "tokens.txt").unlink()


def replace_by_folder(path: Path) -> None:
    (path / "model.bin").unlink()
    (path / "model.bin").mkdir()


@pytest.mark.parametrize("harm", [flip, truncate, remove, replace_by_folder])
def test_a_damaged_artifact_is_noticed_and_rebuilt(store: Store, harm: Callable[[Path], None]) -> None:
    build = Builder()
    before = store.obtain(KEY, build)
    harm(before.path)
    with pytest.raises(Damaged, match=r"model\.bin|tokens\.txt|aaaaaaaaaaaa"):
        read_artifact(before.path)
    after = store.obtain(KEY, build)
    assert build.calls == 2
    assert after.digest == before.digest
    assert (after.path / "model.bin").read_bytes() == b"weights"
    assert leftovers(store) == []


def edit_manifest(artifact: Artifact, **changes: object) -> str:
    data = json.loads((artifact.path / MANIFEST).read_text())
    return json.dumps({**data, **changes})


MANIFESTS: dict[str, Callable[[Artifact], str]] = {
    "empty": lambda _: "",
    "cut": lambda a: edit_manifest(a)[:-20],
    "null": lambda _: "null",
    "list": lambda _: "[]",
    "no keys": lambda _: "{}",
    "files is a list": lambda a: edit_manifest(a, files=[]),
    "files is empty": lambda a: edit_manifest(a, files={}),
    "file is a number": lambda a: edit_manifest(a, files={"model.bin": 7}),
    "file without digest": lambda a: edit_manifest(a, files={"model.bin": {"size": 7, "mtime_ns": 0}}),
    "other digest": lambda a: edit_manifest(a, digest="0" * 64),
    "other key": lambda a: edit_manifest(a, key="b" * 64),
    "other format": lambda a: edit_manifest(a, format="openvino"),
    "other notes": lambda a: edit_manifest(a, notes={"step": 2}),
    "binary": lambda _: "\x00\x01",
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_changed_manifest_is_noticed_and_rebuilt(store: Store, change: Callable[[Artifact], str]) -> None:
    build = Builder()
    before = store.obtain(KEY, build)
    (before.path / MANIFEST).write_text(change(before))
    after = store.obtain(KEY, build)
    assert build.calls == 2
    assert (after.key, after.format, after.digest, after.notes) == (KEY, "onnx", before.digest, {"step": 1})


def test_a_manifest_that_is_gone_is_built_again(store: Store) -> None:
    build = Builder()
    (store.obtain(KEY, build).path / MANIFEST).unlink()
    assert store.get(KEY) is None
    assert store.obtain(KEY, build).digest
    assert build.calls == 2


def test_a_touched_file_is_believed_after_a_second_look(store: Store) -> None:
    build = Builder()
    os.utime(store.obtain(KEY, build).path / "model.bin", (1, 1))
    store.obtain(KEY, build)
    assert build.calls == 1


def test_verify_finds_what_a_quick_look_can_not(store: Store) -> None:
    artifact, other = store.obtain(KEY, Builder()), store.obtain("b" * 64, Builder("b" * 64))
    file = artifact.path / "model.bin"
    times = file.stat()
    flip(artifact.path)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.get(KEY) is not None
    assert [str(damage) for damage in store.verify()] == [
        "model.bin of artifact aaaaaaaaaaaa was changed after it was made"
    ]
    assert store.get(KEY) is None
    assert store.get("b" * 64) == other
    assert store.verify() == []


def test_an_artifact_rebuilt_by_another_process_meanwhile_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The order of events is forced: we find the damage, another process repairs it, then we act on what we found.
    ours, theirs = Builder(), Builder()
    flip(store.obtain(KEY, ours).path)
    damaged: list[Damaged] = []

    def read(path: Path, *, thorough: bool = False) -> Artifact:
        try:
            return read_artifact(path, thorough=thorough)
        except Damaged as error:
            if not damaged:
                damaged.append(error)
                Store(store.root).obtain(KEY, theirs)
            raise

    monkeypatch.setattr(harness.build.store, "read_artifact", read)
    store.obtain(KEY, ours)
    assert len(damaged) == 1
    assert (ours.calls, theirs.calls) == (1, 1)


def test_what_is_flushed_is_open_for_writing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # Windows refuses to flush what is open for reading alone; here the kernel is asked how a file was opened.
    flushed, fsync = [], os.fsync

    def as_on_windows(file: int) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flushed.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", as_on_windows)
    artifact = store.obtain(KEY, Builder())
    assert {(artifact.path / name).stat().st_ino for name in (*artifact.files, MANIFEST)} == set(flushed)


class InUse(PermissionError):
    """As Windows refuses to rename a folder while a process has a file of it open."""

    winerror = 32


@pytest.mark.parametrize("refusals", [1, 3, 100])
def test_a_folder_that_is_in_use_is_moved_a_moment_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    rename, left = Path.rename, [refusals]

    def as_on_windows(source: Path, target: Path) -> Path:
        if left[0]:
            left[0] -= 1
            raise InUse(errno.EACCES, "The process cannot access the file")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", as_on_windows)
    monkeypatch.setattr(harness.build.store, "_PAUSE_S", 0.001)
    if refusals < 20:
        assert store.obtain(KEY, Builder()).digest
        return
    with pytest.raises(KpiError, match="another process has it open") as caught:
        store.obtain(KEY, Builder())
    assert caught.value.remedy == "end what uses it, then run again"
    assert leftovers(store) == []


@pytest.mark.parametrize("error", [KpiError("no"), RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_build_that_fails_leaves_nothing(store: Store, error: BaseException) -> None:
    def build(aside: Path) -> None:
        (aside / "model.bin").write_bytes(b"wei")
        raise error

    with pytest.raises(type(error)):
        store.obtain(KEY, build)
    assert not store.path(KEY).exists()
    assert leftovers(store) == []
    assert store.obtain(KEY, Builder()).digest


def test_a_build_that_writes_nothing_is_no_artifact(store: Store) -> None:
    with pytest.raises(KpiError):
        store.obtain(KEY, lambda _: None)
    with pytest.raises(KpiError, match="left no files"):
        store.obtain(KEY, lambda aside: void(write_manifest(aside, KEY, "onnx", {})))
    assert not store.path(KEY).exists()


def void(_: object) -> None:
    return


def test_a_killed_build_leaves_nothing_under_the_key(tmp_path: Path, store: Store) -> None:
    (tmp_path / "go").touch()
    with user(tmp_path, 600) as killed:
        wait_for((tmp_path / "halfway").exists)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not store.path(KEY).exists()
    assert list(store.artifacts()) == []
    assert store.get(KEY) is None
    build = Builder()
    assert store.obtain(KEY, build).path.is_dir()  # the dead process holds no lock
    assert build.calls == 1


def test_what_a_killed_build_left_is_swept_away_a_day_later(store: Store) -> None:
    old, young = store.root / "building" / "old", store.root / "building" / "young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "model.bin").touch()
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    store.obtain(KEY, Builder())
    assert not old.exists()
    assert young.exists()  # it may be another process's build


def test_prune_removes_the_longest_unused(store: Store) -> None:
    keys = [letter * 64 for letter in "abc"]
    for age, key in enumerate(keys):
        os.utime(store.obtain(key, Builder(key)).path, (1000 + age, 1000 + age))
    store.get(keys[0])  # used again, so that the second is the longest unused
    size = folder_size(store.path(keys[0]))
    assert store.prune(3 * size) == (0, 0)
    assert store.prune(2 * size) == (1, size)
    assert [store.path(key).exists() for key in keys] == [True, False, True]
    assert store.prune(2 * size - 1) == (1, size)
    assert [store.path(key).exists() for key in keys] == [True, False, False]
    assert store.prune(0) == (1, size)
    assert list(store.artifacts()) == []
    assert leftovers(store) == []


def test_prune_counts_cached_data_too(store: Store) -> None:
    artifact = store.obtain(KEY, Builder())
    (store.root / "data" / "images").mkdir()
    (store.root / "data" / "images" / "1.jpg").write_bytes(b"x" * 1000)
    (store.root / "data" / "labels.csv").write_bytes(b"x" * 10)
    for name in ("images", "labels.csv"):
        os.utime(store.root / "data" / name, (1000, 1000))
    removed, freed = store.prune(folder_size(artifact.path))
    assert (removed, freed) == (2, 1010)
    assert store.get(KEY) == artifact


def test_a_place_where_nothing_can_be_written_is_one_line_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KPI_STORE", str(tmp_path / "file" / "sub"))
    assert default_root() == tmp_path / "file" / "sub"
    with pytest.raises(KpiError, match="can't be written") as caught:
        Store()
    assert str(tmp_path / "file" / "sub") in caught.value.message
    assert "KPI_STORE" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_one_line_with_a_remedy(store: Store) -> None:
    def build(aside: Path) -> None:
        (aside / "model.bin").write_bytes(b"wei")
        Path("/dev/full").write_bytes(b"ghts")

    with pytest.raises(KpiError, match="is full") as caught:
        store.obtain(KEY, build)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert "free space" in caught.value.remedy
    assert leftovers(store) == []
    assert store.obtain(KEY, Builder()).digest


def test_a_store_that_can_no_longer_be_written_is_one_line(store: Store) -> None:
    shutil.rmtree(store.root / "building")
    (store.root / "building").touch()
    with pytest.raises(KpiError) as caught:
        store.obtain(KEY, Builder())
    assert "KPI_STORE" in caught.value.remedy
