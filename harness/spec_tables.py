"""Validates single tables of ``kpis.toml``, gathering what is wrong with them as lines for a person."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness import spec_schema as schema
from harness.errors import suggest

TableT = TypeVar("TableT", bound=schema.Table)


class Tables:
    """Tables of one file; ``problems`` holds a line for each mistake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def say(self, where: str, what: str) -> None:
        line = f"{self.path.name}: {where}: {what}" if where else f"{self.path.name}: {what}"
        self.problems.append("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))

    def table(self, model: type[TableT], data: object, where: str) -> TableT | None:
        """Validates one table; None after its mistakes were told."""
        if not isinstance(data, dict):
            self.say(where, f"must be a table, not {reprlib.repr(data)}")
            return None
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.tell(error, where, list(model.model_fields))
            unknown = {
                str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden" and len(e["loc"]) == 1
            }
            if not unknown:
                return None
        try:
            return model.model_validate({key: value for key, value in data.items() if key not in unknown})
        except ValidationError:
            return None

    def tell(self, error: ValidationError, where: str, keys: list[str]) -> None:
        told = set()
        for problem in error.errors():
            parts = [str(part) for part in problem["loc"]]
            if len(parts) > 1 and parts[-1] in ("str", "list[str]", "dict[str,any]"):
                parts.pop()
            location = ".".join(parts)
            if location in told:
                continue
            told.add(location)
            if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
                self.say(where, suggest(problem["loc"][-1], keys, "key"))
            elif problem["type"] in ("missing", "missing_argument"):
                self.say(where, f'the key "{location}" is missing')
            else:
                message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
                self.say(where, f"{location} = {reprlib.repr(problem['input'])}: {message}"[:400])

    def options(self, cls: Any, data: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Validates the options of a pass, runtime or scenario; returns them with the defaults filled in."""
        adapter = _adapter(cls.Options)
        try:
            plain: dict[str, Any] = adapter.dump_python(adapter.validate_json(_json(data), strict=True), mode="json")
        except ValidationError as error:
            self.tell(error, where, list(cls.Options.__dataclass_fields__))
            return None
        return plain

    def named(
        self, entry: str | Mapping[str, Any], key: str, where: str, kind: str
    ) -> tuple[str | None, dict[str, Any]]:
        """``"onnx"`` or ``{pass = "onnx", opset = 17}`` as a name and the rest; None when the lack of one was said."""
        if isinstance(entry, str):
            return entry, {}
        rest = dict(entry)
        name = rest.pop(key, None)
        if not isinstance(name, str):
            self.say(where, f'a {kind} given as a table needs the key "{key}"')
            return None, rest
        return name, rest


def _json(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(data), default=repr)
    except RecursionError:
        return json.dumps({name: reprlib.repr(value) for name, value in data.items()})


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)
