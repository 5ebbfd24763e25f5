"""Objects of pictures with masks as numbers: runs of pixels, as COCO counts them, packed a row for each picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def runs_of(mask: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Lengths of the runs of pixels outside and inside a mask (height, width) in turn, column after column."""
    import numpy as np

    flat = np.asarray(mask, dtype=bool).T.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(ends, prepend=0, append=flat.size)
    return np.concatenate([[0], lengths]) if flat[0] else lengths


def packed(pictures: Sequence[Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]]) -> Array:
    """Objects of each picture, (pictures, ...): what is known of one, how many runs it has, its runs; NaN fills up."""
    import numpy as np

    rows = [
        np.concatenate([part for head, runs in objects for part in (head, [len(runs)], runs)])
        if objects
        else np.zeros(0)
        for objects in pictures
    ]
    made = np.full((len(rows), max([1, *map(len, rows)])), np.nan)
    for row, values in zip(made, rows, strict=True):
        row[: len(values)] = values
    return made


def unpacked(row: npt.NDArray[Any], known: int) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
    """The objects of a picture: ``known`` numbers of each, and its runs."""
    import numpy as np

    place = 0
    while place < len(row) and not np.isnan(row[place]):
        begin = place + known + 1
        place = begin + int(row[begin - 1])
        yield row[begin - known - 1 : begin - 1].astype(np.float64), row[begin:place].astype(np.int64)
