"""The samples that times are measured with: arrays for each shape, asked alone or in batches of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]


def read_requests(folder: Path) -> list[Arrays]:
    """What a workload wrote: arrays by tensor name, those of each shape in a folder of their own after the first.

    The first are those in the folder itself, of which there may be none: requests that are no tensors.
    """
    import numpy as np

    numbered = sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    found = [{unquote(p.stem): np.load(p) for p in sorted(place.glob("*.npy"))} for place in (folder, *numbered)]
    return [found[0], *filter(None, found[1:])]


def count_of(part: Arrays) -> int:
    """How many samples there are of one shape."""
    return min(len(array) for array in part.values())


def evenly(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Each of so many things of each kind as (kind, number), those of each kind evenly spread among the others."""
    placed = [((number + 0.5) / count, kind, number) for kind, count in enumerate(counts) for number in range(count)]
    return [(kind, number) for _, kind, number in sorted(placed)]


def alone(parts: Sequence[Arrays]) -> list[Arrays]:
    """The samples of all shapes, each as a batch of one."""
    each = [
        [{name: array[row : row + 1] for name, array in part.items()} for row in range(count_of(part))]
        for part in parts
    ]
    return [each[kind][number] for kind, number in evenly([len(requests) for requests in each])]


def together(parts: Sequence[Arrays], size: int, most: int = 4) -> list[Arrays]:
    """Batches of ``size``, each of one shape, in turn: the more samples of a shape, the more of its batches.

    Of each shape at most ``most`` are different; they begin at different samples, so that they are not all the same.
    """
    import numpy as np

    made: list[list[Arrays]] = [
        [
            {
                name: np.ascontiguousarray(np.take(array, range(start, start + size), axis=0, mode="wrap"))
                for name, array in part.items()
            }
            for start in range(0, min(count_of(part), most * size), size)
        ]
        for part in parts
    ]
    if len(made) == 1:
        return made[0]
    return [made[kind][number % len(made[kind])] for kind, number in evenly([count_of(part) for part in parts])]
