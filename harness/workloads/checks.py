"""Holds what a fixture gives against what it declares: a wrong type, shape or length is one line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.arrays import a, array_fault, batch_axis
from harness.core.errors import KpiError
from harness.workloads.base import Split, TensorSpec, TensorWorkload, Workload
from harness.workloads.errors import defined_at, located

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class CheckedSplit(Split):
    """A fixture's split that checks labels and inputs as they are asked for. What else the split has is passed on."""

    def __init__(self, split: Split, name: str, workload: TensorWorkload, root: Path) -> None:
        self._split = split
        self._name = name
        self._workload = workload
        self._root = root
        self._count: int = self._asked(lambda: len(split))
        if not self._count:
            raise self._wrong("the split is empty", "a split needs at least one sample")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """What is right for each sample, an array whose first axis counts samples."""
        found: npt.NDArray[np.int64] = self._asked(lambda: self._split.labels)
        fault = array_fault(found)
        if fault:
            raise self._wrong(f"labels {fault}", "return np.asarray(labels)")
        if found.dtype.kind not in "iufb":
            raise self._wrong(f"labels are of type {found.dtype}", "return an array of whole numbers, such as np.int64")
        return found

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        """Where each sample comes from, one name for each; None where all are independent."""
        found: Any = self._asked(lambda: self._split.clusters)
        if found is None:
            return None
        if not hasattr(found, "__len__") or isinstance(found, str):
            raise self._wrong(f"clusters are {a(found)}", "return a list: where each sample comes from")
        if len(found) != self._count:
            raise self._wrong(f"there are {len(found)} clusters for {self._count} samples", "name one for each sample")
        # Without a name a sample is a cluster of its own.
        return [f"sample {n}" if _nameless(name) else str(name) for n, name in enumerate(found)]

    @property
    def slices(self) -> Sequence[str] | None:
        """The part that each sample belongs to, one name for each."""
        found: Any = self._asked(lambda: self._split.slices)
        if found is None:
            return None
        if not hasattr(found, "__len__") or isinstance(found, str):
            raise self._wrong(f"slices are {a(found)}", "return a list: the part that each sample belongs to")
        if len(found) != self._count:
            raise self._wrong(f"there are {len(found)} slices for {self._count} samples", "name one for each sample")
        names = [str(name) for name in found]
        if odd := [name for name in names if not name.strip() or name == "*" or set(name) & set("[]")]:
            raise self._wrong(
                f'slices hold the name "{odd[0]}"',
                "give names without brackets; * means all of them, and is none itself",
            )
        return names

    @property
    def shapes(self) -> Sequence[Hashable] | None:
        """A name of each sample's shape; None where all have the same."""
        found: Any = self._asked(lambda: self._split.shapes)
        if found is not None and len(found) != self._count:
            raise self._wrong(f"there are {len(found)} shapes for {self._count} samples", "name one for each sample")
        return None if found is None else list(found)

    def inputs(self, start: int, stop: int) -> dict[str, npt.NDArray[np.generic]]:
        """Samples ``start`` to ``stop``, each input there with the shape and the type that its TensorSpec says."""
        call = f"inputs({start}, {stop})"
        found = self._asked(lambda: self._split.inputs(start, stop))
        specs = {spec.name: spec for spec in self._workload.inputs}
        if not isinstance(found, Mapping):
            raise self._wrong(f"{call} gives {a(found)}", "return a dictionary: input name to array")
        if found.keys() != specs.keys():
            raise self._wrong(
                f"{call} gives {_names(found)}, the fixture declares {_names(specs)}", "use the same names"
            )
        count = max(0, min(stop, self._count) - start)
        for name, spec in specs.items():
            self._check(call, spec, found[name], start, count)
        return dict(found)

    def __len__(self) -> int:
        return self._count

    def _check(self, call: str, spec: TensorSpec, array: Any, start: int, count: int) -> None:
        import numpy as np

        if fault := array_fault(array):
            raise self._wrong(f'{call}: "{spec.name}" {fault}', "return np.asarray(...)")
        expected = (count, *spec.shape)
        if not _fits(array.shape, count, spec):
            whole = array.shape[1:] == spec.shape
            usual = "return the samples from start to stop" if whole else "TensorSpec gives the shape of one sample"
            remedy = batch_axis(array.shape, count, spec.shape) or usual
            raise self._wrong(f'{call}: "{spec.name}" has the shape {array.shape}, expected {expected}', remedy)
        if array.dtype != np.dtype(spec.dtype):
            said = f'{call}: "{spec.name}" is {array.dtype}, its TensorSpec says {spec.dtype}'
            raise self._wrong(said, f"return array.astype(np.{spec.dtype}), or correct the TensorSpec")
        gaps = self._workload.gaps
        if not gaps and array.dtype.kind == "f" and array.size and np.isnan(array).any():
            odd = np.isnan(array.reshape(count, -1)).any(axis=1)
            first = start + int(odd.argmax())
            raise self._wrong(f'sample {first}: "{spec.name}" holds NaN', "repair the data, or leave the sample out")

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the fixture answers; its errors with the split's name, since a split does not know it."""
        try:
            return ask()
        except (Exception, SystemExit) as error:
            told = located(error, self._root, of=f'split "{self._name}"')
            if told is None:
                raise
            traceback.print_exc()
            raise told from error

    def _wrong(self, what: str, remedy: str) -> KpiError:
        files = getattr(getattr(self._workload, "settings", None), "data_files", None)
        if files is not None:
            return KpiError(f"{(files.whole or files.splits[self._name]).name}: {what}", remedy)
        own = type(self._split).inputs
        call = f'split("{self._name}")'
        place = defined_at(own, f'inputs of split "{self._name}"', self._root)
        if not place.startswith("inputs of"):
            return KpiError(f"{place}: {what}", remedy)
        return KpiError(f"{defined_at(type(self._workload).split, call, self._root)}: {what}", remedy)


