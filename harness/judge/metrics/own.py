"""Metrics of a user's own: a function of outputs and labels, named by ``[metric.NAME]`` in ``kpis.toml``."""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from harness.core.errors import KpiError
from harness.core.own_metrics import OwnMetric
from harness.core.units import NUMBER, SHARE
from harness.judge.metrics.base import Metric, SampleMetric
from harness.judge.metrics.whole_set import SetMetric

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from harness.measure.records import Outputs

    Array = npt.NDArray[Any]

_ARRAYS = frozenset({"array"})
Reader = Callable[[OwnMetric, Any, int], list[float]]
"""Makes figures of what a function gave for so many samples."""


class OwnFunction(SampleMetric):
    """What both kinds have in common: whose function it is."""

    tasks = _ARRAYS
    own: ClassVar[OwnMetric]

    @classmethod
    def files(cls) -> tuple[Path, ...]:
        return (cls.own.file,)

    @classmethod
    def identity(cls) -> dict[str, str]:
        return {"code": cls.own.digest}


class OwnSampleMetric(OwnFunction):
    """A score for each sample: the function gives an array of as many numbers as there are samples."""

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        return _asked_twice(cls.own, outputs.logits, outputs.labels, _scores)


class OwnSetMetric(OwnFunction, SetMetric):
    """One figure of the whole set: the function gives a number for any part of the samples."""

    @classmethod
    def of(cls, outputs: Outputs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        rows = list(places)
        if len(rows) == len(outputs.labels):
            return _asked_twice(cls.own, outputs.logits, outputs.labels, _figure)[0]
        return _asked(cls.own, outputs.logits[rows], outputs.labels[rows], _figure)[0]


def made(own: OwnMetric) -> type[Metric]:
    """The class of a metric of one's own."""
    base = OwnSampleMetric if own.of == "sample" else OwnSetMetric
    said = {
        "__module__": base.__module__,
        "__doc__": f"Formula: {own.function}(outputs, labels) in {own.file.name}.",
        "name": own.name,
        "title": own.title,
        "dimension": SHARE if own.unit == "%" else NUMBER,
        "better": own.better,
        "range": (own.low, own.high),
        "own": own,
    }
    return type(own.function, (base,), said)


@cache
def _function(own: OwnMetric, digest: str) -> Callable[[Array, Array], Any]:
    """Loads the function; ``digest`` is that of its file. KpiError where there is none, or the file can't be run."""
    name = f"kpi_metrics_{digest[:16]}"
    found = spec_from_file_location(name, own.file)
    if not own.file.is_file() or found is None or found.loader is None:
        raise KpiError(f"metric {own.name}: {own.file} is not here", "check `function` in kpis.toml")
    # Dataclasses and pickles look their module up.
    module = sys.modules[name] = module_from_spec(found)
    try:
        with _staying():
            found.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _told(own, error) from error
    function = getattr(module, own.function, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise KpiError(f"metric {own.name}: {own.file.name} has no function {own.function}", f"it has {names}")
    return function  # type: ignore[no-any-return]


@contextmanager
def _staying() -> Iterator[None]:
    """Within it ``os._exit`` raises: a metric that ended the process would end pytest, without a word and with 0.

    A process that the metric forks leaves as it would, and never comes back: it would judge as well.
    """
    kept, ours = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() != ours:
            kept(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = leave
    try:
        yield
    finally:
        os._exit = kept
        if os.getpid() != ours:
            kept(1)


def _asked(own: OwnMetric, outputs: Array, labels: Array, read: Reader) -> list[float]:
    """What the function gives, as ``read`` makes figures of it; KpiError where it raises or one is out of range."""
    function = _function(own, own.digest)
    outputs, labels = outputs.copy(), labels.copy()  # the next metric reads the same
    for array in (outputs, labels):
        array.flags.writeable = False
    try:
        with _staying():
            said = function(outputs, labels)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _told(own, error) from error
    values = read(own, said, len(labels))
    for place, value in enumerate(values):
        if not own.low <= value <= own.high:  # NaN is outside too
            where = f" of sample {place}" if own.of == "sample" else ""
            raise KpiError(
                f"metric {own.name}: {own.function}() gives {value}{where}, allowed is {own.low:g} to {own.high:g}",
                "correct the function, or write its range: range = [0, 1]",
            )
    return values


def _asked_twice(own: OwnMetric, outputs: Array, labels: Array, read: Reader) -> list[float]:
    """As asked once; KpiError where the second answer differs."""
    values = _asked(own, outputs, labels, read)
    if _asked(own, outputs, labels, read) != values:
        raise KpiError(
            f"metric {own.name}: {own.function}() gives other figures when it is called again",
            "let it draw no random numbers and keep no state",
        )
    return values


def _scores(own: OwnMetric, said: Any, count: int) -> list[float]:
    import numpy as np

    found = np.asarray(said)
    if found.shape != (count,) or found.dtype.kind not in "iufb":
        raise KpiError(
            f"metric {own.name}: {own.function}() gives {found.dtype} of shape {found.shape}, expected {count} numbers",
            'return one score for each sample, or set of = "set" for one figure of all',
        )
    scores: list[float] = found.astype(float).tolist()
    return scores


def _figure(own: OwnMetric, said: Any, count: int) -> list[float]:
    del count
    try:
        value = float(said)
    except (TypeError, ValueError):
        raise KpiError(
            f"metric {own.name}: {own.function}() gives {type(said).__name__}, expected one number",
            'return a float, or set of = "sample" for a score of each sample',
        ) from None
    return [value if math.isfinite(value) else math.nan]


def _told(own: OwnMetric, error: BaseException) -> KpiError:
    """One line with the place in the user's file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(own.file)]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    place = f"{own.file.name}:{line}" if line else own.file.name
    return KpiError(f"metric {own.name}: {place}: {type(error).__name__}: {error}", "correct the function")
