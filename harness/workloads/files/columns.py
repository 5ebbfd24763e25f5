"""The columns of a table as numbers, names or labels, and what is wrong in which row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, shortened, suggest
from harness.core.libraries import require
from harness.workloads.files.table_files import open_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_SHOWN, _LISTED = 60, 8
_EMPTY = "fill it or leave the row out"


def header(file: Path, delimiter: str | None = None) -> list[str]:
    """The names of the columns, in order. Raises KpiError and Unavailable as ``open_table`` does."""
    return open_table(file, delimiter).names


class Table:
    """The columns of one file, by name and in its order. Rows are counted from 1, after the header.

    Raises KpiError, with row and column, for what can't be read; Unavailable where the file or pyarrow is not here.
    """

    def __init__(self, file: Path, delimiter: str | None = None) -> None:
        opened = open_table(file, delimiter)
        self.name = file.name
        self.names = opened.names
        self._table = opened.read()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __contains__(self, column: str) -> bool:
        return column in self.names

    def require(self, column: str) -> None:
        """Raises KpiError, with the nearest name, where there is no such column."""
        if column not in self.names:
            raise KpiError(f"{self.name}: {suggest(column, self.names, 'column')}", "correct its name in kpis.toml")

    def numbers(self, column: str, dtype: str, *, missing: bool = False) -> Array:
        """A column as numbers of a type, (rows,), or (rows, k) where each cell is a list of k.

        Floating point is rounded to the type; any other change of a number is a KpiError. So are empty cells, unless
        ``missing`` lets them become NaN, and infinite ones.
        """
        import numpy as np

        values, rows = self._flat(column)
        found = self._plain(column, values, rows.at)
        if found.dtype.kind not in "biuf":
            raise self._no_number(column, values, rows.at)
        if (gaps := _gaps(values, found)).any():
            if not (missing and dtype.startswith("float")):
                raise self._missing(column, rows.at(int(gaps.argmax())), dtype)
            found = found.astype("float64")
            found[gaps] = float("nan")
        if found.dtype.kind == "f" and (infinite := np.isinf(found)).any():
            raise KpiError(
                f'{self.name}, row {rows.at(int(infinite.argmax()))}: "{column}" is infinite',
                "repair it or leave it out",
            )
        made, wrong = _as_type(found, dtype)
        wrong &= ~gaps
        if wrong.any():
            place = int(wrong.argmax())
            raise KpiError(
                f'{self.name}, row {rows.at(place)}: "{column}" is {found[place]}, which {dtype} can\'t hold unchanged',
                "give the values that the model was trained on",
            )
        return made.reshape(rows.shape)

    def matrix(self, columns: Sequence[str], dtype: str, *, missing: bool = False) -> Array:
        """Several columns as one array, (rows, columns)."""
        import numpy as np

        found = [self.numbers(column, dtype, missing=missing) for column in columns]
        for column, array in zip(columns, found, strict=True):
            if array.ndim != 1:
                raise KpiError(f'{self.name}: "{column}" holds lists, each a row of its own', "name it alone")
        return np.stack(found, axis=1)

    def texts(self, column: str) -> list[str]:
        """A column of names, numbers as they are written."""
        library = require("pyarrow.compute", "pyarrow")
        values = self._column(column)
        try:
            found = library.cast(values, "string").to_pylist()
        except Exception as error:
            raise KpiError(f'{self.name}: "{column}" holds {values.type}, which are no names') from error
        for row, text in enumerate(found, 1):
            if text is None:
                raise self._missing(column, row)
        return list(found)

    def class_names(self, column: str) -> tuple[str, ...]:
        """The names in a column of text, each once, in their order; nothing where it holds numbers."""
        values, rows = self._flat(column)
        plain = self._plain(column, values, rows.at)
        return tuple(sorted(set(self.texts(column)))) if plain.dtype.kind in "US" else ()

    def labels(self, column: str, classes: Sequence[str]) -> Array:
        """What is right for each row: whole numbers where all are, else float64; names are their places in ``classes``.

        Raises KpiError for names without ``classes``, and for one that is not among them.
        """
        import numpy as np

        values, rows = self._flat(column)
        found = self._plain(column, values, rows.at)
        if (gaps := _gaps(values, found)).any():
            raise self._missing(column, rows.at(int(gaps.argmax())))
        names = self.texts(column) if classes or found.dtype.kind in "US" else []
        if names and (found.dtype.kind in "US" or set(names) <= set(classes)):
            return self._places(column, names, classes, rows.at)
        whole = found.dtype.kind == "f" and bool((found == np.floor(found)).all()) and bool((abs(found) < 2**53).all())
        made = found.astype(np.int64) if whole or found.dtype.kind in "biu" else found.astype(np.float64)
        beyond = (made < 0) | (made >= len(classes)) if classes else np.zeros(len(made), bool)
        if beyond.any():
            place = int(beyond.argmax())
            raise KpiError(
                f'{self.name}, row {rows.at(place)}: "{column}" is {made[place]}, there are {len(classes)} classes, '
                "counted from 0",
                "correct the cell or the list of the classes",
            )
        return made.reshape(rows.shape)

    def _places(self, column: str, names: Sequence[str], classes: Sequence[str], at: Callable[[int], int]) -> Array:
        import numpy as np

        if not classes:
            there = sorted(set(names))
            listed = ", ".join(f'"{name}"' for name in there[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
            raise KpiError(
                f'{self.name}: "{column}" holds names, and nothing says which numbers they are',
                f"name the classes in the order of the model's outputs: data = {{ file = ..., classes = [{listed}] }}",
            )
        place = {name: number for number, name in enumerate(classes)}
        for row, name in enumerate(names):
            if name not in place:
                raise KpiError(
                    f'{self.name}, row {at(row)}: "{column}": {suggest(name, classes, "class")}',
                    "correct the cell or the list of the classes",
                )
        return np.array([place[name] for name in names], dtype=np.int64)

    def _column(self, column: str) -> Any:
        """The cells as pyarrow has them; of text without the blanks around it, empty cells as nulls."""
        library = require("pyarrow.compute", "pyarrow")
        pa = require("pyarrow")
        found = self._table.column(self.names.index(column)).combine_chunks()
        if pa.types.is_dictionary(found.type):
            found = found.dictionary_decode()
        if pa.types.is_string(found.type) or pa.types.is_large_string(found.type):
            found = library.utf8_trim_whitespace(found)
            found = library.if_else(library.equal(found, ""), pa.scalar(None, found.type), found)
        return found

    def _flat(self, column: str) -> tuple[Any, _Rows]:
        """The cells, those of lists one after the other. KpiError where lists have several lengths."""
        library = require("pyarrow.compute", "pyarrow")
        pa = require("pyarrow")
        found = self._column(column)
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(kind(found.type) for kind in lists):
            return found, _Rows(len(found))
        lengths = library.list_value_length(found).to_pylist()
        for row, length in enumerate(lengths, 1):
            if length is None:
                raise self._missing(column, row)
            if length != lengths[0]:
                raise KpiError(
                    f'{self.name}, row {row}: "{column}" has {length} numbers, in the first row {lengths[0]}',
                    "give each row as many",
                )
        return library.list_flatten(found), _Rows(len(found), lengths[0] if lengths else 0)

    def _plain(self, column: str, values: Any, at: Callable[[int], int]) -> Array:
        """The cells in a type of NumPy: numbers where all are, else text; what is at empty ones means nothing."""
        import numpy as np

        library, pa = require("pyarrow.compute", "pyarrow"), require("pyarrow")
        if not len(values):
            return np.zeros(0)
        kind = values.type
        if pa.types.is_null(kind):
            raise self._missing(column, at(0))
        if pa.types.is_decimal(kind):
            values = library.cast(values, "float64")
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = _typed(library, values)
            if values is None:
                return np.zeros(1, dtype=np.str_)
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise KpiError(
                f'{self.name}: "{column}" holds {kind}, which are no numbers', "make numbers of it, or leave it out"
            )
        zero = pa.scalar(False if pa.types.is_boolean(values.type) else 0).cast(values.type)
        found: Array = np.array(library.fill_null(values, zero).to_numpy(zero_copy_only=False))
        return found

    def _missing(self, column: str, row: int, dtype: str = "") -> KpiError:
        remedy = _EMPTY
        if dtype.startswith("float"):
            remedy += '; of a model that knows missing values: data = { file = ..., missing = "nan" }'
        elif dtype:
            remedy += f"; {dtype} has no value for what is missing"
        return KpiError(f'{self.name}, row {row}: "{column}" is empty', remedy)

    def _no_number(self, column: str, values: Any, at: Callable[[int], int]) -> KpiError:
        """Says which cell is the first that is not a number."""
        library = require("pyarrow.compute", "pyarrow")
        low, high = 0, len(values)  # the first row of those that can't be read as numbers is in between
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _typed(library, values.slice(low, middle - low)) is None else (middle, high)
        said = shortened(str(values[low].as_py()), _SHOWN)
        comma = "; write numbers with a point" if said.replace(",", "", 1).lstrip("-").isdigit() else ""
        return KpiError(
            f'{self.name}, row {at(low)}: "{column}" is "{said}", not a number',
            f"correct the cell, or give the numbers that the model was trained on{comma}",
        )


class _Rows:
    """Which row of the table a place among the cells is in; each row has ``each`` cells."""

    def __init__(self, rows: int, each: int | None = None) -> None:
        self.shape = (rows,) if each is None else (rows, each)
        self._each = each or 1

    def at(self, place: int) -> int:
        return place // self._each + 1


def _gaps(values: Any, found: Array) -> npt.NDArray[np.bool_]:
    """Where a cell is empty, or is NaN."""
    import numpy as np

    gaps = np.array(values.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    return gaps | np.isnan(found) if found.dtype.kind == "f" and len(found) == len(gaps) else gaps


def _typed(library: Any, values: Any) -> Any:
    """Text as whole numbers, else as floating point, else as true and false; None where it is neither."""
    plain = library.replace_substring_regex(values, r"^\+", "")
    for kind in ("int64", "float64", "bool"):
        try:
            return library.cast(plain, kind)
        except (ValueError, NotImplementedError):  # what pyarrow's own are
            continue
    return None


def _as_type(found: Array, dtype: str) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The numbers in a type, and where one is not what it was."""
    import numpy as np

    wanted = np.dtype(dtype)
    with np.errstate(all="ignore"):
        made = found.astype(wanted)
        if wanted.kind == "f" and found.dtype.kind == "f":
            return made, np.isinf(made) & np.isfinite(found)
        if found.dtype.kind == "f":
            least, most = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
            return made, (found != np.floor(found)) | (found < least) | (found > most) | ~np.isfinite(found)
        back = made.astype(found.dtype)
        return made, back != found
