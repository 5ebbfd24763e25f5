"""What ``kpi init`` writes: looks into a model and its data, guesses the task, proposes recipes and targets."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, suggest
from harness.core.formats import MODEL_FILES
from harness.core.units import BYTES
from harness.workloads.files.arrays import ONLY, Arrays, ArraySamples
from harness.workloads.files.signature import Port, Signature, model_files, read_signature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LABELS = ("label", "labels", "y", "target", "targets", "class", "classes")
_MADE = 64
_TINY = 50_000  # bytes: what a format adds is more than INT8 saves
_PICTURE = 4  # batch, channels, height, width
_SIDE, _LENGTH = 224, 128  # of a picture, of a text, where the model leaves it open
Shape = Sequence[int]


@dataclass(frozen=True)
class Found:
    """A model with its data, and what they seem to be. ``made`` says that the data are random numbers."""

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

    @property
    def size(self) -> int:
        """Bytes of the file, with the weights next to it."""
        return sum(file.stat().st_size for file in model_files(self.model))


def look(model: Path, data: Path | None, folder: Path, shapes: Mapping[str, Shape] = MappingProxyType({})) -> Found:
    """Reads both. Without data random numbers are written into ``folder``, inputs of ``shapes`` where these are given.

    Raises KpiError where data and model do not fit, with what was found and what is expected.
    """
    signature = read_signature(model)
    name = _plain(model.stem)
    made = data is None
    if data is not None and shapes:
        raise KpiError("--shape is for random numbers; the data have sizes of their own", "leave out --shape or --data")
    file = data or _random_data(signature, folder / f"{name}-random.npz", shapes)
    arrays = Arrays(file)
    files = DataFiles(whole=file, inputs=_same_names(signature, arrays))
    label = next((one for one in _LABELS if one in arrays and one not in files.inputs.values()), None)
    if label not in (None, files.label):
        files = DataFiles(whole=file, inputs=files.inputs, label=str(label))
    samples = ArraySamples(file, signature, model.name, files)
    task, scored, remarks = _task(signature, samples.labels)
    return Found(name, model, signature, file, files, task, scored, samples.count, made, remarks)


def _plain(stem: str) -> str:
    """The name of a workload: that of the file, as a bare key of TOML."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-") or "model"


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
    return str(array.dtype) == port.dtype and array.ndim > 0 and (not port.shape or port.fits(array.shape, 1))


def _task(signature: Signature, labels: npt.NDArray[Any] | None) -> tuple[str, str | None, tuple[str, ...]]:
    """The task that fits outputs and labels, the output that is scored where there are several, remarks on both."""
    outputs = signature.outputs
    scores = [p for p in outputs if p.shape is not None and len(p.shape) == 2 and p.dtype.startswith("float")]  # noqa: PLR2004
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" and scores:
        chosen = scores[0]
        classes = (chosen.shape or (None, None))[1]
        if classes is None or 0 <= int(labels.min()) <= int(labels.max()) < max(classes, 2):
            return _kind(signature.inputs), _marked(chosen, outputs), ()
        said = f"labels go from {labels.min()} to {labels.max()}, {chosen.name} has {classes} classes, counted from 0"
        return "tensors", _marked(chosen, outputs), (f"{said}: judged by parity alone",)
    floats = [port for port in outputs if port.dtype.startswith("float")] or list(outputs)
    if labels is not None and labels.dtype.kind == "f" and _as_many(floats[0], labels):
        return "regression", _marked(floats[0], outputs), ()
    remarks = () if labels is None else (f"{_unused(labels, floats[0])}: judged by parity alone",)
    return "tensors", _marked(floats[0], outputs), remarks


def _as_many(port: Port, labels: npt.NDArray[Any]) -> bool:
    """Whether there is a label for each number that the model answers, as far as it says how many those are."""
    sizes = (port.shape or ())[1:]
    return None in sizes or port.shape is None or math.prod(map(int, filter(None, sizes))) == labels[0].size


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
    if labels.dtype.kind in "US":
        return f"{said}; names of classes: save their numbers, in the order of the model's outputs"
    return said


def _marked(chosen: Port, outputs: Sequence[Port]) -> str | None:
    return chosen.name if len(outputs) > 1 else None


def _kind(inputs: Sequence[Port]) -> str:
    first = inputs[0]
    if first.shape is not None and len(first.shape) == _PICTURE:
        return "image-classification"
    return "text-classification" if first.dtype.startswith("int") else "tabular-classification"


