"""Reads the keys of a workload that has no fixture: its model file and the files of its data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core.data_files import SPLITS, AnyPreprocess, DataFiles, Preprocess, RecordingPreprocess, TextPreprocess
from harness.core.formats import EXPORTED_PROGRAM, TABLES
from harness.core.units import SHARE
from harness.spec.catalog import model_files
from harness.spec.data_schema import DataTable, PreprocessTable, RecordingTable, TextTable
from harness.spec.schema import WorkloadTable
from harness.spec.tasks import TENSORS, tasks

Say = Callable[[str, str], None]
_HUB = re.compile(r"(?!\.)[\w.-]+/(?!.*\.[a-z]{2,8}$)[\w.-]+", re.ASCII)
"""The name of a repository on the Hugging Face hub; what ends like a file's name is taken for a file."""
_EXAMPLE = 'model = "model.onnx", data = "data.npz"'


def placed(text: str, folder: Path) -> Path:
    """A path of the TOML from the folder of its file; ``$VARIABLES`` and ``~`` count. RuntimeError: no such home."""
    return folder / Path(os.path.expandvars(text)).expanduser()


def model_pass(text: str) -> str | None:
    """The pass that takes a model file, by how its name ends; None where it is of no format that is known."""
    found = model_files().get(Path(text).suffix.lower())
    return found.name if found else None


def ends_as_file(text: str) -> bool:
    """Whether a model is a file by how its name ends, and not a folder or the name of a repository."""
    return model_pass(text) is not None or text.lower().endswith(EXPORTED_PROGRAM)


def is_network(text: str, folder: Path) -> bool:
    """Whether a model becomes a torch network, which recipes export: an exported program, a Hugging Face model.

    Of the latter ``text`` is a folder, from ``folder`` on, or the name of a repository.
    """
    if ends_as_file(text):
        return model_pass(text) is None
    try:
        found = (placed(text, folder) / "config.json").is_file()
    except (RuntimeError, OSError):  # no such home, or no such name possible: told elsewhere
        found = False
    return found or bool(_HUB.fullmatch(text))


def unknown_format(text: str) -> str:
    """What is said of a model file whose name ends otherwise."""
    known = ", ".join((*model_files(), EXPORTED_PROGRAM))
    return f"model = {text!r}: not a model file that is known; {known} are, and folders with a config.json"


def file_mistakes(table: WorkloadTable, folder: Path) -> Iterator[tuple[str, str]]:
    """The keys that do not fit together, each with what is wrong: a workload has a fixture, or a model and data."""
    if table.fixture is not None or table.wrong("fixture"):
        for key in ("scored", "model_sha256", "preprocess", "constants", "state", "batch_axis"):
            if getattr(table, key):
                yield key, f"{key}: for a workload without a fixture; the fixture says it itself"
        if isinstance(table.data, DataTable):
            yield "data", "data: a table is for a workload without a fixture; name a file or a folder"
        return
    lacking = [key for key in ("model", "data") if getattr(table, key) is None and not table.wrong(key)]
    if lacking:
        keys = 'the key "fixture" is missing' if len(lacking) > 1 else f'the key "{lacking[0]}" is missing'
        yield "", f"{keys}; a workload without a fixture needs both: {_EXAMPLE}"
    if table.model is not None:
        yield from _model_mistakes(table, table.model, folder)
    task = tasks().get(table.task_name)
    if both := sorted({*table.constants} & {*table.state}):
        yield "state", f"state: {both[0]} is among the constants too; it is one or the other"
    if task is not None and task.requests not in TENSORS:
        yield "task", f"a workload of the task {task.name} needs a fixture"


def _model_mistakes(table: WorkloadTable, model: str, folder: Path) -> Iterator[tuple[str, str]]:
    network = is_network(model, folder)
    if model_pass(model) is None and not network:
        yield "model", unknown_format(model)
    for key in ("model_sha256", "constants", "state", "batch_axis") if network else ():
        if getattr(table, key):
            yield key, f"{key}: for a file that a runtime runs; {model} is a torch network that recipes export"


