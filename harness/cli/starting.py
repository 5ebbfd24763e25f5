"""What ``kpi init`` writes: looks into a model and its data, guesses the task, proposes recipes and targets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.cli.reading import LENGTH, PICTURE, SIDE, reading_of
from harness.core.data_files import DataFiles, Preprocess, TextPreprocess
from harness.core.errors import KpiError, suggest
from harness.core.units import BYTES
from harness.judge.metrics import metrics
from harness.judge.metrics.latency import LatencyP50
from harness.judge.metrics.size import Size
from harness.measure.runtimes.base import Proposal, Runtime
from harness.spec.catalog import model_files as model_passes
from harness.spec.catalog import runtimes
from harness.spec.tasks import Guess, Starter, tasks
from harness.workloads.files.division import MOST
from harness.workloads.files.opening import open_samples
from harness.workloads.files.shared import batch_axes, batch_first
from harness.workloads.files.signature import Port, Signature, model_files, read_signature

if TYPE_CHECKING:
    import numpy.typing as npt

_MADE = 64
_TINY = 50_000  # bytes: what a format adds is more than INT8 saves
Shape = Sequence[int]


@dataclass(frozen=True)
class Found:
    """A model with its data, and what they seem to be.

    ``made`` says that the data are random numbers; ``options`` are settings of the task.
    """

    name: str
    model: Path
    signature: Signature
    data: Path
    reading: DataFiles
    task: str
    scored: str | None
    samples: int
    made: bool = False
    remarks: Sequence[str] = field(default_factory=tuple)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the file, with the weights next to it."""
        return sum(file.stat().st_size for file in model_files(self.model))


def look(
    model: Path,
    data: Path | None,
    folder: Path,
    shapes: Mapping[str, Shape] = MappingProxyType({}),
    tokenizer: Path | None = None,
) -> Found:
    """Reads both. Without data random numbers are written into ``folder``, inputs of ``shapes`` where these are given.

    ``tokenizer`` reads texts; without it one that lies next to the model or the data.

    Raises KpiError where data and model do not fit, with what was found and what is expected.
    """
    signature = read_signature(model)
    signature = batch_first(signature, batch_axes(signature, {}, (), model.name))
    name = _plain(model.stem)
    made = data is None
    if data is not None and shapes:
        raise KpiError("--shape is for random numbers; the data have sizes of their own", "leave out --shape or --data")
    file = data or _random_data(signature, folder / f"{name}-random.npz", shapes)
    found = reading_of(model, signature, file, tokenizer)
    files = found.files
    place = files.whole or file
    samples = open_samples(place, signature, model.name, files)
    task, guess, remarks = _task(signature, samples.labels, found.holds)
    scored = guess.output if len(signature.outputs) > 1 and not guess.options else None
    said = [*remarks, *samples.remarks, *found.remarks]
    options = dict(guess.options)
    if files.classes and (names := tasks()[task].names):
        # The task names its classes itself.
        options[names], files = list(files.classes), replace(files, classes=())
    if signature.fixed:
        said.append(f"no pass makes less of {signature.fixed}: add recipes with a `model` of their own")
    return Found(name, model, signature, place, files, task, scored, samples.count, made, tuple(said), options)