def _fits(shape: tuple[int, ...], count: int, spec: TensorSpec) -> bool:
    """Whether an array is of so many samples, each as the spec says; where sizes vary they are at most its own."""
    sizes = zip(spec.shape, shape[1:], strict=False)
    alike = (own == size or (axis in spec.varies and own < size) for axis, (size, own) in enumerate(sizes))
    return len(shape) == 1 + len(spec.shape) and shape[0] == count and all(alike)


def _nameless(cluster: object) -> bool:
    return cluster is None or cluster != cluster  # noqa: PLR0124 - NaN


def checked(fixture: Workload, root: Path) -> Workload:
    """The fixture itself, its ``split`` and ``model`` replaced by ones that check what they return."""
    if not isinstance(fixture, TensorWorkload):
        return fixture
    split, model = fixture.split, fixture.model

    def checked_split(name: str) -> Split:
        found: Any = split(name)
        if isinstance(found, CheckedSplit):
            return found
        if not isinstance(found, Split):
            place = defined_at(type(fixture).split, f'split("{name}")', root)
            raise KpiError(
                f"{place}: it returned {a(found)}", "return harness.workloads.base.ArraySplit(arrays, labels)"
            )
        return CheckedSplit(found, name, fixture, root)

    def checked_model() -> Any:
        import torch

        found: Any = model()
        if not isinstance(found, torch.nn.Module):
            place = defined_at(type(fixture).model, "model()", root)
            raise KpiError(f"{place}: it returned {a(found)}", "return a torch.nn.Module in evaluation mode")
        return found

    # On the object: whatever calls these methods, also the fixture's own, gets the checked ones.
    vars(fixture).update(split=checked_split, model=checked_model)
    return fixture


def described(fixture: Workload, root: Path) -> tuple[str, dict[str, str], list[str]]:
    """The fixture's fingerprint, origin and input names; KpiError for what is not text or not well declared."""
    fingerprint = fixture.fingerprint()
    if not isinstance(fingerprint, str) or not fingerprint:
        place = defined_at(type(fixture).fingerprint, "fingerprint()", root)
        said = f"it returned {a(fingerprint)}" if not isinstance(fingerprint, str) else "it returned an empty text"
        raise KpiError(f"{place}: {said}", "return text that changes when the weights or the data change")
    about = fixture.about()
    if not isinstance(about, dict) or not all(isinstance(part, str) for pair in about.items() for part in pair):
        place = defined_at(type(fixture).about, "about()", root)
        said = "something that is not text" if isinstance(about, dict) else a(about)
        raise KpiError(f"{place}: it returned {said}", 'return {"data": "...", "weights": "..."}')
    if isinstance(fixture, TensorWorkload):
        _check_declared(fixture, root)
    return fingerprint, about, fixture.input_names


def _check_declared(workload: TensorWorkload, root: Path) -> None:
    """KpiError when ``inputs`` or ``outputs`` are not tuples of what they must be, each name once."""
    own = type(workload)
    who = defined_at(own, f"class {own.__name__}", root)
    inputs: Any = workload.inputs
    if not isinstance(inputs, tuple | list) or not all(isinstance(spec, TensorSpec) for spec in inputs):
        kinds = ", ".join(dict.fromkeys(a(spec) for spec in inputs)) if isinstance(inputs, tuple | list) else a(inputs)
        raise KpiError(f"{who}: inputs must be a tuple of TensorSpec, not {kinds}", _TUPLE)
    outputs: Any = getattr(workload, "outputs", None)
    if not isinstance(outputs, tuple | list) or not all(isinstance(name, str) and name for name in outputs):
        raise KpiError(f"{who}: outputs must be a tuple of names, not {outputs!r}", 'write outputs = ("logits",)')
    for what, names in (("inputs", [spec.name for spec in inputs]), ("outputs", list(outputs))):
        if not names:
            raise KpiError(f"{who}: {what} is empty", "name at least one")
        if len(set(names)) < len(names):
            raise KpiError(f"{who}: {what} has a name twice: {', '.join(names)}", "give each its own name")


_TUPLE = 'write inputs = (TensorSpec("image", (3, 224, 224)),) with its last comma'


def _names(names: Any) -> str:
    return " and ".join(f'"{name}"' for name in names) or "nothing"
