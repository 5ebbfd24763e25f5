"""What a fixture provides: the reference model, its data, what identifies both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.core.arrays import a, array_fault, batch_axis
from harness.core.data_files import DataFiles
from harness.core.errors import FixtureMistake, KpiError, Unavailable, suggest
from harness.core.state import StateInput
from harness.workloads.batches import alike, even, taken

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch


DTYPES = ("bool", "float16", "float32", "float64", "int16", "int32", "int64", "int8", "uint8")
"""What NumPy, PyTorch, ONNX and the runtimes all know, by one name."""
_SHORT = {"half": "float16", "float": "float32", "double": "float64", "short": "int16", "int": "int32", "long": "int64"}
"""PyTorch's other names: NumPy means something else by some of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The workload's table in ``kpis.toml``; ``cache`` is a folder where generated data may be kept.

    ``chat_template`` is "none" or the path of a file; None is the model's own. ``data_files``, ``scored``,
    ``constants``, ``state`` and ``batch_axis`` are those of a workload without code of its own; ``task_options`` are
    the task's.
    """

    name: str
    task: str
    checkpoint: Path | None
    checkpoint_sha256: str | None
    model: str | None
    data: Path | None
    allow_pickle: bool
    trust_remote_code: bool
    cache: Path
    chat_template: str | None = None
    data_files: DataFiles | None = None
    scored: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    batch_axis: Mapping[str, int] = field(default_factory=dict)
    task_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        paths = {key: None if data[key] is None else Path(data[key]) for key in ("checkpoint", "data", "cache")}
        files = data.get("data_files")
        return cls(**{**data, **paths, "data_files": files and DataFiles.from_json(files)})


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input of the model; ``shape`` is that of one sample, without the batch axis, which is always the first.

    Axes in ``varies``, counted from 0, may be smaller in some samples, which the split tells apart by its ``shapes``;
    all other sizes are fixed. Inputs that all samples share (a scalar, a state) and another batch axis are for models
    that are files alone. Raises FixtureMistake for what is not a shape or a type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    varies: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        given: Any = self.shape
        if not isinstance(self.name, str) or not self.name:
            raise FixtureMistake(f"TensorSpec: the name of an input must be text, not {self.name!r}")
        if not isinstance(given, tuple | list):
            raise FixtureMistake(
                f'input "{self.name}": the shape must be a tuple, not {given!r}', "write (3, 224, 224)"
            )
        if not given:
            raise FixtureMistake(
                f'input "{self.name}": the shape is empty; a scalar that all samples share is not supported yet',
                "write (1,) for one number a sample, or make it a constant of the model",
            )
        # NumPy's integers are numbers too; True is not a size.
        odd = [size for size in given if isinstance(size, bool) or not isinstance(size, Integral) or size < 1]
        if odd:
            raise FixtureMistake(
                f'input "{self.name}": {odd[0]!r} in the shape {given!r} is not a whole number above 0',
                "give one sample's shape without the batch axis, and pad samples to one length; or give the largest "
                "size, and its axis in `varies`",
            )
        if self.dtype not in DTYPES:
            meant = f'unknown dtype "{self.dtype}"; write "{_SHORT.get(self.dtype)}"'
            raise FixtureMistake(
                f'input "{self.name}": {meant if self.dtype in _SHORT else suggest(self.dtype, DTYPES, "dtype")}'
            )
        object.__setattr__(self, "shape", tuple(map(int, given)))


UNREADABLE = (KpiError, LookupError, ValueError, TypeError, OSError, RuntimeError, AssertionError, AttributeError)
"""What a fixture raises that has no such split, or one that can't be read."""


class Split(ABC):
    """One part of the data: samples ready for the model, in a fixed order."""

    @property
    @abstractmethod
    def labels(self) -> npt.NDArray[np.int64]:
        """What is right for each sample: a class, (n,); an answer's two ends, (n, 2); classes of pixels, (n, ...)."""

    @abstractmethod
    def inputs(self, start: int, stop: int) -> dict[str, npt.NDArray[np.generic]]:
        """Samples ``start`` to ``stop`` by tensor name, each of shape (stop - start, ...)."""

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        """The document, clip or speaker that each sample comes from, n of them; None where samples are independent.

        Samples of one cluster go right or wrong together, so that bounds of scores count clusters.
        """
        return None

    @property
    def slices(self) -> Sequence[str] | None:
        """The part that each sample belongs to (night, rain), n names; None where no parts are told apart."""
        return None

    @property
    def shapes(self) -> Sequence[Hashable] | None:
        """For each sample a name of its shape, n of them: only samples of one shape are asked for together.

        None where all have the same.
        """
        return None

    def __len__(self) -> int:
        return len(self.labels)


