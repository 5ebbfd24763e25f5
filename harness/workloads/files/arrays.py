"""Reads files of arrays, and holds them against the inputs of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason, suggest
from harness.workloads.base import DTYPES, TensorSpec
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.lines import LINES, Lines, columns_of, numbered
from harness.workloads.files.samples import Rows, Samples
from harness.workloads.overlap import digests

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Port, Signature

    Array = npt.NDArray[np.generic]

SUFFIXES = (".npz", ".npy", ".safetensors", LINES)
_PART = 256
"""So many samples are digested at once."""
ONLY = ""
"""The name of the array in a file that holds a single one without a name."""


class Arrays(Mapping[str, "Array"]):
    """The arrays of one file by name, each read when it is asked for.

    ``text`` names those that are text where the file does not say it. Raises KpiError, with the reason, for what is not
    such a file or holds Python objects; Unavailable where the file is not here.
    """

    def __init__(self, file: Path, text: Sequence[str] = ()) -> None:
        self.file = file
        self._text = text
        self._read: dict[str, Array] = {}
        self._names, self._load = self._opened()

    def __getitem__(self, name: str) -> Array:
        if name not in self._read:
            try:
                self._read[name] = self._load[name]
            except KeyError:
                raise
            except Exception as error:
                raise KpiError(
                    f'{self.file.name}: "{name}" can\'t be read: {reason(error)}',
                    "save arrays of numbers or text, not of Python objects",
                ) from error
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def make(self, name: str, dtype: str) -> None:
        """Gives the numbers of a file that says no types the type that is wanted, where no number changes by it."""
        import numpy as np

        if self.file.suffix.lower() == LINES:
            array = self[name]
            made = array.astype(dtype)
            if made.dtype.kind == "f" or np.array_equal(made.astype(array.dtype), array):
                self._read[name] = made

    def _opened(self) -> tuple[list[str], Any]:
        import numpy as np

        if not self.file.is_file():
            raise Unavailable(f"data {self.file} is not here", "check its path")
        suffix = self.file.suffix.lower()
        if suffix == LINES:
            columns = columns_of(self.file, self._text)
            return list(columns), columns
        try:
            if suffix == ".npz":
                opened = np.load(self.file, allow_pickle=False)
                return list(opened.files), opened
            if suffix == ".npy":
                return [ONLY], {ONLY: np.load(self.file, mmap_mode="r", allow_pickle=False)}
            if suffix == ".safetensors":
                from safetensors.numpy import load_file

                tensors = load_file(self.file)
                return list(tensors), tensors
        except ImportError as error:
            raise Unavailable(f"{self.file.name} needs {error.name} to be read", f"pip install {error.name}") from error
        except Exception as error:
            raise KpiError(
                f"{self.file.name} can't be read: {reason(error)}", "is it truncated, or of another format?"
            ) from error
        raise KpiError(f"{self.file.name} is of no format that is known", f"known are {', '.join(SUFFIXES)}")


class ArraySamples(Samples):
    """What the arrays of one file are: which are the inputs, what is known of each sample.

    Raises KpiError where they do not fit the model, with what was found and what is expected.
    """

    def __init__(self, file: Path, signature: Signature, model: str, data: DataFiles) -> None:
        self._place = file
        self._file = file.name
        self._model = model
        self._data = data
        self._arrays = self._opened()
        self._ports = tuple(port.name for port in signature.inputs)
        self.keys = {port.name: self._key(port, signature) for port in signature.inputs}
        for port in signature.inputs:
            if isinstance(self._arrays, Arrays) and port.dtype in DTYPES:
                self._arrays.make(self.keys[port.name], port.dtype)
            self._check(port)
        self._samples = self._count()

    def _opened(self) -> Mapping[str, Array]:
        return Arrays(self._place, (self._data.slice, self._data.cluster))

    @property
    def count(self) -> int:
        return self._samples

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The inputs as the samples are: sizes that the model leaves open are those of the arrays."""
        return tuple(
            TensorSpec(name, self._arrays[key].shape[1:], str(self._arrays[key].dtype))
            for name, key in self.keys.items()
        )

    def take(self, rows: Rows) -> dict[str, Array]:
        return {name: self._arrays[key][rows] for name, key in self.keys.items()}

    def digest(self, cache: Path) -> str:
        return remembered_digest(self._place, cache)

    def units(self) -> list[str]:
        found: list[str] = []
        for start in range(0, self.count, _PART):
            found += digests(self.take(slice(start, start + _PART)))
        return found

    @cached_property
    def labels(self) -> npt.NDArray[Any] | None:
        if self._place.suffix.lower() == LINES:
            return Lines(self._place).labels(self._data.label, self._data.classes)
        found = self._column(self._data.label)
        if found is not None and found.dtype.kind in "US":
            return self._places(_text(found).tolist())
        return found.astype("int64") if found is not None and found.dtype.kind == "b" else found

    def _places(self, names: list[str]) -> npt.NDArray[Any]:
        """Names of classes as their places. Raises KpiError where nothing says what these are."""
        import numpy as np

        where, classes = f'"{self._data.label}" in {self._file}', self._data.classes
        found = [numbered(name, classes, f"{where}, sample {row}") for row, name in enumerate(names)]
        return np.array(found, dtype=np.int64)

    @property
    def clusters(self) -> list[Any] | None:
        found = self._column(self._data.cluster)
        return None if found is None else found.tolist()

    @property
    def slices(self) -> list[str] | None:
        found = self._column(self._data.slice)
        return None if found is None else [str(name) for name in _text(found).tolist()]

    def needs_labels(self) -> KpiError:
        rest = [name for name in self._arrays if name not in self.keys.values() and name != ONLY]
        said = suggest(self._data.label, rest, "array") if rest else "it holds nothing but inputs"
        return KpiError(
            f"{self._file} has no labels: {said}",
            f'name them "{self._data.label}", or say which they are: data = {{ file = "{self._file}", label = "..." }}'
            '; the task "tensors" needs none',
        )

    def _key(self, port: Port, signature: Signature) -> str:
        if port.name in self._data.inputs:
            key = self._data.inputs[port.name]
            if key not in self._arrays:
                raise self._lacking(port, key)
            return key
        if port.name in self._arrays:
            return port.name
        if len(signature.inputs) == 1 and list(self._arrays) == [ONLY]:
            return ONLY
        raise self._lacking(port, port.name)

    def _lacking(self, port: Port, key: str) -> KpiError:
        own = (self._data.label, self._data.slice, self._data.cluster)
        near = [name for name in self._arrays if name not in (*own, *self._ports, ONLY)]
        named = f'inputs = {{ "{port.name}" = "{near[0] if near else "..."}" }}'
        has = ", ".join(filter(None, self._arrays)) or (
            "one without a name" if ONLY in self._arrays else "none of numbers"
        )
        lines = self._place.suffix.lower() == LINES
        more = "; texts need [workload.NAME.preprocess] with a tokenizer" if lines else ""
        if len(self._ports) > 1:
            more += "; what all samples share is a constant, what the answers carry on is state"
        return KpiError(
            f'{self._file} has no array "{key}", it has {has}; {self._model} takes {port}',
            f'name the array as the input, or say which it is: data = {{ file = "{self._file}", {named} }}{more}',
        )

    def _check(self, port: Port) -> None:
        array = self._arrays[self.keys[port.name]]
        shown = f'"{self.keys[port.name] or port.name}" in {self._file}'
        expected = f"{self._model} takes {port}"
        if port.dtype not in DTYPES:
            raise KpiError(f"{expected}: inputs of type {port.dtype} are not supported yet")
        if not port.takes(str(array.dtype)):
            rounded = array.dtype.kind == "f" and not port.dtype.startswith("float")
            scale = "give the values that the model was trained on: rounding these would change them"
            remedy = scale if rounded else f'save it with array.astype("{port.dtype}")'
            raise KpiError(f"{shown} is {array.dtype}, {expected}", remedy)
        if port.shape == ():
            raise KpiError(
                f"{expected}: a number that all samples share is not supported yet", "make it a constant of the model"
            )
        if not port.fits(array.shape, 1):
            raise KpiError(
                f"{shown} has the shape {array.shape}, {expected}",
                "the first axis counts samples; the others must be those of the model",
            )
        if 0 in array.shape[1:]:
            raise KpiError(f"{shown} has the shape {array.shape}: there is nothing in a sample", "save it again")

    def _count(self) -> int:
        lengths = {key or name: len(self._arrays[key]) for name, key in self.keys.items()}
        for column in (self._data.label, self._data.cluster, self._data.slice):
            if column in self._arrays:
                lengths[column] = len(self._arrays[column])
        (first, count), *others = lengths.items()
        for name, found in others:
            if found != count:
                raise KpiError(
                    f'{self._file}: "{name}" has {found} entries, "{first}" has {count}', "give one for each sample"
                )
        if not count:
            raise KpiError(f"{self._file} has no samples")
        return count

    def _column(self, name: str) -> npt.NDArray[Any] | None:
        return self._arrays.get(name)


def _text(names: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Names that are bytes as text, others as they are."""
    return names.astype(str) if names.dtype.kind == "S" else names
