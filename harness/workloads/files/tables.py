"""Tables, CSV or Parquet, as the samples of a workload of files: which columns are the inputs, the labels, the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, suggest
from harness.workloads.base import DTYPES
from harness.workloads.files.arrays import ArraySamples
from harness.workloads.files.columns import Table, header

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Port, Signature

    Array = npt.NDArray[Any]

_LISTED = 6
_AXES = 2  # samples, columns


class TableSamples(ArraySamples):
    """The rows of one table. Raises KpiError where they do not fit the model, with row and column."""

    _arrays: dict[str, Array]

    def __init__(self, file: Path, signature: Signature, model: str, data: DataFiles) -> None:
        self._table = Table(file, data.delimiter)
        self._said: list[str] = []
        if not len(self._table):
            raise KpiError(f"{file.name} has no samples: it has a header alone", "write a row for each sample")
        ports = [port.name for port in signature.inputs]
        for name in (*data.inputs, *data.columns):
            if name not in ports:
                raise KpiError(f"data.inputs: {suggest(name, ports, 'input')}", "correct its name in kpis.toml")
        for column, usual in ((data.slice, "slice"), (data.cluster, "cluster"), *((one, "") for one in data.labels)):
            if column != usual:
                self._table.require(column)
        super().__init__(file, signature, model, data)

    def _opened(self) -> dict[str, Array]:
        return {}  # an input is made when it is known which columns it takes

    @property
    def remarks(self) -> Sequence[str]:
        """Which columns became an input where nothing says it."""
        return tuple(self._said)

    @cached_property
    def labels(self) -> Array | None:
        import numpy as np

        if not self._data.labels:
            column = self._data.label
            return self._table.labels(column, self._data.classes) if column in self._table else None
        found = [self._table.labels(column, ()) for column in self._data.labels]
        for column, array in zip(self._data.labels, found, strict=True):
            if array.ndim != 1:
                raise KpiError(f'{self._file}: "{column}" holds lists', f'name it alone: label = "{column}"')
        return np.stack(found, axis=1)

    @cached_property
    def clusters(self) -> list[str] | None:
        return self._table.texts(self._data.cluster) if self._data.cluster in self._table else None

    @cached_property
    def slices(self) -> list[str] | None:
        return self._table.texts(self._data.slice) if self._data.slice in self._table else None

    def needs_labels(self) -> KpiError:
        taken = {column for columns in self._columns.values() for column in columns}
        rest = [name for name in self._table.names if name not in taken]
        said = suggest(self._data.label, rest, "column") if rest else "all its columns are inputs"
        return KpiError(
            f"{self._file} has no labels: {said}",
            f'name the column "{self._data.label}", or say which it is: data = {{ file = "{self._file}", label = "..." '
            '}; the task "tensors" needs none',
        )

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of each input."""
        return {}

    def _key(self, port: Port, signature: Signature) -> str:
        if port.dtype not in DTYPES:
            raise KpiError(f"{self._model} takes {port}: inputs of type {port.dtype} are not supported yet")
        columns = self._columns[port.name] = self._chosen(port, signature)
        for column in columns:
            self._table.require(column)
        missing = self._data.missing is not None
        if len(columns) > 1 or port.name in self._data.columns:
            made = self._table.matrix(columns, port.dtype, missing=missing)
        else:
            made = self._table.numbers(columns[0], port.dtype, missing=missing)
            if made.ndim == 1 and port.shape is not None and len(port.shape) == _AXES:
                made = made[:, None]
        self._arrays[port.name] = made
        return port.name

    def _chosen(self, port: Port, signature: Signature) -> tuple[str, ...]:
        """The columns that an input takes. KpiError where nothing says it."""
        if port.name in self._data.columns:
            return tuple(self._data.columns[port.name])
        if port.name in self._data.inputs:
            return (self._data.inputs[port.name],)
        if port.name in self._table:
            return (port.name,)
        rest = self._features()
        wide = port.shape[1] if port.shape is not None and len(port.shape) == _AXES else None
        if len(signature.inputs) != 1 or wide != len(rest):
            raise self._no_column(port, rest)
        named = ", ".join(rest[:_LISTED]) + (f", ... {rest[-1]}" if len(rest) > _LISTED else "")
        self._said.append(
            f"{port} takes the {len(rest)} columns of {self._file} in their order, {named}; data.inputs may say another"
        )
        return rest

    def _features(self) -> tuple[str, ...]:
        """The columns that are neither label nor slice nor cluster, of all splits in the order of the evaluation's."""
        first = self._data.splits.get("evaluation", self._place)
        names = self._table.names if first == self._place else header(first, self._data.delimiter)
        own = {*(self._data.labels or (self._data.label,)), self._data.slice, self._data.cluster}
        return tuple(name for name in names if name not in own)

    def _no_column(self, port: Port, rest: Sequence[str]) -> KpiError:
        listed = ", ".join(rest[:_LISTED]) + (", ..." if len(rest) > _LISTED else "")
        some = ", ".join(f'"{name}"' for name in rest[:2]) or '"..."'
        wide = port.shape[1] if port.shape is not None and len(port.shape) == _AXES else None
        labelled = bool(self._data.labels) or self._data.label in self._table
        label = "" if labelled or wide != len(rest) - 1 else '; or say which is the label: label = "..."'
        return KpiError(
            f'{self._file} has no column "{port.name}"; besides label, slice and cluster it has {len(rest)}: '
            f"{listed or 'none'}; {self._model} takes {port}",
            "say which columns it takes, in the order of the model: "
            f'data = {{ file = "{self._file}", inputs = {{ "{port.name}" = [{some}] }} }}{label}',
        )

    def _count(self) -> int:
        return len(self._table)
