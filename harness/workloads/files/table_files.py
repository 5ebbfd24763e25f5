"""Reads files of tables, CSV and Parquet, by pyarrow: the names of the columns, then all cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable, reason, shortened
from harness.core.libraries import require

PARQUET = ".parquet"
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BLOCK = 1 << 26
"""Bytes that are parsed at a time; a row must fit in."""
_SHOWN = 60


class TableFile(ABC):
    """A file that holds a table; ``names`` are those of its columns, in their order, each there once."""

    names: list[str]

    @abstractmethod
    def read(self) -> Any:
        """All of it, a pyarrow.Table. Raises KpiError, with the row, where that can't be."""


def open_table(file: Path, delimiter: str | None = None) -> TableFile:
    """Opens a file by how its name ends; ``delimiter`` divides the columns of text.

    Raises KpiError where columns have no names, or it is no such file; Unavailable where it or pyarrow is not here.
    """
    if not file.is_file():
        raise Unavailable(f"data {file} is not here", "check its path")
    if file.suffix.lower() != PARQUET:
        return _Csv(file, delimiter or ("\t" if file.suffix.lower() == ".tsv" else ","))
    if delimiter is not None:
        raise KpiError(f"{file.name} says itself what its columns are", "leave out delimiter")
    return _Parquet(file)


def guessed_delimiter(file: Path) -> str | None:
    """What divides the columns by the first line of a file; None where it is the usual, or that can't be told."""
    if file.suffix.lower() == PARQUET or not file.is_file():
        return None
    with file.open("rb") as opened:
        first = opened.readline(_BLOCK).decode("utf-8", "replace")
    there = [one for one in _DELIMITERS if one in first]
    usual = "\t" if file.suffix.lower() == ".tsv" else ","
    return there[0] if len(there) == 1 and there[0] != usual else None


class _Parquet(TableFile):
    """A Parquet file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._library = require("pyarrow.parquet", "pyarrow")
        self.names = list(self._tried(lambda: self._library.read_schema(file)).names)
        _check_names(file.name, self.names)

    def read(self) -> Any:
        return self._tried(lambda: self._library.read_table(self._file))

    def _tried(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            raise KpiError(
                f"{self._file.name} can't be read: {reason(error)}", "is it truncated, or of another format?"
            ) from error


class _Csv(TableFile):
    """A CSV file; its cells are read as text, empty ones as nulls."""

    def __init__(self, file: Path, delimiter: str) -> None:
        self._name = file.name
        self._delimiter = delimiter
        self._library = require("pyarrow.csv", "pyarrow")
        self._odd: list[Any] = []
        self._text = self._decoded(file)
        with self._tried(lambda: self._library.open_csv(self._buffer(), self._reading(), self._parsing())) as reader:
            self._written = list(reader.schema.names)
        self.names = [name.strip() for name in self._written]
        self._check_delimiter()
        if 2 * sum(map(_is_number, self.names)) > len(self.names):
            raise KpiError(
                f"{self._name} begins with numbers ({shortened(', '.join(self.names), _SHOWN)}), not with the names of "
                "its columns",
                "write the names into its first row",
            )
        _check_names(self._name, self.names)

    def read(self) -> Any:
        pa = require("pyarrow")
        convert = self._library.ConvertOptions(
            column_types=dict.fromkeys(self._written, pa.string()), strings_can_be_null=True, null_values=[""]
        )
        return self._tried(lambda: self._library.read_csv(self._buffer(), self._reading(), self._parsing(), convert))

    def _buffer(self) -> Any:
        return require("pyarrow").BufferReader(self._text)

    def _reading(self) -> Any:
        return self._library.ReadOptions(use_threads=False, block_size=_BLOCK)

    def _parsing(self) -> Any:
        def odd(row: Any) -> str:
            self._odd.append(row)
            return "error"

        return self._library.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=odd)

    def _decoded(self, file: Path) -> bytes:
        text = file.read_bytes()
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise KpiError(f"{self._name} is UTF-16, as spreadsheets write it", "save it as CSV in UTF-8")
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise KpiError(
                f"{self._name} is not UTF-8: byte {error.start}, in line {line}", "save it as UTF-8"
            ) from error
        if not text.strip():
            raise KpiError(f"{self._name} is empty", "write the names of the columns, then a row for each sample")
        return text

    def _tried(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            if not self._odd:
                raise KpiError(f"{self._name} can't be read: {reason(error)}", "is it a CSV file?") from error
            row = self._odd[0]
            raise KpiError(
                f"{self._name}, row {row.number - 1}: has {row.actual_columns} cells, the header has "
                f"{row.expected_columns}: {shortened(' '.join(row.text.split()), _SHOWN)}",
                'put a cell that holds the delimiter, a line break or a " into "", and write such a " twice',
            ) from error

    def _check_delimiter(self) -> None:
        """Raises KpiError where there is one column whose name holds what divides columns elsewhere."""
        other = next((one for one in _DELIMITERS if one in self._written[0] and len(self._written) == 1), None)
        if other is not None:
            written = {"\t": "\\t"}.get(other, other)
            raise KpiError(
                f'{self._name} has one column, "{shortened(self.names[0], _SHOWN)}": it seems to be divided by '
                f"{_DELIMITERS[other]}",
                f'say so: data = {{ file = "{self._name}", delimiter = "{written}" }}',
            )


def _check_names(name: str, names: list[str]) -> None:
    """Raises KpiError where a column has no name, or two have the same."""
    for place, column in enumerate(names, 1):
        if not column.strip():
            raise KpiError(
                f"{name}: column {place} has no name",
                "name it or leave it out; pandas writes its index so: to_csv(..., index=False)",
            )
        if names.count(column) > 1:
            raise KpiError(f'{name} has the column "{column}" twice', "rename one of them")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
