"""Compares what a pass wrote with what it read: real samples through both, in the runtime that is to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.build.artifact import tensor_facts
from harness.build.passes.base import Pass, PassContext
from harness.build.passes.narrow import network_of
from harness.build.passes.network import named_outputs
from harness.core.errors import KpiError, reason
from harness.core.naming import Naming
from harness.core.state import play
from harness.spec.catalog import model_files
from harness.workloads.base import TensorWorkload
from harness.workloads.errors import located
from harness.workloads.files.signature import read_signature, signature_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from harness.build.passes.model_file import ModelFile

    Arrays = Mapping[str, npt.NDArray[np.generic]]
    Run = Callable[[Arrays], dict[str, npt.NDArray[np.generic]]]

SAMPLES = 4
_BATCH = 3
_ROUNDING = 1e-6
_SAME = 1e-3  # far beyond rounding, far below another answer


class Comparison:
    """The largest difference between the outputs of what a pass read and of what it wrote.

    ``tolerance`` is a share of the spread of the values that were read; None where the pass changes them on purpose.
    """

    def __init__(self, name: str, tolerance: float | None) -> None:
        self.name = name
        self._tolerance = tolerance
        self._samples: set[int] = set()
        self._batches: set[int] = set()
        self._difference, self._output, self._sample, self._batch = 0.0, "", 0, 1

    def add(self, wanted: Arrays, found: Arrays, rows: Sequence[int]) -> None:
        """Takes the outputs of one batch; ``rows`` are the samples in it.

        Raises KpiError where names, shapes or types differ, or numbers are not finite.
        """
        self._samples.update(rows)
        self._batches.add(len(rows))
        _check_finite(self.name, "read", wanted, rows)
        _check_finite(self.name, "wrote", found, rows)
        for output, row, apart in _differences(self.name, wanted, found):
            if apart >= self._difference:
                self._difference, self._output, self._sample, self._batch = apart, output, rows[row], len(rows)

    def finish(self, cause: Callable[[], str] = lambda: "") -> dict[str, Any]:
        """What the manifest keeps. Raises KpiError, with ``cause`` as the remedy, beyond the tolerance."""
        if self._tolerance is not None and self._difference > self._tolerance:
            raise KpiError(
                f'pass "{self.name}": what it wrote gives other answers than what it read: {self._output} of sample '
                f"{self._sample}, in a batch of {self._batch}, differs by {100 * self._difference:.3g} % of the spread "
                f"of its values, permitted are {100 * self._tolerance:g} %",
                cause() or "the export is wrong: try another exporter, opset or version of the library",
            )
        return {
            "pass": self.name,
            "samples": len(self._samples),
            "batches": sorted(self._batches),
            "tolerance": self._tolerance,
            "difference": self._difference,
            "output": self._output,
            "sample": self._sample,
            "batch": self._batch,
        }


def check(job: PassContext, chosen: Pass) -> dict[str, Any] | None:
    """Runs real samples through what the pass read and what it wrote, alone and in a batch.

    Returns the largest difference for the manifest; None where the pass is not for models of tensors or its format is
    not known here. Raises KpiError where the files can't be run, or as :class:`Comparison` does.
    """
    made = _readers().get(type(chosen).output_format)
    if made is None or not isinstance(job.workload, TensorWorkload):
        return None
    name = type(chosen).name
    samples = job.tensors.probes(SAMPLES)
    count = len(next(iter(samples.values())))
    job.progress(f"comparing on {count} samples")
    read, naming = _sequenced(_source(job, chosen), job.tensors), _naming(job)
    try:
        written = _sequenced(_by_names(made.open(job.out, job.tensors), naming), job.tensors)
    except Exception as error:
        raise KpiError(f'pass "{name}": what it wrote does not run: {reason(error)}', chosen.remedy(error)) from error

    def ask(run: Run, feeds: Arrays, which: str) -> dict[str, npt.NDArray[np.generic]]:
        return _run(run, feeds, f'pass "{name}": what it {which}', job.root)

    comparison = Comparison(name, chosen.tolerance)
    for rows in batches(count, chosen.batch or fixed_batch(job.out, job.tensors)):
        feeds = {key: array[rows] for key, array in samples.items()}
        wanted, found = ask(read, feeds, "read"), ask(written, feeds, "wrote")
        _check_batch(name, wanted, len(rows))
        if len(rows) == 1:
            _check_repeats(name, wanted, ask(read, feeds, "read"))
        comparison.add(wanted, found, rows)
    return comparison.finish(lambda: _cause(job, samples, read, written))


def check_alone(job: PassContext, chosen: Pass, naming: Naming, made: str = "") -> dict[str, Any]:
    """Runs real samples through a file that no pass made: alone, again, and in a batch.

    ``naming`` is what the workload calls its inputs and outputs; ``made`` is its format, by default that of the pass.

    Returns for the manifest by how much the answer to a sample depends on the others of its batch. Raises KpiError
    where the file does not run or answers differently when it is asked again, or as :class:`Comparison` does.
    """
    import numpy as np

    name = type(chosen).name
    samples = job.tensors.probes(SAMPLES)
    count = len(next(iter(samples.values())))
    job.progress(f"looking at {count} samples")
    try:
        run = _by_names(_readers()[made or type(chosen).output_format].open(job.out, job.tensors), naming)
        run = _sequenced(run, job.tensors)
    except Exception as error:
        raise KpiError(f'pass "{name}": the file does not run: {reason(error)}', chosen.remedy(error)) from error
    wanted = job.tensors.read_outputs

    def ask(rows: Sequence[int]) -> dict[str, npt.NDArray[np.generic]]:
        feeds = {key: array[list(rows)] for key, array in samples.items()}
        said = _run(run, feeds, f'pass "{name}": the file', job.root)
        if lacking := [output for output in wanted if output not in said]:
            raise KpiError(
                f'pass "{name}": the file answers {", ".join(said)}, not {", ".join(lacking)}',
                f'say in the recipe which it is: outputs = {{ {next(iter(said), "...")} = "{lacking[0]}" }}',
            )
        answer = {output: said[output] for output in wanted}
        _check_batch(name, answer, len(rows))
        return answer

    comparison, fixed = Comparison(name, chosen.tolerance), fixed_batch(job.out, job.tensors)
    alone: dict[int, dict[str, npt.NDArray[np.generic]]] = {}
    for rows in batches(count, fixed):
        answer = ask(rows)
        if len(rows) in (1, fixed):
            _check_repeats(name, answer, ask(rows))
            comparison.add(answer, answer, rows)
            alone.update({row: {o: values[place] for o, values in answer.items()} for place, row in enumerate(rows)})
        else:
            comparison.add({o: np.stack([alone[row][o] for row in rows]) for o in wanted}, answer, rows)
    return comparison.finish()


def _sequenced(run: Run, workload: TensorWorkload) -> Run:
    """Plays whole sequences where the model keeps state; answers have the batch as their first axis."""
    if workload.state:
        return lambda feeds: play(run, feeds, workload.state)
    return lambda feeds: dict(workload.even(run(feeds)))


def source_run(job: PassContext) -> Run | None:
    """Runs batches (of a model with state: frames) through the file that a pass reads; None where it reads none."""
    for reader in _readers().values():
        if job.source is not None and job.input(reader.file).exists():
            return _by_names(reader.open(job.source, job.tensors), _naming(job))
    return None


def _naming(job: PassContext) -> Naming:
    """What the workload calls the inputs and outputs of the file that a pass reads."""
    return tensor_facts(job.source).naming if job.source is not None else Naming()


def _by_names(run: Run, naming: Naming) -> Run:
    return (lambda feeds: naming.answered(run(naming.asked(feeds)))) if naming else run


def _cause(job: PassContext, samples: Arrays, read: Run, written: Run) -> str:
    """What the difference looks like, for the remedy: outputs that were swapped are the only kind told apart."""
    feeds = {key: array[:1] for key, array in samples.items()}
    wanted, found = read(feeds), written(feeds)
    for one in wanted:
        for other in found:
            if one != other and wanted[one].shape == found[other].shape and _apart(wanted[one], found[other]) < _SAME:
                return (
                    f"{other} holds what the network answers as {one}: let {type(job.workload).__name__}.outputs "
                    "name them in the order in which they are returned"
                )
    return ""


def batches(count: int, fixed: int | None = None) -> Iterator[list[int]]:
    """Rows of the samples: each alone, then together; only batches of one size where the file takes no other."""
    if fixed is not None:
        for start in range(0, count, fixed):
            yield [(start + row) % count for row in range(fixed)]
        return
    yield from ([row] for row in range(count))
    if count > 1:
        yield list(range(min(_BATCH, count)))


def fixed_batch(folder: Path, workload: TensorWorkload, name: str = "") -> int | None:
    """The only batch size that the model file of a folder takes, or the one of that name; None where it takes any.

    1 where the workload gives one sample at a time.
    """
    if workload.one_by_one:
        return 1
    signature = read_signature(folder / name) if name else signature_of(folder)
    return signature.without(workload.state).batch if signature else None


def _run(run: Run, feeds: Arrays, what: str, root: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        return run(feeds)
    except KpiError:
        raise
    except Exception as error:
        if located(error, root):
            raise  # the fixture's own line says more
        size = len(next(iter(feeds.values())))
        raise KpiError(f"{what} does not run on a batch of {size}: {reason(error)}") from error


def _check_finite(name: str, which: str, outputs: Arrays, rows: Sequence[int]) -> None:
    import numpy as np

    for output, array in outputs.items():
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
            raise KpiError(f'pass "{name}": what it {which} answers {output} of type {array.dtype}, not numbers')
        if not np.isfinite(array).all():
            bad = next(
                (row for row, values in zip(rows, array, strict=False) if not np.isfinite(values).all()), rows[0]
            )
            raise KpiError(
                f'pass "{name}": what it {which} answers {output} with NaN or infinity on sample {bad}',
                "look for overflow, a division by zero or damaged weights in the model",
            )


def _check_batch(name: str, outputs: Arrays, size: int) -> None:
    for output, array in outputs.items():
        if array.shape[:1] != (size,):
            raise KpiError(
                f'pass "{name}": what it read answers {output} of shape {array.shape} to a batch of {size}: its first '
                "axis is not the batch",
                "set batch = 1 where the network is exported, or keep the first axis in the network",
            )


def _check_repeats(name: str, first: Arrays, again: Arrays) -> None:
    if any(_apart(first[output], again[output]) > _SAME for output in first):
        raise KpiError(
            f'pass "{name}": what it read answers the same sample differently each time',
            "a model that draws random numbers, such as dropout that is always on, can't be judged, nor one that keeps "
            "state inside itself",
        )


def _differences(name: str, wanted: Arrays, found: Arrays) -> Iterator[tuple[str, int, float]]:
    """For each output the row of the batch with the largest difference, and that difference."""
    import numpy as np

    for output, right in wanted.items():
        if output not in found:
            raise KpiError(f'pass "{name}": what it wrote answers {", ".join(found) or "nothing"}, not {output}')
        got = found[output]
        if got.shape != right.shape:
            raise KpiError(
                f'pass "{name}": what it wrote answers {output} of shape {got.shape}, what it read of shape '
                f"{right.shape}"
            )
        # Which integer is of no concern: OpenVINO chooses its own.
        if got.dtype.kind != right.dtype.kind or (got.dtype.kind == "f" and got.dtype != right.dtype):
            raise KpiError(
                f'pass "{name}": what it wrote answers {output} as {got.dtype}, what it read as {right.dtype}',
                "add no argmax or cast to the model, metrics need the values",
            )
        each = [_apart(a, b, right) for a, b in zip(right, got, strict=True)] if right.ndim else [_apart(right, got)]
        worst = int(np.argmax(each)) if each else 0
        yield output, worst, each[worst] if each else 0.0


def _apart(
    a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], among: npt.NDArray[np.generic] | None = None
) -> float:
    """The largest difference, as a share of the spread of ``among`` (of ``a`` by default)."""
    import numpy as np

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not first.size:
        return 0.0
    values = first if among is None else np.asarray(among, dtype=np.float64)
    # One column has no spread within one sample: its own size then is the scale.
    scale = max(float(np.ptp(values)), float(np.abs(values).max()) / 10, 1e-6)
    # Below what single precision can tell of values around one, such as probabilities near zero, nothing is meant.
    return max(0.0, float(np.abs(first - second).max()) - _ROUNDING) / scale


def _source(job: PassContext, chosen: Pass) -> Run:
    if run := source_run(job):
        return run
    own = chosen.source_network(job) if job.source else None
    return _of_network(job.tensors, (own or network_of(job)).eval())


def _of_network(workload: TensorWorkload, network: torch.nn.Module) -> Run:
    import torch

    def run(feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        with torch.inference_mode():
            said = network(*(torch.from_numpy(feeds[name].copy()) for name in workload.input_names))
        return {name: tensor.numpy() for name, tensor in named_outputs(workload.outputs, said).items()}

    return run


class _Reader(NamedTuple):
    """How the model file of a format is asked."""

    file: str
    open: Callable[[Path, TensorWorkload], Run]


def can_ask(made: str) -> bool:
    """Whether files of a format can be asked here."""
    return made in _readers()


def _readers() -> dict[str, _Reader]:
    """By format: a recipe's first file says itself how it is asked; a program is what its network answers."""
    known = {cls.output_format: _Reader(f"model{cls.suffixes[0]}", _by_file(cls)) for cls in model_files().values()}
    return {**known, "torch": _Reader("model.pt2", _of_program)}


def _by_file(cls: type[ModelFile]) -> Callable[[Path, TensorWorkload], Run]:
    return lambda folder, _: cls.opened(folder)


def _of_program(folder: Path, workload: TensorWorkload) -> Run:
    import torch

    return _of_network(workload, torch.export.load(str(folder / "model.pt2")).module())
