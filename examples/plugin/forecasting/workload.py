"""What a fixture of this task provides: series of numbers."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from harness import Workload

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Series(Workload):
    """Hourly values; ``past`` of them are what the model looks at."""

    past = 48

    @abstractmethod
    def series(self, split: str) -> Floats:
        """The values of ``training`` or of ``evaluation``, shape (n,), in order of time."""

    def windows(self, split: str) -> tuple[Floats, Floats]:
        """What the model is given, shape (n - past, past), and what comes next, shape (n - past,)."""
        values = self.series(split)
        view = np.lib.stride_tricks.sliding_window_view(values, self.past + 1)
        return view[:, :-1].copy(), view[:, -1].copy()

    def fingerprint(self) -> str:
        parts = (self.series("training"), self.series("evaluation"))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    @property
    def input_names(self) -> list[str]:
        return ["past"]

    def write_samples(self, folder: Path, count: int) -> None:
        np.save(folder / "past.npy", self.windows("evaluation")[0][:count])
