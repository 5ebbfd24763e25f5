"""What a scored scenario keeps of the samples that it asked: which they were, and whether others have seen them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

from harness.overlap import TRAINING, shared
from harness.scenarios.base import Stage

SAMPLES = ".samples.npy"
"""Ends the name of the file with the digests of the evaluation samples."""


def clustered(names: Sequence[Hashable] | None) -> dict[str, Any]:
    """The details of a process: for each sample the number of its cluster; nothing where every sample is its own."""
    if names is None or len(set(names)) == len(names):
        return {}
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return {"clusters": [numbers[name] for name in names]}


def told(stage: Stage, samples: Sequence[str]) -> dict[str, Any]:
    """The details of a process: a digest of all samples in their order, and how many training samples are among them.

    The digests themselves go to a file, to be compared with what the passes read.
    """
    import numpy as np

    np.save(stage.outputs.with_suffix(SAMPLES), np.array(samples, dtype="S16"))
    joined = hashlib.sha256("".join(samples).encode()).hexdigest()[:16]
    file = stage.requests / TRAINING
    looked = [digest.decode() for digest in np.load(file).tolist()] if file.exists() else []
    return {"data": joined, "training_samples": [shared(samples, looked), len(looked)]}