def _plain(stem: str) -> str:
    """The name of a workload: that of the file, as a bare key of TOML."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-") or "model"


def _task(signature: Signature, labels: npt.NDArray[Any] | None, holds: str) -> tuple[str, Guess, tuple[str, ...]]:
    """The task that fits outputs, labels and what the data hold, what it says of them, remarks on both."""
    guesses = [(task, found) for task in tasks().values() if task.guess and (found := task.guess(signature, labels))]
    task, best = max(((t, g) for t, g in guesses if g.output), key=lambda one: (one[1].sure, one[0].holds == holds))
    remarks = [g.note for _, g in guesses if g.note and not g.output]
    if labels is not None and not task.labelled and not remarks:
        remarks = [_unused(labels, next(port for port in signature.outputs if port.name == best.output))]
    return task.name, best, tuple(f"{remark}: judged by parity alone" for remark in remarks if not task.labelled)


def _unused(labels: npt.NDArray[Any], port: Port) -> str:
    """Why labels say nothing of the answers, with what would."""
    import numpy as np

    said = f"labels of shape {labels.shape} and type {labels.dtype} do not fit {port}"
    if labels.ndim == 2 and labels.dtype.kind in "iub" and bool((labels.sum(axis=1) == 1).all()):  # noqa: PLR2004 - one-hot
        return f"{said}; one-hot labels: save label.argmax(axis=1)"
    if labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all()):
        return f"{said}; class numbers: save label.astype(int)"
    if labels.ndim == 2 and labels.shape[1] == 1:  # noqa: PLR2004 - a column
        return f"{said}; one column: save label[:, 0]"
    return said


def _random_data(signature: Signature, file: Path, shapes: Mapping[str, Shape]) -> Path:
    """Random numbers in the shape of the inputs, always the same ones; sizes that are open get a usual one."""
    import numpy as np

    if unknown := set(shapes) - {port.name for port in signature.inputs}:
        names = [port.name for port in signature.inputs]
        raise KpiError(f"--shape: {suggest(min(unknown), names, 'input')}")
    chance, arrays = np.random.default_rng(0), dict[str, Any]()
    for port in signature.inputs:
        own = port.shape or ()
        if not own and port.name not in shapes:
            remedy = (
                f"say the sizes of one sample, --shape {port.name}=3x224x224, or give real samples: --data data.npz"
            )
            raise KpiError(f"{port}: no data can be made for it", remedy)
        usual = SIDE if len(own) == PICTURE else LENGTH
        shape = (_MADE, *shapes.get(port.name, [size or usual for size in own[1:]]))
        whole = port.dtype.startswith(("int", "uint", "bool"))
        values = chance.integers(0, 2, shape) if whole else chance.random(shape)
        arrays[port.name] = values.astype(port.dtype)
    np.savez_compressed(file, **arrays)
    return file


# ---- the tables ---------------------------------------------------------------------------------------------------


DELIVERED = "as-delivered"


def proposals(found: Found) -> Iterator[tuple[Proposal, list[Starter]]]:
    """The model as delivered, then what each installed runtime proposes; each with the targets of its KPI."""
    made, task = model_passes()[found.model.suffix.lower()].output_format, tasks()[found.task]
    here = [cls for cls in runtimes().values() if cls.available_here()]
    table = next(filter(None, (_as_delivered(cls, made) for cls in (*here, *runtimes().values()))), None)
    if table is None:
        raise KpiError(f"no runtime for {found.model.name} is installed", "`kpi doctor` says what is missing")
    yield (
        Proposal(DELIVERED, "the file as it is", table),
        [
            (Size.name, f"<= {BYTES.format(1.05 * found.size)}", "5 % above the file that was delivered"),
            (LatencyP50.name, "< 100 ms", "a starting point: write what your service needs"),
            *task.starting,
        ],
    )
    for one in (one for cls in here if not found.signature.fixed for one in cls.proposals(made)):
        yield one, list(_compared(found, one))


def _as_delivered(cls: type[Runtime], made: str) -> dict[str, Any]:
    """The recipe of a file as it is; empty where the runtime does not say one, or can't be had."""
    chosen = cls.as_delivered(made)
    if chosen is None or cls.available_here():
        return {"runtime": chosen} if chosen else {}
    return {"runtime": chosen, "environment": cls.environment} if cls.environment else {}


def _compared(found: Found, one: Proposal) -> Iterator[Starter]:
    """The targets of an optimized recipe: smaller (of a model that is not tiny), not slower, nearly as right."""
    if one.size is not None and found.size >= _TINY:
        why = "smaller" if one.exact else "half the size is what INT8 is for"
        yield Size.name, f"<= {one.size:g} x {DELIVERED}", why
    yield LatencyP50.name, f"<= 1.1 x {DELIVERED}", "not slower; measured alternately in one run"
    if (kept := tasks()[found.task].kept) is None:
        return
    metric, bound, why = kept
    drop, judged = provable_drop(metric, found.samples), found.samples - sum(_elsewhere(found.samples))
    if "{drop}" in bound and drop != PROVABLE[0]:
        why += f"; {judged} samples to judge by prove no less"
    said = {"reference": DELIVERED, "share": "1 %" if one.exact else "10 %", "drop": f"{drop} pp"}
    yield metric, bound.format(**said), why


PROVABLE = (1, 2, 3, 5, 10, 20, 30)
_OF_MEANS, _OF_SETS = 4, 16


