"""Looks at every answer to a scored sample: numbers, shapes, and whether the same sample gets the same answer again."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.arrays import of_numbers
from harness.core.errors import KpiError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]
    Arrays = Mapping[str, Array]

SAME = 0.01
"""Two answers to one sample are the same up to this share of the spread of all answers: far beyond rounding."""
_LEAST_SPREAD = 1e-6


class Checked:
    """The answers to all samples, batch after batch; what is wrong is told at the end, with how often it was seen."""

    def __init__(self, wanted: tuple[str, ...], what: str = "evaluation samples", *, keep: bool = True) -> None:
        """``wanted`` are the outputs that are scored, and kept if ``keep``; ``what`` says what is counted."""
        self._wanted = wanted
        self._what = what
        self._kept: dict[str, list[Array]] = {name: [] for name in wanted}
        self._shapes: dict[tuple[str, Hashable], tuple[int, ...]] = {}
        self._bad: dict[str, list[int]] = {}
        self._count = 0
        self._keep = keep
        self._ends: dict[str, tuple[float, float]] = {}

    def add(self, outputs: Arrays, size: int, count: int, rows: Sequence[int] = (), shape: Hashable = None) -> None:
        """Takes the outputs of a batch of ``size``, of which the first ``count`` are answers to samples.

        ``rows`` are these samples where they are not the next ones; answers to samples of one ``shape`` have one shape.

        Raises KpiError where an output is missing, or has another shape or type than it can have.
        """
        import numpy as np

        for name, array in self._numbers(outputs).items():
            if name in self._wanted and (not array.ndim or array.shape[0] != size):
                raise KpiError(f"the artifact answers {name} of shape {array.shape} to a batch of {size}")
            if (known := self._shapes.setdefault((name, shape), array.shape)) != array.shape:
                raise KpiError(f"the artifact answers {name} of shape {array.shape}, before of {known}")
            own = array[:count] if array.ndim and array.shape[0] == size else array
            with np.errstate(over="ignore"):
                # Scores are taken in single precision: what is beyond it is infinite there.
                own = own.astype(np.float32) if own.dtype.kind == "f" else own
            if not np.isfinite(own).all():
                odd = [row for row, values in enumerate(own) if not np.isfinite(values).all()] if own.ndim else [0]
                self._bad.setdefault(name, []).extend(rows[row] if rows else self._count + row for row in odd)
        for name, parts in self._kept.items():
            values = np.array(outputs[name][:count])
            least, most = self._ends.get(name, (math.inf, -math.inf))
            if values.size:
                self._ends[name] = min(least, float(values.min())), max(most, float(values.max()))
            if self._keep:
                parts.append(values)
        self._count += count

    def _numbers(self, outputs: Arrays) -> Arrays:
        """The outputs that hold numbers, those that are scored among them."""
        if lacking := [name for name in self._wanted if name not in outputs]:
            raise KpiError(
                f"the artifact answers {', '.join(outputs) or 'nothing'}, not {', '.join(lacking)}",
                "let the workload's `outputs` and `scored` name what the file answers",
            )
        numbers = of_numbers(outputs)
        if text := [name for name in self._wanted if name not in numbers]:
            raise KpiError(
                f"the artifact answers {text[0]} of type {outputs[text[0]].dtype}, not numbers",
                'mark an output that holds them: scored = "NAME"',
            )
        return numbers

    @property
    def sound(self) -> bool:
        """Whether no answer so far holds NaN or infinity."""
        return not self._bad

    @property
    def spread(self) -> dict[str, float]:
        """The spread of all values of each scored output so far; never 0, since shares of it are taken."""
        return {name: max(most - least, _LEAST_SPREAD) for name, (least, most) in self._ends.items()}

    def finish(self) -> dict[str, Array]:
        """All answers that were kept, (samples, ...). Raises KpiError where some hold NaN or infinity."""
        import numpy as np

        if self._bad:
            said = [
                f"{name} with NaN or infinity on {len(rows)} of {self._count} {self._what}, the first is {min(rows)}"
                for name, rows in self._bad.items()
            ]
            raise KpiError(
                f"the artifact answers {'; '.join(said)}",
                "look for overflow, a division by zero or damaged weights; samples are counted from 0",
            )
        return {name: np.concatenate(parts) for name, parts in self._kept.items() if parts}


def replay(run: Callable[[Arrays], Arrays], feeds: Arrays, answers: Arrays, spread: Mapping[str, float]) -> float:
    """Asks a batch again, then in another order, then its first sample among copies of itself.

    ``answers`` are what the batch was answered before, by output; ``spread`` is that of all answers. Returns by how
    much the answer to a sample depends on the other samples of its batch, as a share of the spread.

    Raises KpiError where the same question gets another answer, or where the place in the batch matters.
    """
    import numpy as np

    again = _apart(run(feeds), answers, spread)
    if again > SAME:
        raise KpiError(
            f"the artifact answers the same batch differently when it is asked again, by {100 * again:.3g} % of the "
            "spread of its answers",
            "it keeps state between requests or draws random numbers: neither can be judged sample by sample",
        )
    size = len(next(iter(feeds.values())))
    if size == 1:
        return 0.0
    order = np.random.default_rng(1).permutation(size)
    mixed = {name: array[np.argsort(order)] for name, array in run(_rows(feeds, order)).items()}
    place = _apart(mixed, answers, spread)
    if place > SAME:
        raise KpiError(
            f"the artifact's answer to a sample depends on its place in the batch, by {100 * place:.3g} % of the "
            "spread of its answers",
            "look for an operator that mixes the samples of a batch, or a reshape that swaps axes",
        )
    copies = [0] * size
    return _apart(run(_rows(feeds, copies)), _rows(answers, copies), spread)


def _rows(arrays: Arrays, rows: Sequence[int] | Array) -> dict[str, Array]:
    return {name: array[rows] for name, array in arrays.items()}


def spreads(answers: Arrays) -> dict[str, float]:
    """The spread of all values of each output; never 0, since shares of it are taken."""
    import numpy as np

    return {
        name: max(float(np.ptp(array.astype(np.float64))) if array.size else 0.0, _LEAST_SPREAD)
        for name, array in answers.items()
    }


def _apart(found: Arrays, wanted: Arrays, spread: Mapping[str, float]) -> float:
    import numpy as np

    def one(name: str) -> float:
        a: Any = np.nan_to_num(np.asarray(found[name], dtype=np.float64), nan=np.inf)
        b = np.asarray(wanted[name], dtype=np.float64)
        if a.shape != b.shape:
            return math.inf
        return float(np.abs(a - b).max()) / spread[name] if a.size else 0.0

    return max(one(name) for name in wanted)
