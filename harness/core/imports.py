"""Follows import statements from file to file, without importing anything."""

from __future__ import annotations

import ast
import hashlib
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)
_STARTS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
_ENDS = tuple(tokenize.tok_name[kind] for kind in _STARTS)


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


def code_digest(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the code of files below ``root``: comments, docstrings and layout do not change it."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
        digest.update(_code(file, file.stat().st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=2000)
def _code(file: Path, _: int) -> bytes:
    """The tokens of a file that Python runs, one a line; the file as it is where it is not Python."""
    content = file.read_bytes()
    try:
        tokens = [t for t in tokenize.tokenize(BytesIO(content).readline) if t.type not in _LAYOUT]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return content
    kept: list[str] = []
    starts = True
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        skipped = token.type == tokenize.STRING and starts and after is not None and after.type == tokenize.NEWLINE
        starts = token.type in _STARTS
        if skipped or (token.type == tokenize.NEWLINE and (not kept or kept[-1] in _ENDS)):
            continue  # a docstring, and the end of its line
        # The spaces of an indent may be any; that it is one counts.
        kept.append(tokenize.tok_name[token.type] if token.type in _STARTS else token.string)
    return "\n".join(kept).encode()
