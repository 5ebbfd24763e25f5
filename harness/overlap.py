"""Finds samples that are in two splits, by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.workload import UNREADABLE, Split, Workload

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
    """Remembers which samples a pass reads."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, None]] = {}

    def watch(self, workload: Any) -> None:
        """From now on every split of ``workload`` is watched."""
        for method in ("split", "examples"):
            if given := getattr(workload, method, None):
                setattr(workload, method, self._watched(given))

    @property
    def seen(self) -> dict[str, list[str]]:
        """The digests of the samples that were read, by split."""
        return {split: sorted(found) for split, found in self._seen.items() if found}

    def _watched(self, method: Callable[..., Split]) -> Callable[..., Split]:
        def call(name: str, *arguments: Any) -> Split:
            made = method(name, *arguments)
            return made if isinstance(made, _Watched) else _Watched(made, self._seen.setdefault(name, {}))

        return call


class _Watched(Split):
    def __init__(self, split: Split, seen: dict[str, None]) -> None:
        self._split = split
        self._seen = seen

    @property
    def labels(self) -> Any:
        return self._split.labels

    def __len__(self) -> int:
        return len(self._split)

    def inputs(self, start: int, stop: int) -> dict[str, Any]:
        return self._noted(self._split.inputs(start, stop))

    def take(self, rows: Sequence[int]) -> dict[str, Any]:
        return self._noted(self._split.take(rows))  # type: ignore[attr-defined]

    def _noted(self, feeds: dict[str, Any]) -> dict[str, Any]:
        if len(self._seen) < MOST:
            self._seen.update(dict.fromkeys(digests(feeds)))
        return feeds


def shared(evaluation: Iterable[str], others: Iterable[str]) -> int:
    """How many of ``others`` are evaluation samples too."""
    known = set(evaluation)
    return sum(other in known for other in others)


def keep_training(workload: Workload, folder: Path) -> None:
    """Writes the digests of some training samples, from the whole split; nothing where there is no such split."""
    import numpy as np

    try:
        found = digests(workload.some("training", _LOOKED))
    except UNREADABLE:
        return
    with (folder / TRAINING).open("wb") as file:
        np.save(file, np.array(found, dtype="S16"))
