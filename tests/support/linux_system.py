"""The archive of a Linux system, laid out as Debian's: this machine's own Python, and what it is linked to."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_LINKED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


def linux_system(target: Path, mode: str = "w", without: tuple[str, ...] = ()) -> Path:
    """Writes the archive; files whose names end with one of ``without`` are left out."""
    prefix, triplet = Path(sys.base_prefix), f"usr/lib/{os.uname().machine}-linux-gnu"
    program = (prefix / "bin" / f"python{VERSION}").resolve()
    library = prefix / "lib" / f"python{VERSION}"
    modules = [file for file in sorted(library.glob("lib-dynload/*.so")) if "_tkinter" not in file.name]
    linked = _linked([program, *modules, _onnxruntime()])
    with tarfile.open(target, mode) as made:

        def add(file: Path, name: str) -> None:
            if not file.name.endswith(without):
                made.add(file, name, recursive=False)

        add(program, f"./usr/local/bin/python{VERSION}")
        _link(made, "./lib", "usr/lib")
        _link(made, "./lib64", "/usr/lib64")
        for file in sorted(path for path in library.rglob("*") if path.is_file()):
            inside = file.relative_to(library)
            large = {"site-packages", "test"} & set(inside.parts[:-2]) or inside.parts[0].startswith("config-")
            if not large:
                add(file, f"./usr/local/lib/python{VERSION}/{inside}")
        for path in linked:
            file = path.resolve()
            add(file, f"./{triplet}/{file.name}")
            if path.name != file.name and not path.name.endswith(without):
                _link(made, f"./{triplet}/{path.name}", file.name)
            if path.name.startswith("ld-linux"):
                _link(made, f"./usr/lib64/{path.name}", f"../../lib/{Path(triplet).name}/{path.name}")
    return target


def _onnxruntime() -> Path:
    found = importlib.util.find_spec("onnxruntime")
    assert found is not None
    assert found.origin is not None
    return next(Path(found.origin).parent.glob("capi/onnxruntime_pybind11_state*.so"))


def _linked(files: list[Path]) -> list[Path]:
    """The libraries that programs and libraries load here, and the loader."""
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=True).stdout
    found = {Path(path).name: Path(path) for path in _LINKED.findall(said)}
    return [found[name] for name in sorted(found)]


def _link(made: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    made.addfile(entry)
