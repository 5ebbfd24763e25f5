"""Reads files of JSON lines, one sample a line, and what each line says besides its inputs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, shortened, suggest

if TYPE_CHECKING:
    import numpy.typing as npt

LINES = ".jsonl"
IGNORED = -100
"""The label of a place that no label is for, as in PyTorch."""
_SHOWN = 60
_MOST = 2**63
"""Whole numbers are smaller."""


class Lines:
    """The objects of a file, in its order, each with the number of its line; empty lines are left out.

    Raises KpiError, with the line, for what is not a JSON object; Unavailable where the file is not here.
    """

    def __init__(self, file: Path) -> None:
        self.name = file.name
        if not file.is_file():
            raise Unavailable(f"data {file} is not here", "check its path")
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise KpiError(f"{self.name} is not UTF-8: byte {error.start}", "save it as UTF-8") from error
        # Only a line feed ends a line: texts hold other characters that Python takes for one.
        found = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if not found:
            raise KpiError(f"{self.name} has no samples", "write one JSON object a line")
        self.numbers = [number for number, _ in found]
        self.rows = [self._object(number, line) for number, line in found]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, row: int) -> str:
        """The file and the line of a sample, as messages name it."""
        return f"{self.name}, line {self.numbers[row]}"

    @property
    def fields(self) -> list[str]:
        """The names of the first line's fields."""
        return list(self.rows[0])

    def has(self, field: str) -> bool:
        """Whether the first line has such a field."""
        return field in self.rows[0]

    def column(self, field: str, remedy: str = "") -> list[Any]:
        """One field of all lines. Raises KpiError, with the line, where one lacks it or holds null."""
        found = []
        for row, line in enumerate(self.rows):
            if line.get(field) is None:
                lacks = "null" if field in line else f"missing, there are {', '.join(line) or 'no fields'}"
                raise KpiError(f'{self.where(row)}: "{field}" is {lacks}', remedy or "give each line the same fields")
            found.append(line[field])
        return found

    def names(self, field: str) -> list[str] | None:
        """One field of all lines as text; None where the first line has none of it."""
        if not self.has(field):
            return None
        found = self.column(field)
        for row, value in enumerate(found):
            if isinstance(value, list | dict):
                raise KpiError(f'{self.where(row)}: "{field}" is {shown(value)}, not a name', "write text or a number")
        return [str(value) for value in found]

    def labels(self, field: str, classes: Sequence[str]) -> npt.NDArray[Any] | None:
        """What is right for each line, (n,) or (n, ...); None where the first line does not say it.

        Names become their places in ``classes``. Raises KpiError, with the line, for anything else.
        """
        import numpy as np

        if not self.has(field):
            return None
        given = self.column(field)
        if any(isinstance(value, list) for value in given):
            return self._arrays(field, given)
        numbers = [numbered(value, classes, f'{self.where(row)}: "{field}"') for row, value in enumerate(given)]
        whole = all(isinstance(number, int) for number in numbers)
        return np.array(numbers, dtype=np.int64 if whole else np.float64)

    def _arrays(self, field: str, given: Sequence[Any]) -> npt.NDArray[Any]:
        found = [array_of(value, f'{self.where(row)}: "{field}"') for row, value in enumerate(given)]
        return stacked(found, field, self.where)

    def _object(self, number: int, line: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", "it is nested too deeply")
            raise KpiError(
                f"{self.name}, line {number} is not JSON: {said}: {shortened(line, _SHOWN)}",
                "write one JSON object a line",
            ) from error
        if "\\ud" in line.lower() and _half_of_a_character(found):
            raise KpiError(
                f"{self.name}, line {number} holds half of a character, \\uD800 to \\uDFFF without the other half",
                "was a text cut within an emoji? Write it again, or leave the line out",
            )
        if not isinstance(found, dict):
            raise KpiError(
                f"{self.name}, line {number} is {shown(found)}, not an object", 'write { "text": "...", "label": 1 }'
            )
        return found


def _half_of_a_character(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def shown(value: Any) -> str:
    """A value of a line, shortened."""
    return shortened(json.dumps(value, ensure_ascii=False), _SHOWN)


def numbered(value: Any, classes: Sequence[str], where: str) -> int | float:
    """A label as a number: itself, or the place of a class's name. Raises KpiError for what is neither."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise KpiError(f"{where} is {str(value).replace('nan', 'NaN')}", "repair it or leave the line out")
    if isinstance(value, int | float):
        if abs(value) >= _MOST:
            raise KpiError(f"{where} is {value:.3g}, which can't be a label", "repair it or leave the line out")
        if isinstance(value, int) and classes and not 0 <= value < len(classes):
            raise KpiError(f"{where} is {value}, there are {len(classes)} classes, counted from 0")
        return value
    if not isinstance(value, str):
        raise KpiError(f"{where} is {shown(value)}, not a label", "write a number or the name of a class")
    if not classes:
        raise KpiError(
            f"{where} is {shown(value)}, and nothing says which number that is",
            "name the classes in the order of the model's outputs: data = { file = ..., classes = [...] }",
        )
    if value not in classes:
        raise KpiError(f"{where}: {suggest(value, classes, 'class')}", "correct the line or the list of the classes")
    return list(classes).index(value)


def array_of(value: Any, where: str) -> npt.NDArray[Any]:
    """A value of a line as an array of numbers. Raises KpiError for what is not one."""
    import numpy as np

    try:
        found = np.asarray(value)
    except ValueError:  # lists of several lengths
        found = np.asarray(None)
    if found.dtype.kind not in "biuf":
        raise KpiError(f"{where} is {shown(value)}, not a number or a list of as many numbers each")
    return found


def stacked(arrays: Sequence[npt.NDArray[Any]], field: str, where: Any) -> npt.NDArray[Any]:
    """The arrays of all lines as one. Raises KpiError, with the line, where one has another shape than the first."""
    import numpy as np

    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise KpiError(
                f'{where(row)}: "{field}" has the shape {array.shape}, that of the first line {arrays[0].shape}',
                "pad arrays to one shape, and give the model its mask as an input; texts: [workload.NAME.preprocess] "
                "with a tokenizer pads them",
            )
    return np.stack(arrays)


def columns_of(file: Path, text: Sequence[str] = ()) -> Mapping[str, npt.NDArray[Any]]:
    """The fields of a file of JSON lines as arrays by name, the first axis counting lines; those in ``text`` as text.

    Numbers are int64, or float64 where one has a fraction. Fields that hold no numbers are left out.
    """
    import numpy as np

    lines = Lines(file)
    found: dict[str, npt.NDArray[Any]] = {}
    for name in lines.fields:
        first = lines.rows[0][name]
        if name in text:
            names = lines.names(name) or []
            found[name] = np.asarray(names)
        elif isinstance(first, bool | int | float | list):
            found[name] = stacked(
                [array_of(value, f'{lines.where(row)}: "{name}"') for row, value in enumerate(lines.column(name))],
                name,
                lines.where,
            )
    return found
