"""Finds samples that are in two splits, by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.workloads.base import UNREADABLE, Split, TensorWorkload
from harness.workloads.batches import alike, even, taken

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

TRAINING = "training.samples"
"""The file, next to the request samples, with the digests of some training samples."""
_LOOKED = 256
MOST = 50_000
"""So many samples of a split are remembered of one pass."""


def digests(feeds: Arrays) -> list[str]:
    """One digest for each sample, over all inputs in the order of their names."""
    import numpy as np

    ordered = [np.ascontiguousarray(feeds[name]) for name in sorted(feeds)]
    made = []
    for row in range(len(ordered[0]) if ordered else 0):
        digest = hashlib.blake2b(digest_size=8)
        for array in ordered:
            digest.update(array[row].tobytes())
        made.append(digest.hexdigest())
    return made


class Recorder:
    """Remembers which samples are read of a workload's splits while it is open."""

    def __init__(self, workload: Any) -> None:
        self._workload = workload
        self._open = True
        self._seen: dict[str, dict[int, str]] = {}

    def __enter__(self) -> Self:
        for method in ("split", "examples"):
            if given := getattr(self._workload, method, None):
                setattr(self._workload, method, self._watched(given))
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False

    @property
    def seen(self) -> dict[str, list[str]]:
        """The digests of the samples that were read, by split."""
        return {split: sorted(set(found.values())) for split, found in self._seen.items() if found}

    def _watched(self, method: Callable[..., Split]) -> Callable[..., Split]:
        def call(name: str, *arguments: Any) -> Split:
            made = method(name, *arguments)
            watched = self._open and not isinstance(made, _Watched)
            return _Watched(made, self._seen.setdefault(name, {})) if watched else made

        return call


class _Watched(Split):
    """A split that remembers the rows that were read, each digested once. What else the split has is passed on."""

    def __init__(self, split: Split, seen: dict[int, str]) -> None:
        self._split = split
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)

    @property
    def labels(self) -> Any:
        return self._split.labels

    @property
    def shapes(self) -> Sequence[Hashable] | None:
        return self._split.shapes

    def __len__(self) -> int:
        return len(self._split)

    def inputs(self, start: int, stop: int) -> dict[str, Any]:
        return self._noted(self._split.inputs(start, stop), range(start, min(stop, len(self))))

    def take(self, rows: Sequence[int]) -> dict[str, Any]:
        return self._noted(self._split.take(rows), rows)  # type: ignore[attr-defined]

    def _noted(self, feeds: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
        new = [place for place, row in enumerate(rows) if row not in self._seen]
        if new and len(self._seen) < MOST:
            found = digests({name: array[new] for name, array in feeds.items()})
            self._seen.update((rows[place], digest) for place, digest in zip(new, found, strict=True))
        return feeds


def shared(evaluation: Iterable[str], others: Iterable[str]) -> int:
    """How many of ``others`` are evaluation samples too."""
    known = set(evaluation)
    return sum(other in known for other in others)


def keep_training(workload: TensorWorkload, folder: Path) -> None:
    """Writes the digests of some training samples, from the whole split; nothing where there is no such split."""
    import numpy as np

    try:
        split, found = workload.split("training"), list[str]()
        for rows in alike(split, even(len(split), _LOOKED)):
            found += digests(taken(split, rows))
    except UNREADABLE:
        return
    with (folder / TRAINING).open("wb") as file:
        np.save(file, np.array(found, dtype="S16"))
