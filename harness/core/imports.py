"""Follows import statements from file to file, without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path


def closure(root: Path, starts: Iterable[Path], follow: Callable[[Path], bool] = lambda _: True) -> frozenset[Path]:
    """The Python files below ``root`` that importing ``starts`` may run: these, what they import, and so on.

    Only files for which ``follow`` holds are looked into and returned. Imports inside functions count; what is
    imported by a name that is made at run time does not show. A file that can't be parsed imports nothing.
    """
    found: set[Path] = set()
    waiting = [path for path in starts if follow(path)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(other for other in _imported(root, path) if other not in found and follow(other))
    return frozenset(found)


def parsed(path: Path) -> ast.Module:
    """The file's syntax tree, empty when it can't be read or parsed."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _imported(root: Path, path: Path) -> Iterator[Path]:
    package = path.relative_to(root).parent.parts
    try:
        names = _names(path, path.stat().st_mtime_ns)
    except OSError:
        return
    for level, module in names:
        start = package[: len(package) - level + 1] if level else ()
        yield from _files(root, [*start, *module])


@lru_cache(maxsize=2000)
def _names(path: Path, _: int) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """What a file imports: how many folders up, then the dotted name; the last part may be no module but a member."""
    found: dict[tuple[int, tuple[str, ...]], None] = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(((0, tuple(alias.name.split("."))), None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            found.update(((node.level, (*module, alias.name)), None) for alias in node.names)
    return tuple(found)


def _files(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """Every file that importing a dotted name below ``root`` runs."""
    folder = root
    for name in names:
        if (module := folder / f"{name}.py").is_file():
            yield module
            return
        folder /= name
        if not folder.is_dir():
            return
        if (package := folder / "__init__.py").is_file():
            yield package
