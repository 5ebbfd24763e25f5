"""What a Linux system's archive may be like: links, layouts, damage, with headers alone for programs and libraries."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.core.errors import KpiError
from harness.measure.reach.system_python import LOADER, WHOLE, take

ELF = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\0\x3e\0" + b"\0" * 100
"""What a library for x86_64 begins with."""
OTHER = ELF + b"other"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
SYSTEM = {
    "usr/bin/python3.13": ELF,
    "usr/lib/python3.13/os.py": b"",
    f"{LIBRARIES}/libc.so.6": ELF,
    f"{LIBRARIES}/ld-linux-x86-64.so.2": ELF,
    f"{LIBRARIES}/libstdc++.so.6": ELF,
    f"{LIBRARIES}/libgcc_s.so.1": ELF,
}
TAKEN = {
    "libexec/python3.13",
    LOADER,
    "lib/python3.13/os.py",
    *(f"lib/{name.rpartition('/')[2]}" for name in SYSTEM if name.startswith(LIBRARIES)),
    WHOLE,
}
SOFT, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
Content = bytes | tuple[bytes, str]


def archive(target: Path, files: Mapping[str, Content]) -> Path:
    """Writes an archive of files and of links, which are a kind and a name."""
    with tarfile.open(target, "w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.mode, entry.size = 0o755, len(content)
                made.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content
                made.addfile(entry)
    return target


def taken(folder: Path, file: Path) -> dict[str, bytes]:
    """What is taken from an archive, by name."""
    found = take(file, range(11, 15), folder / "taken.tar")
    assert found.version == "3.13"
    with tarfile.open(found.file) as opened:
        files = {member.name: opened.extractfile(member) for member in opened}
        return {name: file.read() if file else b"" for name, file in files.items()}


def moved(**places: str) -> dict[str, Content]:
    """The system with other folders: the first letters of names, without their slashes, and what is put for them."""
    found: dict[str, Content] = {}
    for name, content in SYSTEM.items():
        old = next((old for old in places if name.replace("/", "_").startswith(old)), "")
        found[places[old] + name[len(old) :] if old else name] = content
    return found


@pytest.mark.parametrize(
    "files",
    [
        {f"./{name}": content for name, content in SYSTEM.items()},
        {f"/{name}": content for name, content in SYSTEM.items()},
        {**SYSTEM, "../../etc/passwd": b"", "usr/lib/python3.13/../../../etc/x.py": b""},
        {**SYSTEM, "usr/bin/python3.13": (SOFT, "/opt/python"), "opt/python": ELF},
        {**SYSTEM, "usr/bin/python3.13": (HARD, "usr/bin/python3"), "usr/bin/python3": ELF},
        {**SYSTEM, "usr/bin/python3.13": (HARD, "usr/bin/p"), "usr/bin/p": (SOFT, "/opt/python"), "opt/python": ELF},
        {**SYSTEM, "usr/lib/python3.13/dangling.py": (HARD, "nothing"), f"{LIBRARIES}/libz.so.1": (HARD, "nothing")},
        {**SYSTEM, "usr/lib/python3.13/a.py": (SOFT, "b.py"), "usr/lib/python3.13/b.py": (SOFT, "a.py")},
        {**moved(usr_lib_python="opt/modules"), "usr/lib/python3.13": (SOFT, "/opt/modules3.13")},
        {**moved(usr_bin="opt/p/bin", usr_lib_python="opt/p/lib/python"), "usr/local": (SOFT, "/opt/p")},
    ],
    ids=["dots", "absolute", "above", "link", "hard", "hard-to-link", "dangling", "loop", "modules", "prefix"],
)  # fmt: skip
def test_links_lead_where_they_lead_in_the_system(tmp_path: Path, files: Mapping[str, Content]) -> None:
    assert set(taken(tmp_path, archive(tmp_path / "system.tar", files))) == TAKEN


def test_usr_need_not_be_merged(tmp_path: Path) -> None:
    files = dict(SYSTEM)
    for name in ("libc.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"):
        files[f"lib/x86_64-linux-gnu/{name}"] = files.pop(f"{LIBRARIES}/{name}")
    assert set(taken(tmp_path, archive(tmp_path / "system.tar", files))) == TAKEN


def test_another_c_library_in_the_system_plays_no_part(tmp_path: Path) -> None:
    other = {f"opt/cross/lib/{name}": OTHER for name in ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6")}
    for files in ({**other, **SYSTEM}, {**SYSTEM, **other}):
        found = taken(tmp_path, archive(tmp_path / "system.tar", files))
        assert set(found) == TAKEN
        assert OTHER not in found.values()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"usr/bin/python3.13": (HARD, "usr/bin/python3.13")}, "it has no Python in"),
        ({"usr/bin/python3.13": (HARD, "usr/bin/nothing")}, "it has no Python in"),
        ({"usr/bin/python3.13": (SOFT, "python3.13")}, "it has no Python in"),
        ({f"{LIBRARIES}/libc.so.6": (tarfile.DIRTYPE, "")}, "it has no libc.so.6 for x86_64"),
        ({f"{LIBRARIES}/ld-linux-x86-64.so.2": b"a script"}, "it has no glibc for x86_64"),
        ({"usr/bin/python3.13": ELF[:4] + b"\x01" + ELF[5:]}, "is not for a processor with 64 bits"),
    ],
)
def test_what_is_not_what_its_name_says_is_refused(tmp_path: Path, changed: Mapping[str, Content], said: str) -> None:
    with pytest.raises(KpiError, match=said):
        taken(tmp_path, archive(tmp_path / "system.tar", {**SYSTEM, **changed}))


def test_layers_of_an_image_are_no_system(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="docker export"):
        taken(tmp_path, archive(tmp_path / "image.tar", {"manifest.json": b"[]", "blobs/sha256/1": b""}))


def test_damage_is_seen_wherever_it_is(tmp_path: Path) -> None:
    whole = archive(tmp_path / "system.tar", {**SYSTEM, "usr/lib/python3.13/last.py": b"last"}).read_bytes()
    assert "lib/python3.13/last.py" in taken(tmp_path, tmp_path / "system.tar")
    header, packed = whole.rindex(b"usr/lib/python3.13/last.py"), lzma.compress(whole)
    middle = len(packed) // 2
    for name, content in (
        ("header", whole[:header] + b"\xff" + whole[header + 1 :]),
        ("cut", whole[:header]),
        ("cut in a header", whole[: header + 100]),
        ("xz", packed[:middle] + bytes(255 - one for one in packed[middle : middle + 8]) + packed[middle + 8 :]),
    ):
        (tmp_path / "damaged.tar").write_bytes(content)
        with pytest.raises(KpiError, match=r"damaged\.tar: no archive that tar wrote.*or damaged \("):
            print(name, taken(tmp_path, tmp_path / "damaged.tar"))  # noqa: T201 - which was not seen


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KpiError, match="it is not a file: write the archive to one"):
        taken(tmp_path, tmp_path / "pipe")
