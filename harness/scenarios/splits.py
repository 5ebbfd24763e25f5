"""What a scored scenario keeps of the samples that it asked: which they were, and whether others have seen them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from harness.errors import Unavailable
from harness.overlap import digests, shared
from harness.scenarios.base import Stage
from harness.workload import Workload

SAMPLES = ".samples.npy"
"""Ends the name of the file with the digests of the evaluation samples."""
_LOOKED = 256


def told(stage: Stage, samples: Sequence[str], workload: Workload) -> dict[str, Any]:
    """The details of a process: a digest of all samples in their order, and how many training samples are among them.

    The digests themselves go to a file, to be compared with what the passes read.
    """
    import numpy as np

    np.save(stage.outputs.with_suffix(SAMPLES), np.array(samples, dtype="S16"))
    joined = hashlib.sha256("".join(samples).encode()).hexdigest()[:16]
    looked = _training(workload)
    return {"data": joined, "training_samples": [shared(samples, looked), len(looked)]}


def _training(workload: Workload) -> list[str]:
    """Digests of some training samples, from the whole split; none where there is no such split."""
    try:
        return digests(workload.some("training", _LOOKED))
    except Unavailable:
        return []
