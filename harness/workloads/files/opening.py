"""Opens the data of a workload of files: which reader is for which kind of file or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.workloads.files.arrays import ArraySamples
from harness.workloads.files.coco import SUFFIX, CocoSamples
from harness.workloads.files.images import ImageSamples

if TYPE_CHECKING:
    from harness.core.data_files import DataFiles
    from harness.workloads.files.samples import Samples
    from harness.workloads.files.signature import Signature


def open_samples(place: Path, signature: Signature, model: str, data: DataFiles) -> Samples:
    """The samples in a file or folder, held against the inputs of the model, which messages call ``model``.

    Raises KpiError, with the reason, where they can't be read or do not fit; Unavailable where they are not here.
    """
    if place.is_dir():
        return ImageSamples(place, signature, model, data)
    made = CocoSamples if place.suffix.lower() == SUFFIX else ArraySamples
    return made(place, signature, model, data)
