"""Whole numbers that choose rows of a table in the model: one that the table does not have is found before it is run.

ONNX Runtime refuses such a number; OpenVINO answers something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.core.errors import KpiError

if TYPE_CHECKING:
    from harness.workloads.files.samples import Samples

_AT_ONCE = 64


def check_rows(samples: Samples, rows: Mapping[str, int], name: str) -> None:
    """Raises KpiError where an input of a sample is outside of -``rows`` to ``rows`` - 1; ``name`` is the data's."""
    import numpy as np

    step = 1 if samples.one_by_one or samples.shapes is not None else _AT_ONCE
    for first in range(0, samples.count, step):
        given = samples.take(np.arange(first, min(first + step, samples.count)))
        for one in rows.keys() & given.keys():
            array, count = given[one], rows[one]
            beyond = (array >= count) | (array < -count)
            if beyond.any():
                row = int(beyond.reshape(len(beyond), -1).any(axis=1).argmax())
                raise KpiError(
                    f'{name}: sample {first + row}: "{one}" holds {array[row][beyond[row]].ravel()[0]}, the model has '
                    f"rows for 0 to {count - 1}",
                    "make the data with the tokenizer, or the list of categories, that belongs to the model",
                )
