"""How the data that ``kpi init`` is given become samples of a model: by what kind of file or folder they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.data_files import DataFiles, Preprocess, RecordingPreprocess, TextPreprocess
from harness.core.errors import KpiError
from harness.core.formats import TABLES
from harness.workloads.files.arrays import ONLY, Arrays
from harness.workloads.files.class_folders import files_below
from harness.workloads.files.coco import SUFFIX as COCO
from harness.workloads.files.coco_file import CocoFile
from harness.workloads.files.columns import Table
from harness.workloads.files.images import PICTURES
from harness.workloads.files.lines import LINES, Lines
from harness.workloads.files.masked import SUFFIX as MASK
from harness.workloads.files.recordings import RECORDINGS, read_recording
from harness.workloads.files.table_files import guessed_delimiter
from harness.workloads.files.tokenizing import FILE as TOKENIZER

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.files.signature import Port, Signature

LABELS = ("label", "labels", "y", "target", "targets", "class", "classes")
PICTURE = 4  # batch, channels, height, width
CHANNELS = (1, 3)
SIDE, LENGTH = 224, 128  # of a picture, of a text, where the model leaves it open
_TEXTS = (("text",), ("sentence",), ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question", "context"))
_WORDS, _TAGS = ("tokens", "words"), ("tags", "ner_tags", "pos_tags", "labels", "label")
_SORTED = "classes are in the order of their names: hold it against the order of the model's outputs"
_MASKS = ("mask", "annotation", "label", "segmentation", "ground_truth", "gt")
_CARD = "correct preprocess as the model's card says"


@dataclass(frozen=True)
class Reading:
    """How data are read; ``holds`` is what they are where that tells tasks apart, ``remarks`` are for a person."""

    files: DataFiles
    holds: str = ""
    remarks: Sequence[str] = ()


def reading_of(model: Path, signature: Signature, file: Path, tokenizer: Path | None = None) -> Reading:
    """Looks into the data. Raises KpiError where they need something that is not here, or are not for the model."""
    if file.is_dir():
        pictures = files_below(file, PICTURES)
        return _pictures(signature, file, "stretch") if pictures else _recordings(signature, file)
    if file.suffix.lower() == LINES and (found := _lines(model, signature, file, tokenizer)):
        return found
    readers: dict[str, Callable[[Signature, Path], Reading]] = {
        COCO: lambda s, f: _pictures(s, f, "letterbox"),
        **dict.fromkeys(TABLES, _table),
    }
    return readers.get(file.suffix.lower(), _arrays)(signature, file)


def _arrays(signature: Signature, file: Path) -> Reading:
    """Which arrays of a file are inputs, which is the label, what its classes are where it names them."""
    arrays = Arrays(file)
    files = DataFiles(whole=file, inputs=_same_names(signature, arrays))
    label = next((one for one in LABELS if one in arrays and one not in files.inputs.values()), None)
    if label is None:
        return Reading(files)
    named = arrays[label].dtype.kind in "US"
    classes = tuple(sorted(set(arrays[label].astype(str).ravel().tolist()))) if named else ()
    return Reading(replace(files, label=str(label), classes=classes), remarks=[_SORTED] if classes else [])


def _table(signature: Signature, file: Path) -> Reading:
    """What divides the columns of a table, which is the label, what its classes are where it names them."""
    delimiter = guessed_delimiter(file)
    table = Table(file, delimiter)
    inputs = {port.name for port in signature.inputs}
    labels = [name for name in table.names if name.lower() in LABELS and name not in inputs]
    label = min(labels, key=lambda name: LABELS.index(name.lower()), default=DataFiles().label)
    classes = table.class_names(label) if labels else ()
    files = DataFiles(whole=file, label=label, classes=classes, delimiter=delimiter)
    return Reading(files, remarks=[_SORTED] if classes else [])


def _pictures(signature: Signature, place: Path, fit: str) -> Reading:
    """How the pictures of a folder or a COCO file become the first input, in the usual way."""
    shape = signature.inputs[0].shape or ()
    if len(shape) != PICTURE:
        raise KpiError(f"{signature.inputs[0]} takes no pictures, {place.name} names some", "give other data")
    last = shape[3] in CHANNELS and shape[1] not in CHANNELS
    height, width = (size or SIDE for size in (shape[1:3] if last else shape[2:4]))
    grey = shape[3 if last else 1] == 1
    how = Preprocess((height, width), fit=fit, layout="NHWC" if last else "NCHW", colour="L" if grey else "RGB")
    said = [f"pictures become inputs in the usual way: {_CARD}"]
    if place.is_dir() and (found := _painted(signature, place)):
        pictures, masks = found
        return Reading(DataFiles(pictures, masks=masks, drawn="pixels", preprocess=how), "pictures", said)
    if place.is_dir():
        said.append(_SORTED)
        return Reading(DataFiles(whole=place, preprocess=how), "pictures", said)
    return Reading(DataFiles(whole=place, pictures=_named(place), preprocess=how), "pictures", said)


def _named(file: Path) -> str | None:
    """The folder with the pictures that a COCO file names, from its own; None where that is the one, or none is."""
    names = [str(one["file_name"]) for one in CocoFile(file, (), bare=True).images]
    here = file.resolve().parent
    places = [here, *_folders(here), *_folders(here.parent)]
    places += [inside for place in places[1:] for inside in _folders(place)]
    found = next((place for place in places if names and all((place / name).is_file() for name in names)), here)
    return None if found == here else Path(os.path.relpath(found, here)).as_posix()


def _folders(place: Path) -> list[Path]:
    """Those in a folder that may be looked into, by their names."""
    return sorted(one for one in place.iterdir() if one.is_dir() and os.access(one, os.R_OK | os.X_OK))


def _painted(signature: Signature, place: Path) -> tuple[Path, str] | None:
    """Pictures with the folder next to them that has a mask for each; both may be in one folder. None: there is none.

    Of a model that answers maps alone: the pictures of two classes may have the same names too.
    """
    if not any(port.shape and len(port.shape) in (PICTURE - 1, PICTURE) for port in signature.outputs):
        return None
    inside = sorted(folder for folder in place.iterdir() if folder.is_dir())
    next_to = sorted(folder for folder in place.resolve().parent.iterdir() if folder.is_dir())
    within = [(folder, inside) for folder in inside if not _holds_masks(folder)]
    for pictures, others in [(place, next_to), (place, inside), *within]:
        for masks in (other for other in others if _holds_masks(other) and other != pictures.resolve()):
            files = [file for file in files_below(pictures, PICTURES) if masks not in file.parents]
            names = [file.relative_to(pictures).with_suffix(MASK) for file in files]
            if names and all((masks / name).is_file() for name in names):
                return pictures, os.path.relpath(masks.resolve(), pictures.resolve().parent)
    return None


def _holds_masks(folder: Path) -> bool:
    """Whether it is called as folders of masks are."""
    return any(word in folder.name.lower() for word in _MASKS)


def _recordings(signature: Signature, folder: Path) -> Reading:
    """Recordings at the rate of the first one, as long as the model takes them, or as the first one is."""
    files = files_below(folder, RECORDINGS)
    if not files:
        raise KpiError(
            f"folder {folder} holds neither pictures nor recordings",
            f"known are {', '.join(sorted({*PICTURES, *RECORDINGS}))}",
        )
    rate, values = read_recording(files[0])
    fixed = (signature.inputs[0].shape or (None,))[-1]
    seconds = (fixed or len(values)) / rate
    said = [
        f"rate = {rate} is that of {files[0].name}: {_CARD}",
        _SORTED,
    ]
    return Reading(DataFiles(whole=folder, preprocess=RecordingPreprocess(rate, seconds)), "recordings", said)


def _lines(model: Path, signature: Signature, file: Path, tokenizer: Path | None) -> Reading | None:
    """Texts, or lists of words with a tag each; None where lines hold arrays of numbers."""
    lines = Lines(file)
    words = next((name for name in _WORDS if _is_words(lines, name)), None)
    texts = next((names for names in _TEXTS if all(isinstance(lines.rows[0].get(n), str) for n in names)), None)
    if tokenizer is None and all(lines.has(port.name) for port in signature.inputs):
        return None
    if words is None and texts is None:
        if tokenizer is None:
            return None
        raise KpiError(
            f"{file.name} has no field that is known to hold texts, there are {', '.join(lines.fields)}",
            f"call it {_TEXTS[0][0]!r}, or a list of words {_WORDS[0]!r}",
        )
    place = _tokenizer(model, file, tokenizer)
    length = next((port.shape[1] for port in signature.inputs if port.shape and len(port.shape) > 1), None) or LENGTH
    how = TextPreprocess(place, text=texts or ("text",), words=words, lengths=(length,))
    label = next((name for name in (_TAGS if words else LABELS) if lines.has(name)), None)
    said = (
        [] if any(p.shape and p.shape[1:] == (length,) for p in signature.inputs) else [f"length = {length}: {_CARD}"]
    )
    classes = _classes(lines, label, place) if label else ()
    if list(classes) == sorted(classes, key=_outside_first) and classes:
        said.append(_SORTED)
    if words and label and not classes:
        raise KpiError(
            f'{file.name}: "{label}" holds numbers, and nothing says what they are called',
            f"put the model's config.json with its id2label next to {place.name}, or write names",
        )
    usual = label in (None, DataFiles().label if words is None else _TAGS[0])
    files = DataFiles(whole=file, preprocess=how, classes=classes)
    return Reading(files if usual else replace(files, label=str(label)), "texts", said)


def _is_words(lines: Lines, name: str) -> bool:
    given = lines.rows[0].get(name)
    return isinstance(given, list) and bool(given) and all(isinstance(word, str) for word in given)


def _tokenizer(model: Path, file: Path, given: Path | None) -> Path:
    """The tokenizer that is named, or one next to the model or the data. KpiError where there is none."""
    near = [folder / TOKENIZER for folder in (model.parent, file.parent)]
    found = given or next((place for place in near if place.is_file()), None)
    if found is None:
        raise KpiError(
            f"{file.name} holds texts, and no {TOKENIZER} is next to {model.name}", "name it: --tokenizer PATH"
        )
    return found


def _classes(lines: Lines, label: str, tokenizer: Path) -> tuple[str, ...]:
    """The names of the classes: those of a ``config.json`` next to the tokenizer, else of the labels, sorted."""
    column = lines.column(label)
    values = {one for value in column for one in (value if isinstance(value, list) else [value])}
    said = tokenizer / "config.json" if tokenizer.is_dir() else tokenizer.with_name("config.json")
    try:
        numbered = json.loads(said.read_text(encoding="utf-8"))["id2label"]
        names = tuple(str(numbered[str(number)]) for number in range(len(numbered)))
    except (OSError, ValueError, KeyError, TypeError):
        names = ()
    texts = {value for value in values if isinstance(value, str)}
    if not texts:
        return names if any(isinstance(value, list) for value in column) else ()
    return names if texts <= set(names) else tuple(sorted(texts, key=_outside_first))


def _outside_first(name: str) -> tuple[bool, str]:
    return name != "O", name


def _same_names(signature: Signature, arrays: Arrays) -> dict[str, str]:
    """Which array is which input, where the names differ and type and shape leave one choice."""
    free = [name for name in arrays if name != ONLY and name not in {port.name for port in signature.inputs}]
    found: dict[str, str] = {}
    for port in signature.inputs:
        if port.name in arrays or list(arrays) == [ONLY]:
            continue
        fitting = [name for name in free if name not in found.values() and _fits(port, arrays[name])]
        if len(fitting) == 1:
            found[port.name] = fitting[0]
    return found


def _fits(port: Port, array: npt.NDArray[np.generic]) -> bool:
    return port.takes(str(array.dtype)) and array.ndim > 0 and (not port.shape or port.fits(array.shape, 1))
