"""The files that ``kpis.toml`` consists of: itself and those that it includes, and where each table is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import SpecError
from harness.core.own_metrics import OwnMetric, own_metric
from harness.core.registry import Plugin, use
from harness.spec.hints import misspelled_headers
from harness.spec.toml_lines import Place, line_of, table_lines

SHARED = ("machine", "workload", "kpi", "metric")
"""The tables that an included file may hold."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """One file: ``name`` as messages show it, what its ``text`` says as ``data``."""

    path: Path
    name: str
    data: Mapping[str, Any]
    text: str = ""

    @cached_property
    def lines(self) -> Mapping[Place, int]:
        """The lines of its tables and keys; looked for only where there is a mistake to tell."""
        return table_lines(self.text)

    def at(self, place: Sequence[str | int]) -> str:
        """``kpis.toml:12``: the file, with the line of the place where it is known."""
        line = line_of(self.lines, place)
        return f"{self.name}:{line}" if line else self.name


@dataclass(frozen=True, slots=True)
class Sources:
    """All files, the main one first; ``data`` is what they say together."""

    files: tuple[Source, ...]
    data: dict[str, Any]
    places: Mapping[Place, tuple[Source, Place]]
    """Of the tables of included files: where each is."""

    def locate(self, place: Place) -> tuple[Source, Place]:
        """The file in which a place of ``data`` is, and its place there."""
        for count in range(len(place), 0, -1):
            if place[:count] in self.places:
                source, own = self.places[place[:count]]
                return source, (*own, *place[count:])
        return self.files[0], place

    def folder(self, workload: str) -> Path:
        """The folder that a workload's relative paths are meant from: that of its file."""
        return self.locate(("workload", workload))[0].path.parent


def read_sources(path: Path, say: Say) -> Sources:
    """Reads the file and what it includes; ``say`` is told what is wrong with that, a line each.

    Raises SpecError where a file can't be read or is not TOML.
    """
    main = _read(path, path.name)
    included = [_read(file, _shown(file, path)) for file in included_files(path, main.data)]
    merged: dict[str, Any] = dict(main.data)
    places: dict[Place, tuple[Source, Place]] = {}
    for pattern in _unmatched(path, main.data):
        say(f"{main.at(('include',))}: include: {pattern!r} matches no file")
    for source in included:
        for key, value in source.data.items():
            if key not in SHARED:
                allowed = f"{key} is for {path.name} alone; an included file holds {', '.join(SHARED)}"
                say(f"{source.at((key,))}: {allowed}")
            elif key == "kpi" and isinstance(value, list) and isinstance(merged.get(key, []), list):
                first = len(merged.get(key, []))
                merged[key] = [*merged.get(key, []), *value]
                places.update({(key, first + n): (source, (key, n)) for n in range(len(value))})
            elif key != "kpi" and isinstance(value, dict) and isinstance(merged.get(key, {}), dict):
                for name in value.keys() & merged.get(key, {}).keys():
                    other, place = places.get((key, name), (main, (key, name)))
                    say(f"{source.at((key, name))}: [{key}.{name}] is in {other.at(place)} too; keep one of them")
                merged[key] = {**value, **merged.get(key, {})}
                places.update({(key, name): (source, (key, name)) for name in value if (key, name) not in places})
            else:
                say(f"{source.at((key,))}: {key} must be {'an array of tables' if key == 'kpi' else 'a table'}")
    return Sources((main, *included), merged, places)


def included_files(path: Path, data: Mapping[str, Any]) -> list[Path]:
    """The files that ``include`` names, by name; none where it is not a list of patterns."""
    return sorted({file for pattern in _patterns(data) for file in _matches(path, pattern)})


def files_of(path: Path) -> list[Path]:
    """The main file and what it includes, as far as they can be read."""
    return [path, *included_files(path, _readable(path))]


def plugin_folder(path: Path, name: str) -> Path:
    """Where the plug-in of a name is that ``kpis.toml`` at ``path`` names, or would be."""
    return path.parent.resolve() / name


_LOOKED_FOR = (b"plugins", b"include", b"metric", b"\\")
"""What is looked for here; an escape could write it otherwise."""


def use_plugins(path: Path) -> None:
    """Makes the plug-ins known that the file names, for what only reads evidence; mistakes are for a reader to tell."""
    data = _readable(path)
    if not data:
        return
    names = data.get("plugins", [])
    folders = {n: plugin_folder(path, n) for n in names if isinstance(n, str)} if isinstance(names, list) else {}
    found = [Plugin(name, folder) for name, folder in folders.items() if (folder / "__init__.py").is_file()]
    included = ((file, _readable(file)) for file in included_files(path, data))
    use(found, [own for file, its in ((path, data), *included) for own in _own_metrics(file, its)])


def _own_metrics(file: Path, data: Mapping[str, Any]) -> Iterator[OwnMetric]:
    """The metrics of one's own in a file, as far as their tables are what they must be."""
    tables = data.get("metric", {})
    for name, table in tables.items() if isinstance(tables, dict) else ():
        with suppress(ValueError, AttributeError, TypeError):
            yield own_metric(name, table, file.parent.resolve())


def _readable(path: Path) -> Mapping[str, Any]:
    """What a file says; nothing where it can't be read, which is for a reader to tell."""
    try:
        text = path.read_bytes()
        # A large file takes a second to parse.
        return tomllib.loads(text.decode("utf-8-sig")) if any(word in text for word in _LOOKED_FOR) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _patterns(data: Mapping[str, Any]) -> list[str]:
    found = data.get("include", [])
    return [pattern for pattern in found if isinstance(pattern, str)] if isinstance(found, list) else []


def _unmatched(path: Path, data: Mapping[str, Any]) -> Iterator[str]:
    return (pattern for pattern in _patterns(data) if not any(_matches(path, pattern)))


def _matches(path: Path, pattern: str) -> Iterator[Path]:
    try:
        found = sorted(path.parent.glob(pattern))
    except (ValueError, NotImplementedError):  # an absolute or empty pattern
        return iter(())
    return (file for file in found if file.is_file() and file.resolve() != path.resolve())


def _shown(file: Path, main: Path) -> str:
    return file.relative_to(main.parent).as_posix() if file.is_relative_to(main.parent) else str(file)


def _read(path: Path, name: str) -> Source:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError([f"{path}: no such file; name one with --kpis FILE"]) from None
    except UnicodeDecodeError as error:
        raise SpecError([f"{name}: not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    except OSError as error:
        raise SpecError([f"{path}: can't be read: {error.strerror}"]) from None
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and what int() says of 5000 digits
        headers = [f"{name}: {said}" for said in misspelled_headers(text, (*SHARED, "measure", "include", "plugins"))]
        raise SpecError([*headers, f"{name}: not valid TOML: {error}"]) from None
    except RecursionError:
        raise SpecError([f"{name}: tables are nested too deep"]) from None
    return Source(path, name, data, text)
