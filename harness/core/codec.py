"""JSON to objects and back, checked by their types: one way for everything that is kept."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from harness.core.numbers import restored, stored

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Compact JSON of dataclasses and plain values, UTF-8."""
    return msgspec.json.encode(value, enc_hook=stored)


def decode(text: bytes | str, wanted: type[T]) -> T:
    """The object that JSON holds; ValueError names the place of what does not fit (``$.targets[3].limit``)."""
    return msgspec.json.decode(text, type=wanted, dec_hook=restored)


def plain(value: object) -> Any:
    """Dictionaries, lists, numbers and text of an object, as JSON holds it."""
    return msgspec.to_builtins(value, enc_hook=stored)


def of_plain(data: object, wanted: type[T]) -> T:
    """The inverse of :func:`plain`; ValueError names the place of what does not fit."""
    return msgspec.convert(data, wanted, dec_hook=restored)


def json_schema(wanted: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a type."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(wanted, schema_hook=_hook)}


def _hook(wanted: type) -> dict[str, Any]:
    from harness.core.numbers import Figure

    if wanted is Figure:
        return {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}, {"type": "null"}]}
    return {"type": "string", "contentEncoding": "base64", "description": "IEEE 754 doubles, little-endian"}
