"""Opens the data of a workload of files: which reader is for which kind of file or folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import DataFiles, RecordingPreprocess, TextPreprocess
from harness.core.errors import KpiError
from harness.core.formats import TABLES
from harness.workloads.checkpoint import refuse_pointer
from harness.workloads.files.arrays import ArraySamples
from harness.workloads.files.class_folders import files_below
from harness.workloads.files.coco import SUFFIX, CocoSamples
from harness.workloads.files.images import PICTURES, ImageSamples
from harness.workloads.files.lines import LINES
from harness.workloads.files.masked import MaskedPictures
from harness.workloads.files.recordings import RECORDINGS, RecordingSamples
from harness.workloads.files.tables import TableSamples
from harness.workloads.files.texts import TextSamples
from harness.workloads.files.tokenizing import tokenizer_digest

if TYPE_CHECKING:
    from harness.workloads.files.samples import Samples
    from harness.workloads.files.signature import Signature


def open_samples(place: Path, signature: Signature, model: str, data: DataFiles) -> Samples:
    """The samples in a file or folder, held against the inputs of the model, which messages call ``model``.

    Raises KpiError, with the reason, where they can't be read or do not fit; Unavailable where they are not here.
    """
    if place.is_file():
        refuse_pointer(place)
    made: Callable[[Path, Signature, str, DataFiles], Samples] = ArraySamples
    if place.is_dir():
        _refuse_parts(place)
        made = RecordingSamples if _holds_recordings(place, data) else ImageSamples
        if data.drawn == "pixels" or data.masks is not None:
            made = MaskedPictures
    elif isinstance(data.preprocess, TextPreprocess):
        if place.suffix.lower() != LINES:
            raise KpiError(f"{place.name}: texts are read from JSON lines", f"give a {LINES} file, one sample a line")
        made = TextSamples
    elif isinstance(data.preprocess, RecordingPreprocess) and place.is_file():
        raise KpiError(
            f"{place.name} is a file: recordings are in a folder", "name the folder, or leave out preprocess"
        )
    elif place.suffix.lower() == SUFFIX:
        made = CocoSamples
    elif place.suffix.lower() in TABLES:
        made = TableSamples
    return made(place, signature, model, data)


def _refuse_parts(folder: Path) -> None:
    """KpiError for a table that is divided into files of a folder."""
    parts = files_below(folder, TABLES)
    if parts and not files_below(folder, (*PICTURES, *RECORDINGS)):
        raise KpiError(
            f"folder {folder.name} holds {len(parts)} tables, such as {parts[0].name}: one file is one table",
            "join them: pyarrow.parquet.write_table(pyarrow.parquet.read_table(FOLDER), FILE)",
        )


def _holds_recordings(folder: Path, data: DataFiles) -> bool:
    if isinstance(data.preprocess, RecordingPreprocess):
        return True
    return data.preprocess is None and bool(files_below(folder, RECORDINGS)) and not files_below(folder, PICTURES)


def reading_identity(data: DataFiles, cache: Path) -> dict[str, Any]:
    """How samples are read, as plain JSON without paths; a tokenizer is what it holds."""
    found = {key: value for key, value in asdict(data).items() if key not in ("whole", "splits")}
    if isinstance(data.preprocess, TextPreprocess):
        found["preprocess"]["tokenizer"] = tokenizer_digest(data.preprocess.tokenizer, cache)
    return found
