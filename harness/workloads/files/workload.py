"""A model that is a file, with data that are files: judged without any code of its own."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, shortened
from harness.spec.tasks import tasks
from harness.workloads.base import Settings, Split, TensorSpec, TensorWorkload
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.division import divided
from harness.workloads.files.networks import network_file
from harness.workloads.files.opening import open_samples, reading_identity
from harness.workloads.files.rows import check_rows
from harness.workloads.files.samples import Samples
from harness.workloads.files.shared import batch_axes, batch_first, constants_of, sequences_of, state_of
from harness.workloads.files.signature import model_files, read_signature, table_rows
from harness.workloads.reading import Reading

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch


class FileWorkload(TensorWorkload):
    """What a table without a fixture names: ``model`` and ``data``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.model is None or settings.data_files is None:
            raise KpiError(f"workload {settings.name} has no fixture: it needs a model and data")
        self._file = Path(settings.model)
        self._data: DataFiles = settings.data_files
        self._network = network_file(settings)
        whole = self._network.signature() if self._network else read_signature(self._file)
        self.state = state_of(whole, settings.state, self._file.name)
        apart = {*constants_of(whole, settings.constants, self._file.name), *settings.state}
        if not self._network:
            others = {*apart, *settings.state.values()}
            whole = batch_first(whole, batch_axes(whole, settings.batch_axis, others, self._file.name))
        self._signature = replace(whole, inputs=tuple(port for port in whole.inputs if port.name not in apart))
        self.outputs = tuple(p.name for p in whole.outputs if p.name not in settings.state.values())
        self.scored = settings.scored
        self.gaps = self._data.missing is not None
        options = tasks()[settings.task].options if settings.task in tasks() else None
        self._reading: Reading | None = None
        if options is not None:
            made = options(**settings.task_options)
            if isinstance(made, Reading):
                self._reading, self._data = made, replace(self._data, drawn=made.drawn)
            # A task may name its classes itself.
            self._data = replace(self._data, classes=self._data.classes or tuple(getattr(made, "class_names", ())))
        self.class_names = tuple(self._data.classes)
        if self.scored in settings.state.values():
            raise KpiError(f"scored: {self.scored} carries state, as `state` says", "correct one of them")

    @property
    def _who(self) -> str:
        return f"workload {self.settings.name}"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The input tensors; sizes that the model leaves open are those of the evaluation data."""
        return self._samples(self._of("evaluation")).specs

    @property
    def input_names(self) -> list[str]:
        return [port.name for port in self._signature.inputs]

    @property
    def one_by_one(self) -> bool:
        """Whether samples are as long as they are, or answers are: none are asked for together then."""
        if self._reading is not None and self._reading.one_by_one:
            return True
        return self._samples(self._of("evaluation")).one_by_one

    @property
    def remarks(self) -> Sequence[str]:
        return tuple(text for place in self._data.files for text in self._samples(place).remarks)

    @property
    def read_outputs(self) -> tuple[str, ...]:
        if self._reading is None:
            return super().read_outputs
        return self._reading.outputs(self.outputs if self.scored is None else (self.scored_output,))

    def even(self, outputs: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        return self._reading.even(outputs) if self._reading else outputs

    def read(self, outputs: Mapping[str, npt.NDArray[Any]], feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if self._reading is None:
            return super().read(outputs, feeds)
        found, names = self._reading.kinds(outputs), self.class_names
        if names and found is not None and found > 0 and found != len(names):
            raise KpiError(
                f"the outputs have columns for {found} classes, `classes` names {len(names)}: "
                f"{shortened(', '.join(names), 80)}",
                "name all classes of the model, in its order",
            )
        # Of inputs whose size varies that of the batch counts.
        return self._reading.read(outputs, [replace(one, shape=feeds[one.name].shape[1:]) for one in self.inputs])

    def fingerprint(self) -> str:
        cache = self.settings.cache
        if self._network:
            model = [self._network.digest]
        else:
            model = [remembered_digest(file, cache) for file in model_files(self._file)]
        named = {"whole": self._data.whole} if self._data.whole else self._data.splits
        # Opening says what is wrong where data are missing, or do not fit.
        data = {name: self._samples(place).digest(cache) for name, place in named.items()}
        if not self._network:
            rows = table_rows(self._file)
            for place in self._data.files if rows else ():
                check_rows(self._samples(place), rows, place.name)
        told = {"scored": self.scored, "constants": self.settings.constants, "state": self.settings.state}
        told |= {"batch_axis": dict(self.settings.batch_axis)} if self.settings.batch_axis else {}
        told |= {"read": reading_identity(self._data, cache), "task": dict(self.settings.task_options)}
        return json.dumps({"model": model, "data": data, **told}, sort_keys=True)

    def about(self) -> dict[str, str]:
        said = {"model": f"{self._file.name}: {self._signature.about}"}
        if self._data.whole is None:
            said["data"] = ", ".join(f"{name}: {file.name}" for name, file in sorted(self._data.splits.items()))
            return said
        sizes = ", ".join(f"{len(rows)} for {name}" for name, rows in self._rows.items())
        said["data"] = f"{self._data.whole.name}, divided with seed {self._data.seed}: {sizes}"
        return said

    def model(self) -> torch.nn.Module:
        if self._network:
            return self._network.load()
        raise KpiError(
            f"the model of workload {self.settings.name} is the file {self._file.name}, not a torch network",
            "leave out passes that export or change a network",
        )

    def split(self, name: str) -> Split:
        """Raises KpiError where there is no such split, or the task is judged by labels and there are none."""
        import numpy as np

        samples = self._samples(self._of(name))
        labels = samples.labels
        if labels is None:
            if tasks()[self.settings.task].labelled:
                raise samples.needs_labels()
            labels = np.zeros(samples.count, dtype=np.int64)
        rows = np.arange(samples.count) if self._data.whole is None else self._rows.get(name)
        if rows is None or not len(rows):
            raise self._no_split(name)
        return _Part(samples, labels, rows)

    def _of(self, name: str) -> Path:
        """The file or folder that a split is in. Raises KpiError where there is none."""
        if self._data.whole is not None:
            return self._data.whole
        if name not in self._data.splits:
            raise self._no_split(name)
        return self._data.splits[name]

    def _no_split(self, name: str) -> KpiError:
        have = "its share is 0" if self._data.whole else f"there are files for {', '.join(sorted(self._data.splits))}"
        return KpiError(
            f"workload {self.settings.name} has no {name} data: {have}",
            f'name a file, data = {{ {name} = "...", ... }}, or give it a share of one: {name} = "20 %"',
        )

    @cached_property
    def _read(self) -> dict[Path, Samples]:
        return {}

    def _samples(self, place: Path) -> Samples:
        if place not in self._read:
            signature = sequences_of(self._signature) if self.state else self._signature
            self._read[place] = open_samples(place, signature, self._file.name, self._data)
        return self._read[place]

    @cached_property
    def _rows(self) -> dict[str, npt.NDArray[np.int64]]:
        samples = self._samples(self._of("evaluation"))
        units = samples.units() if samples.clusters is None else [str(cluster) for cluster in samples.clusters]
        shares = {"training": self._data.training, "validation": self._data.validation}
        return divided(units, shares, self._data.seed)


class _Part(Split):
    """Some rows of the samples of a file or folder."""

    def __init__(self, samples: Samples, labels: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> None:
        self._samples = samples
        self._labels = labels[rows]
        self._rows = rows

    @property
    def labels(self) -> npt.NDArray[Any]:
        """What is right for each sample."""
        return self._labels

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        """Where each sample comes from."""
        names = self._samples.clusters
        return None if names is None else [names[row] for row in self._rows]

    @property
    def slices(self) -> Sequence[str] | None:
        """The part that each sample belongs to."""
        names = self._samples.slices
        return None if names is None else [names[row] for row in self._rows]

    @property
    def shapes(self) -> Sequence[Hashable] | None:
        """A name of each sample's shape."""
        names = self._samples.shapes
        return None if names is None else [names[row] for row in self._rows]

    def inputs(self, start: int, stop: int) -> dict[str, npt.NDArray[np.generic]]:
        """Samples ``start`` to ``stop`` by tensor name."""
        return self._samples.take(self._rows[start:stop])
