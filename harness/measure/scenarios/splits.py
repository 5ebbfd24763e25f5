"""What a scored scenario keeps of the samples that it asked: which they were, and whether others have seen them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.measure.scenarios.base import ScenarioContext
from harness.workloads.overlap import TRAINING, shared

if TYPE_CHECKING:
    from harness.workloads.base import Split

SAMPLES = ".samples.npy"
"""Ends the name of the file with the digests of the evaluation samples."""


def clustered(names: Sequence[Hashable] | None, samples: Sequence[str] = ()) -> dict[str, Any]:
    """The details of a process: for each sample the number of its cluster; nothing where every sample is its own.

    Of ``samples`` (their digests) those that are the same belong together too, where no cluster is named.
    """
    if names is None:
        names = samples
    if len(set(names)) == len(names):
        return {}
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return {"clusters": [numbers[name] for name in names]}


def told(stage: ScenarioContext, samples: Sequence[str], labels: bytes = b"") -> dict[str, Any]:
    """The details of a process: a digest of all samples in their order, and how many training samples are among them.

    ``labels`` belong to the digest: recipes that are compared are scored by the same ones.

    The digests themselves go to a file, to be compared with what the passes read.
    """
    import numpy as np

    np.save(stage.outputs.with_suffix(SAMPLES), np.array(samples, dtype="S16"))
    joined = hashlib.sha256("".join(samples).encode() + labels).hexdigest()[:16]
    file = stage.requests / TRAINING
    looked = [digest.decode() for digest in np.load(file).tolist()] if file.exists() else []
    repeated = len(samples) - len(set(samples))
    return {"data": joined, "training_samples": [shared(samples, looked), len(looked)], "repeated": repeated}


def require_alone(split: Split, batch: Mapping[str, Any], rows: Sequence[int] = ()) -> None:
    """Raises KpiError where the last sample of the first batch is another one when it is read alone.

    ``rows`` are the samples of the batch where they are not the first ones of the split.
    """
    import numpy as np

    count = len(next(iter(batch.values())))
    last = rows[-1] if rows else count - 1
    alone = split.inputs(last, last + 1)
    for name, array in batch.items():
        if not np.array_equal(array[count - 1], alone[name][0], equal_nan=array.dtype.kind == "f"):
            raise KpiError(
                f'evaluation sample {last}: "{name}" is another one alone than in a batch of {count}',
                "let inputs(start, stop) give each sample the same whatever else is read, and change no array in place",
            )