def _random_data(signature: Signature, file: Path, shapes: Mapping[str, Shape]) -> Path:
    """Random numbers in the shape of the inputs, always the same ones; sizes that are open get a usual one."""
    import numpy as np

    if unknown := set(shapes) - {port.name for port in signature.inputs}:
        names = [port.name for port in signature.inputs]
        raise KpiError(f"--shape: {suggest(min(unknown), names, 'input')}")
    chance, arrays = np.random.default_rng(0), dict[str, Any]()
    for port in signature.inputs:
        if not port.shape:
            raise KpiError(f"{port}: no data can be made for it", "give real samples: --data data.npz")
        usual = _SIDE if len(port.shape) == _PICTURE else _LENGTH
        shape = (_MADE, *shapes.get(port.name, [size or usual for size in port.shape[1:]]))
        whole = port.dtype.startswith(("int", "uint", "bool"))
        values = chance.integers(0, 2, shape) if whole else chance.random(shape)
        arrays[port.name] = values.astype(port.dtype)
    np.savez_compressed(file, **arrays)
    return file


# ---- the tables ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recipe with the targets of its KPI, each a name, a bound and a comment."""

    name: str
    about: str
    recipe: Mapping[str, Any]
    targets: Sequence[tuple[str, str, str]]


DELIVERED = "as-delivered"


def proposals(found: Found) -> Iterator[Proposal]:
    """The model as delivered, in half precision where that serves, in INT8 by each runtime that is installed."""
    made = MODEL_FILES[found.model.suffix.lower()]
    openvino = find_spec("openvino") is not None
    own = "onnxruntime" if made == "onnx" else "openvino"
    yield Proposal(
        DELIVERED,
        "the file as it is",
        {"runtime": _runtime(own)},
        [
            ("size", f"<= {BYTES.format(1.05 * found.size)}", "5 % above the file that was delivered"),
            ("latency.p50", "< 100 ms", "a starting point: write what your service needs"),
            *_own_accuracy(found),
        ],
    )
    if made == "onnx":
        yield Proposal(
            "int8-onnxruntime",
            "INT8 with ranges from your data, by ONNX Runtime",
            {"runtime": own, "passes": [{"pass": "onnx-static-int8", "calibration": 128}]},
            _compared(found, "0.5"),
        )
    if not openvino:
        return
    first = ["openvino"] if made == "onnx" else []
    if made == "onnx":
        yield Proposal(
            "fp16-openvino",
            "weights in half precision, by OpenVINO",
            {"runtime": _runtime("openvino"), "passes": [{"pass": "openvino", "weights": "fp16"}]},
            _compared(found, "0.6", closer=True),
        )
    if find_spec("nncf") is not None:
        yield Proposal(
            "int8-openvino",
            "INT8 with ranges from your data, by NNCF for OpenVINO",
            {"runtime": _runtime("openvino"), "passes": [*first, {"pass": "nncf", "calibration": 128}]},
            _compared(found, "0.5"),
        )


def _runtime(name: str) -> Any:
    return {"name": "openvino", "precision": "f32"} if name == "openvino" else name


def _own_accuracy(found: Found) -> list[tuple[str, str, str]]:
    if found.task == "tensors":
        return []
    if found.task == "regression":
        return [("error.r2", ">= 0.5", "a starting point: write what you need")]
    return [("accuracy.top1", ">= 50 %", "a starting point: write what you need")]


def _compared(found: Found, size: str, *, closer: bool = False) -> list[tuple[str, str, str]]:
    """The targets of an optimized recipe: smaller (of a model that is not tiny), not slower, nearly as right."""
    share = "1 %" if closer else "10 %"
    quality = (
        ("parity.relative_error", f"<= {share}", "how far its outputs may be from those of the delivered file")
        if found.task in ("tensors", "regression")
        else ("accuracy.top1", f"drop <= 1 pp vs {DELIVERED}", "how much accuracy it may cost")
    )
    smaller = ("size", f"<= {size} x {DELIVERED}", "smaller" if closer else "half the size is what INT8 is for")
    return [
        *([smaller] if found.size >= _TINY else []),
        ("latency.p50", f"<= 1.1 x {DELIVERED}", "not slower; measured alternately in one run"),
        quality,
    ]


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
        f"task = {_quoted(found.task)}",
        f"model = {_quoted(_path(found.model, folder))}",
        *_data_lines(found, folder),
        *([f"scored = {_quoted(found.scored)}"] if found.scored else []),
        f"reference = {_quoted(DELIVERED)}",
    ]
    for one in proposed:
        lines += ["", f"[workload.{found.name}.recipe.{one.name}] # {one.about}"]
        lines += [f"{key} = {_toml(value)}" for key, value in one.recipe.items()]
    for one in proposed:
        lines += ["", "[[kpi]]", f"name = {_quoted(f'{found.name}-{one.name}')}", f"workload = {_quoted(found.name)}"]
        lines += [f"recipe = {_quoted(one.name)}", f"machine = {_quoted(f'any-{device}')}", "", "[kpi.targets]"]
        for name, bound, why in one.targets:
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
    value = _toml({"file": path, **more} if more else path)
    yield f"data = {value} # 20 % for calibration, 20 % to tune on, the rest to judge by"


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
