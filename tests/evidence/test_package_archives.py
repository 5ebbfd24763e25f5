"""Archives that were made to do harm: what is in them is read one way, within its limits, or not at all."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import KpiError
from harness.evidence.package.verifying import verify
from tests.evidence.test_package_verify import MODEL, differences, folder

pytestmark = pytest.mark.suite  # each starts from a run that proved a KPI

__all__ = ["folder"]


def zipped(folder: Path, *extra: tuple[zipfile.ZipInfo, bytes]) -> Path:
    out = folder.parent / "made.zip"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ["package.json", *(name for name in names if name != "package.json")]:
            archive.write(folder / name, name)
        for entry, content in extra:
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out


def tarred(folder: Path, *extra: tuple[tarfile.TarInfo, bytes]) -> Path:
    out = folder.parent / "made.tar.gz"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    with tarfile.open(out, "w:gz") as archive:
        for name in ["package.json", *(name for name in names if name != "package.json")]:
            archive.add(folder / name, name)
        for entry, content in extra:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry


def zip_entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


def test_archives_that_others_made_are_read_as_well(folder: Path) -> None:
    assert differences(zipped(folder)) == []
    assert differences(tarred(folder)) == []


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("../../evil", 0o100644, "../../evil: has a name that leads out of the package"),
        ("/etc/evil", 0o100644, "/etc/evil: has a name that leads out of the package"),
        ("artifact/more", 0o100644, "artifact/more: was added"),
        ("artifact/link", 0o120777, "artifact/link: is a link"),
        ("artifact/pipe", 0o010644, "artifact/pipe: is not a plain file"),
        (MODEL, 0o100644, f"{MODEL}: is there twice"),
        ("n" * 60_000, 0o100644, "has a name that is too long"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_more_in_it(folder: Path, name: str, mode: int, said: str) -> None:
    found = differences(zipped(folder, (zip_entry(name, mode), b"/etc/passwd")))
    assert any(said in line for line in found), found
    assert all(len(line) < 400 for line in found)
    assert not (folder.parent.parent / "evil").exists()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (tar_entry("../evil"), "../evil: has a name that leads out of the package"),
        (tar_entry("artifact/more"), "artifact/more: was added"),
        (tar_entry("link", tarfile.SYMTYPE, "/etc/passwd"), "link: is a link"),
        (tar_entry("hard", tarfile.LNKTYPE, "package.json"), "hard: is a link"),
        (tar_entry("device", tarfile.CHRTYPE), "device: is not a plain file"),
        (tar_entry("dir", tarfile.DIRTYPE), "dir: is not a plain file"),
        (tar_entry(MODEL), f"{MODEL}: is there twice"),
        (tar_entry("n" * 60_000), "has a name that is too long"),
    ],
)
def test_a_tar_with_more_in_it(folder: Path, entry: tarfile.TarInfo, said: str) -> None:
    found = differences(tarred(folder, (entry, b"")))
    assert any(said in line for line in found), found


@pytest.mark.parametrize("listed", [False, True])
def test_a_zip_that_unfolds_to_a_thousand_times_its_size_is_not_read(folder: Path, listed: bool) -> None:  # noqa: FBT001
    name = MODEL if listed else "artifact/bomb"
    if listed:
        (folder / MODEL).unlink()
    path = zipped(folder, (zip_entry(name), b"\0" * (1 << 28)))
    tracemalloc.start()
    found = differences(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any(line.startswith(f"{name}: ") for line in found)
    assert peak < 32 << 20


def test_a_tar_that_unfolds_to_more_than_it_lists_is_not_read(folder: Path) -> None:
    path = tarred(folder)
    with gzip.open(path) as file:
        whole = file.read()
    for start in (whole.rstrip(b"\0"), b""):
        # What follows is an entry as large as its header says, or no archive at all.
        header = tar_entry("bomb")
        header.size = 4 << 30
        with gzip.open(path, "wb") as file:
            file.write(start + bytes(-len(start) % 512) + header.tobuf())
            for _ in range(64):
                file.write(b"\0" * (1 << 20))
        tracemalloc.start()
        with pytest.raises(KpiError):
            verify(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 << 20


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_an_archive_that_was_cut_off_is_noticed(folder: Path, make: Callable[[Path], Path], keep: float) -> None:
    path = make(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(KpiError):
        verify(path)


def test_a_byte_that_flipped_is_noticed_wherever_it_is(folder: Path) -> None:
    path = zipped(folder)
    content = path.read_bytes()
    for at in range(40, len(content), len(content) // 23):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            found = verify(path)
        except KpiError:
            continue
        # What no reader looks at, such as a file's time, may flip.
        if not found.differences:
            assert found.digest


def test_a_file_that_is_a_zip_and_a_tar_in_one_is_refused(folder: Path) -> None:
    good = zipped(folder).read_bytes()
    (folder / MODEL).write_bytes(b"another model")
    bad = tarred(folder).read_bytes()
    both = folder.parent / "both.tar.gz"
    both.write_bytes(bad + good)  # tar reads its beginning, unzip its end
    with pytest.raises(KpiError, match="can't be read"):
        verify(both)


def test_a_zip_holds_nothing_between_what_it_lists(folder: Path) -> None:
    path = zipped(folder, (zip_entry("artifact/hidden"), b"seen by those who read from the beginning"))
    with zipfile.ZipFile(path, "a") as archive:
        hidden = archive.filelist.pop()  # from the list at the end alone
        assert hidden.filename == "artifact/hidden"
        archive._didModify = True
    assert "artifact/hidden" not in zipfile.ZipFile(path).namelist()
    with pytest.raises(KpiError, match="it holds more than it lists"):
        verify(path)


def test_a_tar_holds_nothing_behind_its_end(folder: Path) -> None:
    path = tarred(folder)
    more = io.BytesIO()
    with tarfile.open(fileobj=more, mode="w") as archive:
        entry = tar_entry(MODEL)
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    for ending in (gzip.compress(more.getvalue()), gzip.compress(b"x")):
        content = path.read_bytes()
        path.write_bytes(content + ending)
        with pytest.raises(KpiError, match="it holds more behind its end"):
            verify(path)
        path.write_bytes(content + gzip.compress(bytes(4096)))
        assert differences(path) == []
        path.write_bytes(content)
