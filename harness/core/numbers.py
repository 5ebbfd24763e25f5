"""Numbers as the evidence keeps them: many in little space, exact, read by any program."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

_MANY = 100


class _Numbers(Sequence[float]):
    """Doubles in a row, eight bytes each; as text they are the base64 of their bytes, little-endian (IEEE 754)."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = array("d", values)

    @classmethod
    def of(cls, stored: str | Iterable[float]) -> _Numbers:
        """From the text, or from plain numbers; ValueError for anything else."""
        if not isinstance(stored, str):
            return cls(stored)
        made = cls()
        made._values.frombytes(base64.b64decode(stored, validate=True))
        if sys.byteorder == "big":
            made._values.byteswap()
        return made

    @property
    def text(self) -> str:
        """What is stored."""
        values = self._values
        if sys.byteorder == "big":
            values = array("d", values)
            values.byteswap()
        return base64.b64encode(values.tobytes()).decode()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[float]: ...
    def __getitem__(self, place: int | slice) -> float | Sequence[float]:
        return _Numbers(self._values[place]) if isinstance(place, slice) else self._values[place]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: FBT001 - NumPy's own protocol
        import numpy as np

        found = np.frombuffer(self._values, np.float64) if len(self) else np.empty(0)
        return found.astype(dtype or np.float64, copy=copy is not False)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Numbers):
            return self._values == other._values
        return list(self._values) == list(other) if isinstance(other, list | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values.tobytes())

    def __repr__(self) -> str:
        return f"Numbers({self._values.tolist()})"


class _Figure(float):
    """A number that may be unknown (NaN, in JSON null) or without bound ("inf", "-inf": JSON has no number for it)."""

    __slots__ = ()

    @classmethod
    def of(cls, stored: str | float | None) -> _Figure:
        """From what JSON holds; ValueError or TypeError for anything else."""
        return cls(math.nan if stored is None else stored)

    @property
    def stored(self) -> float | str | None:
        """What JSON holds."""
        if math.isnan(self):
            return None
        return float(self) if math.isfinite(self) else "inf" if self > 0 else "-inf"


if TYPE_CHECKING:
    # To those that read them they are a sequence of numbers, and a number.
    Numbers = Sequence[float]
    Figure = float
else:
    Numbers, Figure = _Numbers, _Figure


def stored(value: object) -> Any:
    """What JSON holds of ``Numbers`` and ``Figure``; TypeError for anything else."""
    if isinstance(value, _Numbers):
        return value.text
    if isinstance(value, _Figure):
        return value.stored
    raise TypeError(f"{type(value).__name__} is not kept")


def restored(wanted: type, found: Any) -> Any:
    """The inverse of :func:`stored` for a field of the type ``wanted``; ValueError where it does not fit."""
    try:
        if wanted is _Numbers:
            return _Numbers.of(found)
        if wanted is _Figure and not isinstance(found, bool):
            return _Figure.of(found)
    except (TypeError, OverflowError):
        pass
    raise ValueError(f"{found!r} is not {'numbers' if wanted is _Numbers else 'a number'}")


def in_order(values: Iterable[float]) -> list[float]:
    """The values, the smallest first; of many that are kept, NumPy sorts in a tenth of the time."""
    if isinstance(values, _Numbers) and len(values) >= _MANY:
        import numpy as np

        found: list[float] = np.sort(np.asarray(values)).tolist()
        return found
    return sorted(values)


def packed(values: Iterable[float]) -> Sequence[float]:
    """Numbers in little space."""
    return values if isinstance(values, _Numbers) else _Numbers(values)


def figure(value: float) -> float:
    """A number that JSON can hold whatever it is."""
    return _Figure(value)
