"""What a machine is sent: folders of files by their digests, of which it gets those that it lacks."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import harness
from harness.build.artifact import MANIFEST
from harness.core.imports import closure
from harness.core.registry import foreign_folders
from harness.measure.reach.link import Link, Say
from harness.workloads.checkpoint import file_digest, remembered_digest

_LEFT_OUT = frozenset({"__pycache__", ".git", ".kpi"})
_SAY_S = 2.0


@dataclass(frozen=True)
class Parcel:
    """A folder to be: by relative name the digest, the size in bytes, and the file here."""

    files: Mapping[str, tuple[str, int, Path]]

    @property
    def key(self) -> str:
        """The same for the same names and contents."""
        named = {name: digest for name, (digest, _, _) in self.files.items()}
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def send(self, link: Link, say: Say) -> str:
        """The path of the folder there; files are sent that are not there yet."""
        missing = set(link.call("missing", sizes={digest: size for digest, size, _ in self.files.values()}))
        waiting = sum(size for digest, size, _ in self.files.values() if digest in missing)
        told = time.monotonic() - 2 * _SAY_S
        for digest, size, file in self.files.values():
            if digest in missing:
                if time.monotonic() - told > _SAY_S:
                    say(f"sending {waiting / 1e6:.1f} MB")
                    told = time.monotonic()
                link.put(digest, file)
                missing.discard(digest)
                waiting -= size
        path: str = link.call("tree", key=self.key, names={name: found[0] for name, found in self.files.items()})
        return path


def of_files(files: Mapping[str, Path]) -> Parcel:
    """Files under names of their own."""
    return Parcel({name: _entry(file) for name, file in files.items()})


def of_artifact(folder: Path) -> Parcel:
    """An artifact of the store: its manifest says what the files hold."""
    listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    files = {name: (entry["sha256"], int(entry["size"]), folder / name) for name, entry in listed.items()}
    return Parcel({**files, MANIFEST: _entry(folder / MANIFEST)})


@cache
def of_harness() -> Parcel:
    """The harness's own source."""
    home = Path(harness.__file__).resolve().parent
    return of_files({file.relative_to(home.parent).as_posix(): file for file in _below(home, "*.py")})


def of_plugins() -> dict[str, Parcel]:
    """The packages of the plug-ins that are not the harness's own, by name."""
    return {
        name: of_files({file.relative_to(folder).as_posix(): file for file in _below(folder)})
        for name, folder in foreign_folders().items()
    }


def of_workload(root: Path, fixture: str, settings: Mapping[str, Any]) -> tuple[Parcel, dict[str, Any]]:
    """All that loading a workload reads, at the paths that it has here; ``settings`` with paths from that folder on.

    ``{tree}`` is the place of the folder in these paths.
    """
    cache_folder, found = Path(settings["cache"]), set(_named(settings))
    found |= set(_pictures(settings))
    files = {file for path in found if path != cache_folder for file in ([path] if path.is_file() else _below(path))}
    if fixture:
        home = root.joinpath(*fixture.split("."))
        own = list(_below(home)) if home.is_dir() else [home.with_suffix(".py")]
        files |= {*own, *closure(root, [file for file in own if file.suffix == ".py"])}
        files |= {
            top for folder in home.parents if folder.is_relative_to(root) if (top := folder / "__init__.py").is_file()
        }
    entries = {file.as_posix().lstrip("/"): _entry(file, cache_folder) for file in sorted(files)}
    return Parcel(entries), _moved(settings, found - {cache_folder})


def _named(value: object) -> Iterator[Path]:
    """The absolute paths of what is there, anywhere in settings."""
    if isinstance(value, str) and value.startswith("/") and Path(value).exists():
        yield Path(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def _pictures(settings: Mapping[str, Any]) -> Iterator[Path]:
    """The folder of the pictures that a file of data names, which is told from that file on."""
    data = settings.get("data_files") or {}
    if data.get("pictures"):
        for file in filter(None, (data.get("whole"), *(data.get("splits") or {}).values())):
            yield (Path(file).parent / data["pictures"]).resolve()


def _moved(value: Any, paths: set[Path]) -> Any:
    if isinstance(value, str) and value.startswith("/") and Path(value) in paths:
        return f"{{tree}}{value}"
    if isinstance(value, Mapping):
        return {key: _moved(inner, paths) for key, inner in value.items()}
    return [_moved(inner, paths) for inner in value] if isinstance(value, list) else value


def _below(folder: Path, pattern: str = "*") -> Iterable[Path]:
    return sorted(
        file for file in folder.rglob(pattern) if file.is_file() and not _LEFT_OUT & set(file.relative_to(folder).parts)
    )


def _entry(file: Path, cache_folder: Path | None = None) -> tuple[str, int, Path]:
    digest = remembered_digest(file, cache_folder) if cache_folder else file_digest(file)
    return digest, file.stat().st_size, file