def data_files(table: WorkloadTable, folder: Path, say: Say) -> DataFiles:
    """The files of the data from ``folder``; ``say`` is told the key and what is wrong with it."""
    given, preprocess = table.data, _preprocess(table.preprocess, folder, say)
    if not isinstance(given, DataTable):
        return DataFiles(whole=placed(given or "", folder), preprocess=preprocess)
    shares: dict[str, float] = {}
    files: dict[str, Path] = {}
    for name in SPLITS:
        text = getattr(given, name)
        if text is None:
            continue
        if given.file is None:
            files[name] = placed(text, folder)
            continue
        if name == "evaluation":
            say("data", "data.evaluation: gets what training and validation leave; name a file in place of data.file")
            continue
        try:
            shares[name] = SHARE.parse(text)
        except ValueError as error:
            say("data", f"data.{name}: {error}; a share of data.file, or leave out data.file and name a file for each")
    if given.file is None and "evaluation" not in files and not given.wrong("evaluation"):
        say("data", 'data: needs file = "data.npz", or evaluation = "..." with files for the other splits')
    if sum(shares.values()) >= 1 or any(share < 0 for share in shares.values()):
        say("data", "data: the shares of training and validation must leave something for the evaluation")
    _check_columns(given, say)
    if twice := [name for name in given.classes if given.classes.count(name) > 1]:
        say("data", f'data.classes: names "{twice[0]}" twice; each class of the model has one place')
    return DataFiles(
        whole=None if given.file is None else placed(given.file, folder),
        splits=files,
        inputs={name: column for name, column in given.inputs.items() if isinstance(column, str)},
        columns={name: tuple(columns) for name, columns in given.inputs.items() if isinstance(columns, list)},
        label=given.label if isinstance(given.label, str) else DataFiles().label,
        labels=tuple(given.label) if isinstance(given.label, list) else (),
        delimiter=given.delimiter,
        missing=given.missing,
        slice=given.slice,
        cluster=given.cluster,
        classes=tuple(given.classes),
        pictures=given.pictures,
        masks=given.masks,
        ignore=given.ignore,
        preprocess=preprocess,
        seed=given.seed,
        training=shares.get("training", DataFiles().training),
        validation=shares.get("validation", DataFiles().validation),
    )


def _check_columns(given: DataTable, say: Say) -> None:
    """Tells what is for tables alone, and columns that are named twice."""
    inputs = {f"inputs.{name}": columns for name, columns in given.inputs.items() if isinstance(columns, list)}
    lists = inputs | ({"label": given.label} if isinstance(given.label, list) else {})
    used = [*lists, *(key for key in ("delimiter", "missing") if getattr(given, key) is not None)]
    names = [given.file] if given.file else [given.evaluation, given.training, given.validation]
    others = [name for name in names if name and not name.lower().endswith(TABLES)]
    for key in used if others else ():
        what = "a list of columns is" if key in lists else "is"
        say("data", f"data.{key}: {what} for tables ({', '.join(TABLES)}), not for {others[0]}")
    for key, columns in lists.items():
        if twice := [column for column in columns if columns.count(column) > 1]:
            say("data", f'data.{key}: names the column "{twice[0]}" twice')


def _preprocess(
    table: PreprocessTable | TextTable | RecordingTable | None, folder: Path, say: Say
) -> AnyPreprocess | None:
    """How samples that are not arrays become inputs; ``say`` is told the key and what is wrong with it."""
    if isinstance(table, TextTable):
        return _text(table, folder, say)
    if isinstance(table, RecordingTable):
        return RecordingPreprocess(table.rate, float(table.seconds))
    return None if table is None else _picture(table, say)


def _picture(table: PreprocessTable, say: Say) -> Preprocess:
    """One number for mean and std counts for all channels."""
    size = None
    if isinstance(table.size, int | list):
        size = (table.size, table.size) if isinstance(table.size, int) else (table.size[0], table.size[1])
    others = {"shortest": table.shortest, "longest": table.longest, "multiple": table.multiple != 1}
    for key, given in (others if size else {"resize": table.resize, "fit": table.fit != "stretch"}).items():
        if given:
            which = 'size = "each"' if size else "pictures that are brought to one size"
            say("preprocess", f"preprocess.{key}: is for {which}")
    if table.shortest and table.longest and table.longest < table.shortest:
        say("preprocess", f"preprocess.longest: {table.longest} is less than shortest, {table.shortest}")
    channels = 1 if table.colour == "L" else 3
    for key in ("mean", "std"):
        if len(getattr(table, key)) not in (1, channels):
            say(
                "preprocess",
                f"preprocess.{key}: has {len(getattr(table, key))} numbers, the picture {channels} channels",
            )
    if table.resize is not None and table.fit != "stretch":
        say("preprocess", f'preprocess.fit: "{table.fit}" keeps all of the picture, resize cuts it; leave one out')
    if table.resize is not None and size is not None and table.resize < max(size):
        say("preprocess", f"preprocess.resize: {table.resize} is less than the size that is cut out, {max(size)}")
    plain = table.model_dump() | {"size": size, "mean": tuple(table.mean), "std": tuple(table.std)}
    return Preprocess(**plain)


def _text(table: TextTable, folder: Path, say: Say) -> TextPreprocess:
    """A tokenizer and the lengths that texts are padded to."""
    if table.words is not None and table.text is not None:
        say("preprocess", "preprocess.words: a text is given as `text` or as a list of `words`, not as both")
    if table.length is not None and table.buckets is not None:
        say("preprocess", "preprocess.buckets: are several lengths; leave out `length`")
    if table.length is None and table.buckets is None:
        say("preprocess", 'preprocess: the key "length" is missing: 128, or "each" for texts as long as they are')
    lengths = tuple(table.buckets or ()) if not isinstance(table.length, int) else (table.length,)
    if list(lengths) != sorted(set(lengths)):
        say("preprocess", f"preprocess.buckets: must grow, not {list(lengths)}")
    return TextPreprocess(
        tokenizer=placed(table.tokenizer, folder),
        text=(table.text,) if isinstance(table.text, str) else tuple(table.text or ("text",)),
        words=table.words,
        lengths=lengths,
        pad=table.pad,
    )
