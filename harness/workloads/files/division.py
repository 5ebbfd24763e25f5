"""Divides the samples of one file among splits: at random, always alike, and no content is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.core.errors import KpiError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

MOST = {"training": 500, "validation": 600}
"""More samples than these are of no use to calibration and to the search for operators that stay in floating point."""


def divided(units: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, Rows]:
    """The rows of each split, in the order of the file: ``shares`` of all, at most so many as are of use, and the rest.

    ``units`` say of each sample what it is, or which cluster it is of: those of one text are in the same split.
    Raises KpiError where nothing is left for the evaluation.
    """
    import numpy as np

    count = len(units)
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit, []).append(row)
    order = sorted(rows, key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    found: dict[str, Rows] = {}
    for name, share in shares.items():
        wanted, taken = min(round(share * count), MOST[name]), list[int]()
        while order and len(taken) < wanted:
            taken += rows[order.pop()]
        found[name] = np.array(sorted(taken), dtype=np.int64)
    left = sorted(row for unit in order for row in rows[unit])
    if not left:
        raise KpiError(
            f"of {count} samples in {len(rows)} groups none is left for the evaluation"
            if len(rows) > 1
            else f"all {count} samples are the same, or of one cluster: none is left for the evaluation",
            'give more samples, or smaller shares: data = { file = ..., training = "5 %", validation = "0 %" }',
        )
    return {**found, "evaluation": np.array(left, dtype=np.int64)}
