"""Reads files in the layout of FlatBuffers without their generated code: fields by their place in the schema."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from harness.core.libraries import require

_FIRST, _SLOT, _WORD = 4, 2, 4
DAMAGED = (struct.error, IndexError, ValueError, TypeError, OverflowError, MemoryError)
"""What reading a damaged file raises: places that lie outside of it, text that is none."""


class FlatTable:
    """One table; ``field`` counts from 0 as the schema lists its fields, a union's type being one before its value.

    Where a field is not there, its default is returned. Raises one of ``DAMAGED`` where the bytes are not what they are
    said to be.
    """

    def __init__(self, content: Any, place: int) -> None:
        self._kinds = require("flatbuffers.number_types", "flatbuffers")
        self._table = require("flatbuffers.table", "flatbuffers").Table(content, place)

    @classmethod
    def root(cls, content: Any) -> FlatTable:
        """The table that the file begins with."""
        return cls(content, int.from_bytes(content[:_WORD], "little"))

    def number(self, field: int, kind: str = "Int32", default: int = 0) -> int:
        """A number of a type as ``flatbuffers`` names it, such as "Uint64"."""
        found = self._table.GetSlot(_FIRST + _SLOT * field, default, getattr(self._kinds, f"{kind}Flags"))
        return int(found)

    def text(self, field: int) -> str:
        """A string."""
        place = self._place(field)
        return self._table.String(place + self._table.Pos).decode("utf-8") if place else ""

    def numbers(self, field: int, kind: str = "Int32") -> list[int]:
        """A list of numbers."""
        flags = getattr(self._kinds, f"{kind}Flags")
        return [int(self._table.Get(flags, at)) for at in self._items(field, flags.bytewidth)]

    def table(self, field: int) -> FlatTable | None:
        """A table, None where there is none."""
        place = self._place(field)
        return self._at(place + self._table.Pos) if place else None

    def tables(self, field: int) -> list[FlatTable]:
        """A list of tables."""
        return [self._at(at) for at in self._items(field, _WORD)]

    def union(self, field: int) -> tuple[int, FlatTable | None]:
        """The type, by its place in the schema from 1 on, and the table; 0 and None where there is none."""
        return self.number(field, "Uint8"), self.table(field + 1)

    def span(self, field: int) -> tuple[int, int]:
        """Where the bytes of a list of bytes begin, and how many there are."""
        place = self._place(field)
        return (self._table.Vector(place), self._table.VectorLen(place)) if place else (0, 0)

    def _place(self, field: int) -> int:
        return int(self._table.Offset(_FIRST + _SLOT * field))

    def _at(self, place: int) -> FlatTable:
        return FlatTable(self._table.Bytes, self._table.Indirect(place))

    def _items(self, field: int, width: int) -> Iterator[int]:
        place = self._place(field)
        if not place:
            return
        count = self._table.VectorLen(place)
        if count * width > len(self._table.Bytes):
            raise ValueError(f"a list of {count} entries is longer than the file")
        first = self._table.Vector(place)
        yield from range(first, first + count * width, width)
