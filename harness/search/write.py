"""Writes a recipe into ``kpis.toml``; every other byte of the file stays as it is."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.core.files import write_atomically

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def add_recipe(path: Path, workload: str, name: str, table: Mapping[str, Any], comment: str) -> str:
    """Adds ``[workload.WORKLOAD.recipe.NAME]`` and returns the change as a unified diff; empty when it is there.

    It goes behind the last recipe of the workload where that can be told, else to the end of the file. What comes out
    is read again, and must be the old promises with the new recipe. Raises KpiError when that can't be had.
    """
    path = path.resolve()
    text = path.read_bytes().decode("utf-8")
    before = tomllib.loads(text.removeprefix("\ufeff"))
    if name in before["workload"][workload].get("recipe", {}):
        if before["workload"][workload]["recipe"][name] == table:
            return ""
        raise KpiError(f"{path.name}: [workload.{workload}.recipe.{name}] is there already and is another one")
    wanted = tomllib.loads(text.removeprefix("\ufeff"))
    wanted["workload"][workload].setdefault("recipe", {})[name] = dict(table)
    added = render(workload, name, table, comment)
    for place in _places(text, workload):
        after = _inserted(text, place, added)
        try:
            if tomllib.loads(after.removeprefix("\ufeff")) == wanted:
                break
        except tomllib.TOMLDecodeError:
            continue
    else:
        raise KpiError(f"{path.name}: there is no place where the recipe can be added", f"add it by hand:\n{added}")
    try:
        mode = path.stat().st_mode & 0o7777
        write_atomically(path, after)
        path.chmod(mode)
    except OSError as error:
        raise KpiError(f"{path} can't be written: {error.strerror}") from error
    lines = difflib.unified_diff(
        text.splitlines(), after.splitlines(), f"a/{path.name}", f"b/{path.name}", lineterm="", n=2
    )
    return "\n".join(lines) + "\n"


def render(workload: str, name: str, table: Mapping[str, Any], comment: str) -> str:
    """The recipe as TOML, its short tables on one line, as people write them."""
    try:
        import tomlkit
    except ImportError:
        raise KpiError("--write needs tomlkit", "pip install 'kpi-tests[search]'") from None

    def key(*parts: str) -> str:
        return ".".join(tomlkit.key(part).as_string() for part in parts)

    def written(value: Any) -> str:
        if isinstance(value, Mapping):
            return "{ " + ", ".join(f"{key(name)} = {written(item)}" for name, item in value.items()) + " }"
        if isinstance(value, list):
            return f"[{', '.join(map(written, value))}]"
        return str(tomlkit.item(value).as_string())

    def body(values: Mapping[str, Any]) -> str:
        return "".join(f"{key(name)} = {written(value)}\n" for name, value in values.items())

    scenarios = table.get("scenario", {})
    plain = {key: value for key, value in table.items() if key != "scenario"}
    said = "".join(f"# {line}\n" for line in comment.splitlines())
    made = f"{said}[{key('workload', workload, 'recipe', name)}]\n{body(plain)}"
    for scenario, values in scenarios.items():
        made += f"\n[{key('workload', workload, 'recipe', name, 'scenario', scenario)}]\n{body(values)}"
    return made


def _places(text: str, workload: str) -> Iterator[int]:
    """Where the recipe may go: before what follows the workload's last recipe, then the end of the file."""
    own = [
        match.end() for match in _HEADER.finditer(text) if _names(text, match.end(), ("workload", workload, "recipe"))
    ]
    if own:
        rest = [match.start() for match in _HEADER.finditer(text) if match.start() > own[-1]]
        if rest:
            yield _above_comments(text, rest[0])
    yield len(text)


def _names(text: str, start: int, wanted: tuple[str, ...]) -> bool:
    """Whether the header at ``start`` is of a table below ``wanted``."""
    line = text[start:].split("\n", 1)[0].rstrip("\r")
    try:
        made: Any = tomllib.loads(f"[{line}")
    except tomllib.TOMLDecodeError:
        return False
    for part in wanted:
        if not isinstance(made, dict) or part not in made:
            return False
        made = made[part]
    return True


def _above_comments(text: str, place: int) -> int:
    """The comments right above a header belong to it."""
    lines = text[:place].splitlines(keepends=True)
    while lines and lines[-1].lstrip().startswith("#"):
        place -= len(lines.pop())
    # A title such as "# ---- machines ----" is set apart, with an empty line below it.
    while len(lines) > 1 and not lines[-1].strip() and lines[-2].startswith("#"):
        place -= len(lines.pop())
        while lines and lines[-1].startswith("#"):
            place -= len(lines.pop())
    return place


def _inserted(text: str, place: int, added: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    head, tail = text[:place], text[place:]
    above = "" if not head or head.endswith((f"{newline}{newline}", "\n\n")) else newline
    if head and not head.endswith("\n"):
        above = newline * 2
    below = newline if tail else ""
    return f"{head}{above}{added.replace(chr(10), newline)}{below}{tail}"
