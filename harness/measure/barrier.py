"""Lets workers that run side by side begin together what is timed; files in a folder, since they share nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError

_LOOK_S = 0.002
_CALLED_OFF = "called-off"


@dataclass(frozen=True, slots=True)
class FileBarrier:
    """``count`` workers meet in ``folder``; this one is ``number``, from 0."""

    folder: str
    number: int
    count: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileBarrier:
        """The inverse of :meth:`to_json`."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """What a worker is told."""
        return asdict(self)

    def wait(self, what: str, timeout_s: float = 900.0) -> None:
        """Returns when all are about to do ``what``; KpiError when one of them failed, or is not there in time."""
        folder, end = Path(self.folder), time.monotonic() + timeout_s
        (folder / f"{what}-{self.number}").touch()
        while not all((folder / f"{what}-{number}").exists() for number in range(self.count)):
            if (folder / _CALLED_OFF).exists():
                raise KpiError("another instance failed")
            if time.monotonic() > end:
                raise KpiError(f"the other instances were not ready within {timeout_s:.0f} s")
            time.sleep(_LOOK_S)

    def abort(self) -> None:
        """Aborts the barrier: every waiter gets an error."""
        (Path(self.folder) / _CALLED_OFF).touch()
