"""A pass answers for its result: what it wrote is loaded and runs one sample before it enters the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import KpiError, reason
from harness.passes.base import Job
from harness.workload import Workload

if TYPE_CHECKING:
    from harness.passes.data import Arrays

_FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
_LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True, slots=True)
class Output:
    """One output as it came for ``batch`` samples: its ``names``, since OpenVINO may know several, type, shape."""

    names: frozenset[str]
    dtype: str
    shape: tuple[int, ...]
    batch: int

    def __str__(self) -> str:
        return f'"{min(self.names, default="")}" {self.dtype} {list(self.shape)}'


def check_loadable(job: Job, made: str) -> None:
    """Loads what a pass left in ``job.out`` and runs one sample; raises KpiError where either can't be done.

    ``made`` is its format. Its outputs must have the names, types and shapes of those of the model that was read, or
    the workload's names. Formats other than ONNX and OpenVINO, and models that are not of tensors, are left alone.
    """
    file = job.out / _FILES.get(made, "")
    if made not in _FILES or not isinstance(job.workload, Workload) or find_spec(_LIBRARIES[made]) is None:
        return
    feeds = _sample(job.workload)
    try:
        after = _RUN[made](file, feeds)
    except Exception as error:
        raise KpiError(f"the model that it wrote does not run: {reason(error)}") from error
    _check_batch(after, job.workload.outputs)
    before = _before(job, feeds)
    if before is not None:
        _compare(before, after)
        return
    names = [output.names for output in after]
    if len(names) < len(job.workload.outputs) or any(
        found and name not in found for name, found in zip(job.workload.outputs, names, strict=False)
    ):
        shown = ", ".join(map(str, after))
        raise KpiError(f"the model that it wrote gives {shown}, the workload names {', '.join(job.workload.outputs)}")


def _before(job: Job, feeds: Arrays) -> Sequence[Output] | None:
    """The outputs of the model that the pass read; None where that is no file of a format that runs here."""
    for made, name in _FILES.items():
        if job.source is not None and job.input(name).exists() and find_spec(_LIBRARIES[made]) is not None:
            return _RUN[made](job.input(name), feeds)
    return None


def _check_batch(outputs: Sequence[Output], names: Sequence[str]) -> None:
    """Of the outputs that the workload names, the first axis must count the samples that were given."""
    for output in outputs:
        if output.names.intersection(names) and output.shape[:1] != (output.batch,):
            raise KpiError(
                f"the model that it wrote gives {output} for a batch of {output.batch}: "
                "its first axis is not the batch",
                "set batch = 1 where the network is exported, or keep the first axis in the network",
            )


def _compare(before: Sequence[Output], after: Sequence[Output]) -> None:
    if len(before) != len(after):
        raise KpiError(f"the model that it wrote has {len(after)} outputs, the one that it read has {len(before)}")
    for old, new in zip(before, after, strict=True):
        renamed = old.names and new.names and not old.names & new.names
        if renamed or (old.dtype, old.shape) != (new.dtype, new.shape):
            raise KpiError(f"the model that it wrote gives {new} where the one that it read gives {old}")


def _sample(workload: Workload) -> Arrays:
    """The first training sample; zeros where there is no training data, since only names and shapes are looked at."""
    import numpy as np

    try:
        feeds = workload.split("training").inputs(0, 1)
    except (KpiError, LookupError, ValueError, OSError):
        feeds = {}
    if feeds and all(len(array) for array in feeds.values()):
        return feeds
    return {spec.name: np.zeros((1, *spec.shape), spec.dtype) for spec in workload.inputs}


def _fitting(feeds: Arrays, batch: Mapping[str, int | None]) -> Arrays:
    """The sample as often as each input's fixed batch wants it; None is a batch that may vary."""
    import numpy as np

    return {name: np.repeat(array, batch.get(name) or 1, axis=0) for name, array in feeds.items()}


def _batch(feeds: Arrays) -> int:
    return len(next(iter(feeds.values())))


def _run_onnx(file: Path, feeds: Arrays) -> list[Output]:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    fixed = {i.name: i.shape[0] if i.shape and isinstance(i.shape[0], int) else None for i in session.get_inputs()}
    given = _fitting(feeds, fixed)
    values = session.run(None, given)
    return [
        Output(frozenset({output.name}), str(value.dtype), value.shape, _batch(given))
        for output, value in zip(session.get_outputs(), values, strict=True)
    ]


def _run_openvino(file: Path, feeds: Arrays) -> list[Output]:
    import openvino as ov

    compiled = ov.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    fixed: dict[str, int | None] = {}
    for port in compiled.inputs:
        shape = port.partial_shape
        size = shape[0].get_length() if shape.rank.is_static and len(shape) and shape[0].is_static else None
        fixed |= dict.fromkeys(port.get_names(), size)
    given = _fitting(feeds, fixed)
    values = compiled(given).to_tuple()
    return [
        Output(frozenset(port.get_names()), str(value.dtype), value.shape, _batch(given))
        for port, value in zip(compiled.outputs, values, strict=True)
    ]


_RUN: Mapping[str, Callable[[Path, Any], list[Output]]] = {"onnx": _run_onnx, "openvino": _run_openvino}


def check_language_model(source: Path, made: Path) -> None:
    """Compiles a language model's IR and runs it on one token; KpiError where it can't be, or where it became another.

    Inputs and outputs must have the names and types of those of ``source``.
    """
    import numpy as np
    import openvino as ov

    try:
        compiled = ov.compile_model(str(made), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        compiled(
            {
                port.get_any_name(): np.ones(
                    [side.get_length() if side.is_static else 1 for side in port.partial_shape],
                    port.get_element_type().to_dtype(),
                )
                # The beam that a state belongs to is counted from 0; all else may be 1.
                * (0 if "beam_idx" in port.get_names() else 1)
                for port in compiled.inputs
            }
        )
    except Exception as error:
        raise KpiError(f"the model that it wrote does not run: {reason(error)}") from error
    read = ov.Core().read_model(str(source))
    for what, before, after in (
        ("inputs", read.inputs, compiled.inputs),
        ("outputs", read.outputs, compiled.outputs),
    ):
        old, new = _ports(before), _ports(after)
        if old != new:
            raise KpiError(f"the model that it wrote has the {what} {new}, the one that it read has {old}")


def _ports(ports: Sequence[Any]) -> str:
    return ", ".join(sorted(f"{port.get_any_name()} {port.get_element_type().get_type_name()}" for port in ports))