class ArraySplit(Split):
    """A split that fits in memory: arrays by tensor name, the first axis counting samples, with their labels.

    Raises FixtureMistake where there are not as many samples as labels, or as clusters or slices where these are given.
    """

    def __init__(
        self,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        labels: npt.NDArray[np.int64],
        clusters: Sequence[Hashable] | None = None,
        slices: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(arrays, Mapping):
            raise FixtureMistake(f"ArraySplit: the arrays are {a(arrays)}", "give a dictionary: input name to array")
        for what, array in (("labels", labels), *((f'"{name}"', array) for name, array in arrays.items())):
            if fault := array_fault(array):
                raise FixtureMistake(f"ArraySplit: {what} {fault}", "write np.asarray(...)")
            if len(array) != len(labels):
                said = f"ArraySplit: {what} has {len(array)} samples, and there are {len(labels)} labels"
                raise FixtureMistake(said, batch_axis(array.shape, len(labels)) or "give one label a sample")
        for what, names in (("clusters", clusters), ("slices", slices)):
            if names is not None and len(names) != len(labels):
                said = f"ArraySplit: there are {len(names)} {what} for {len(labels)} samples"
                raise FixtureMistake(said, "name one for each sample")
        self._arrays = dict(arrays)
        self._labels = labels
        self._clusters = clusters
        self._slices = slices

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """What is right for each sample."""
        return self._labels

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        """Where each sample comes from, as it was given."""
        return self._clusters

    @property
    def slices(self) -> Sequence[str] | None:
        """The part that each sample belongs to, as it was given."""
        return self._slices

    def take(self, rows: Sequence[int]) -> dict[str, npt.NDArray[np.generic]]:
        """Some samples by tensor name, in the order of ``rows``."""
        return {name: array[list(rows)] for name, array in self._arrays.items()}

    def inputs(self, start: int, stop: int) -> dict[str, npt.NDArray[np.generic]]:
        """Samples ``start`` to ``stop`` by tensor name."""
        return {name: array[start:stop] for name, array in self._arrays.items()}


class Workload(ABC):
    """What every workload says of itself. A fixture package defines exactly one concrete subclass.

    Importing the package must be cheap and must not import torch: it is imported by processes that only read data.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes when the weights or the data change. Raises Unavailable when either is not here."""

    @abstractmethod
    def about(self) -> dict[str, str]:
        """Where weights and data come from, for a person: shown by ``kpi doctor`` and in the evidence."""

    @property
    def input_names(self) -> list[str]:
        """What the model takes, by name."""
        return []

    @abstractmethod
    def write_samples(self, folder: Path, count: int) -> None:
        """Writes the requests that latency and throughput are measured with, ``count`` of them at most."""


@dataclass(frozen=True, slots=True)
class StudentNetwork:
    """A narrower network that takes what the reference takes; ``trained`` says whether its weights are shipped."""

    network: torch.nn.Module
    trained: bool


class TensorWorkload(Workload):
    """A model of tensors: the reference network and its data.

    ``outputs`` names what the network returns, in that order, or by its keys where it returns a mapping; ``scored`` is
    the one that accuracy and parity are of, where there are several. Where there is ``state``, a sample is a sequence.
    ``gaps`` says that NaN in an input means a value that is not known, and is meant; ``class_names`` are those of the
    classes in the model's order, where they have any.
    """

    outputs: tuple[str, ...]
    scored: str | None = None
    state: tuple[StateInput, ...] = ()
    gaps: bool = False
    class_names: tuple[str, ...] = ()

    @property
    def one_by_one(self) -> bool:
        """Whether the model is given one sample at a time and no batches."""
        return False

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know of how samples become inputs, a line each."""
        return ()

    @property
    def _who(self) -> str:
        """Whose outputs they are, as messages say it."""
        return type(self).__name__

    @property
    def scored_output(self) -> str:
        """The output that accuracy and parity are of: the one that ``scored`` names, or the only one.

        Raises KpiError where there are several and none is marked.
        """
        if self.scored is not None and self.scored not in self.outputs:
            raise KpiError(
                f"{self._who}: scored names {self.scored}, the outputs are {', '.join(self.outputs)}",
                "name one of them",
            )
        if self.scored is None and len(self.outputs) != 1:
            raise KpiError(
                f"{self._who} has {len(self.outputs)} outputs: {', '.join(self.outputs)}",
                f'mark the one that is scored: scored = "{self.outputs[-1] if self.outputs else "logits"}"',
            )
        return self.scored or self.outputs[0]

    @property
    def read_outputs(self) -> tuple[str, ...]:
        """The outputs that scores are made of: the scored one, unless the task reads several.

        Raises KpiError as ``scored_output`` does.
        """
        return (self.scored_output,)

    def even(self, outputs: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """What a file answers with the batch as the first axis: as it is, but for a few that find things one by one."""
        return outputs

    def read(self, outputs: Mapping[str, npt.NDArray[Any]], feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """What is scored of the outputs of a batch, (samples, ...), that ``feeds`` were answered with."""
        del feeds
        return outputs[self.scored_output]

    @property
    @abstractmethod
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The input tensors, in the order in which the network takes them."""

    @property
    def input_names(self) -> list[str]:
        """The input tensors, by name."""
        return [spec.name for spec in self.inputs]

    def write_samples(self, folder: Path, count: int) -> None:
        """One array per input, as the model takes them, from the evaluation split.

        Samples of other shapes than the most frequent one go to folders of their own: 1, 2 and so on.
        """
        import numpy as np

        split = self.split("evaluation")
        for number, rows in enumerate(alike(split, range(min(count, len(split))))):
            place = folder / str(number) if number else folder
            place.mkdir(exist_ok=True)
            for name, array in taken(split, rows).items():
                np.save(place / f"{quote(name, safe='')}.npy", array)

    @abstractmethod
    def model(self) -> torch.nn.Module:
        """The FP32 reference with its weights, in evaluation mode, on the CPU."""

    def student(self, width: float, pixels: int) -> StudentNetwork:
        """A network of ``width`` times the channels that looks at pictures of ``pixels`` a side.

        It makes them smaller itself, from the reference's own input. Raises Unavailable where there is none.
        """
        raise Unavailable(
            f"the fixture of {self.settings.name} has no network of width {width:g} for {pixels} pixels",
            "its workload says which by the method `student`",
        )

    def some(self, name: str, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """Up to ``count`` samples of one shape by tensor name, from all of the split.

        Arrays without samples where it is empty.
        """
        import numpy as np

        split = self.split(name)
        if not len(split):
            return {name: np.zeros((0,)) for name in self.input_names}
        rows = alike(split, range(len(split)))[0]
        return taken(split, [rows[place] for place in even(len(rows), count)])

    def probes(self, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """Real samples on which what a pass wrote is compared with what it read.

        Of the training split where there is one, so that no pass sees what it is judged by.
        """
        for name in ("training", "evaluation"):
            try:
                found = self.some(name, count)
            except UNREADABLE:
                # What needs the training split will say what is wrong with it.
                if name == "evaluation":
                    raise
                continue
            if len(found[self.input_names[0]]):
                return found
        raise KpiError(f"{self.settings.name} has no samples", "give the evaluation split some")

    @abstractmethod
    def split(self, name: str) -> Split:
        """``training`` (calibration is drawn from it), ``validation`` (recipes tune on it) or ``evaluation``."""


def cached_array(
    path: Path, shape: tuple[int, ...], dtype: str, fill: Callable[[npt.NDArray[Any]], None]
) -> npt.NDArray[Any]:
    """A read-only memory-mapped array at ``path`` (.npy), made once by ``fill`` and shared by all processes."""
    import numpy as np
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            aside = path.with_suffix(".part")
            array = np.lib.format.open_memmap(aside, mode="w+", dtype=np.dtype(dtype), shape=shape)
            fill(array)
            array.flush()
            del array
            aside.replace(path)
    made: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    return made