def provable_drop(metric: str, samples: int) -> int:
    """The least drop, in points, that is proven of an artifact that loses nothing, by data of so many samples.

    Of n that are judged by, none of which differs, a mean is known to 3.6 / n. In a figure of the whole set one sample
    may count more than its share: four times that.
    """
    judged = samples - sum(_elsewhere(samples))
    needed = 100 * (_OF_SETS if getattr(metrics()[metric], "jackknife", False) else _OF_MEANS) / max(judged, 1)
    return next((points for points in PROVABLE if points >= needed), PROVABLE[-1])


def _elsewhere(samples: int) -> Iterator[int]:
    """How many samples calibrate, and how many are tuned on."""
    usual = DataFiles()
    for split, share in (("training", usual.training), ("validation", usual.validation)):
        yield min(MOST[split], round(share * samples))


def written(found: Found, device: str, folder: Path, bounds: Mapping[tuple[str, str], str] | None = None) -> str:
    """The text of ``kpis.toml`` for a device, paths from ``folder``.

    ``bounds``, by recipe and metric, take the place of the starting points where there are such.
    """
    proposed = list(proposals(found))
    lines = [
        f"# {found.model.name}: {found.signature.about}",
        f"# takes {', '.join(map(str, found.signature.inputs))}",
        f"# answers {', '.join(map(str, found.signature.outputs))}",
        *(f"# {remark}" for remark in found.remarks),
        "",
        f'[machine.any-{device}]            # add cpu = "...", cores = ">= 8": where they do not fit, nothing is gated',
        f"device = {_quoted(device)}",
        "",
        f"[workload.{found.name}]",
        f"task = {_toml({'name': found.task, **found.options} if found.options else found.task)}",
        f"model = {_quoted(_path(found.model, folder))}",
        *_data_lines(found, folder),
        *([f"scored = {_quoted(found.scored)}"] if found.scored else []),
        f"reference = {_quoted(DELIVERED)}",
        *_preprocess_lines(found, folder),
    ]
    for one, _ in proposed:
        lines += ["", f"[workload.{found.name}.recipe.{one.name}] # {one.about}"]
        lines += [f"{key} = {_toml(value)}" for key, value in one.table.items()]
    for one, targets in proposed:
        lines += ["", "[[kpi]]", f"name = {_quoted(f'{found.name}-{one.name}')}", f"workload = {_quoted(found.name)}"]
        lines += [f"recipe = {_quoted(one.name)}", f"machine = {_quoted(f'any-{device}')}", "", "[kpi.targets]"]
        for name, bound, why in targets:
            measured = (bounds or {}).get((one.name, name))
            said = why if measured is None else "proposed from one run on this machine, with a margin"
            lines.append(f"{_quoted(name)} = {_quoted(measured or bound)} # {said}")
    return "\n".join(lines) + "\n"


def _data_lines(found: Found, folder: Path) -> Iterator[str]:
    if found.made:
        yield "# RANDOM NUMBERS: good for times and sizes. Give real samples before you trust INT8 or parity."
    path, reading = _path(found.data, folder), found.reading
    more: dict[str, Any] = {"inputs": dict(reading.inputs)} if reading.inputs else {}
    if reading.label != DataFiles().label:
        more["label"] = reading.label
    if reading.pictures is not None:
        more["pictures"] = reading.pictures
    if reading.masks is not None:
        more["masks"] = reading.masks
    if reading.classes:
        more["classes"] = list(reading.classes)
    if reading.delimiter is not None:
        more["delimiter"] = reading.delimiter
    value = _toml({"file": path, **more} if more else path)
    yield f"data = {value} # 20 % for calibration, 20 % to tune on, the rest to judge by"


def _preprocess_lines(found: Found, folder: Path) -> Iterator[str]:
    how = found.reading.preprocess
    if how is None:
        return
    yield from ("", f"[workload.{found.name}.preprocess] # as the model's card says it")
    if isinstance(how, Preprocess):
        size = list(how.size) if how.size else "each"
        yield from (f"size = {_toml(size)}", f"fit = {_quoted(how.fit)}", f"layout = {_quoted(how.layout)}")
    elif isinstance(how, TextPreprocess):
        yield f"tokenizer = {_quoted(_path(how.tokenizer, folder))}"
        text = list(how.text) if len(how.text) > 1 else how.text[0]
        yield f"words = {_quoted(how.words)}" if how.words else f"text = {_toml(text)}"
        yield f"length = {how.lengths[0]}"
    else:
        yield from (f"rate = {how.rate}", f"seconds = {how.seconds!r}")


def _path(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _toml(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else _quoted(name)
