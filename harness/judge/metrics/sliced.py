"""A metric of a part of the evaluation samples: ``accuracy.top1[slice=night]``, ``accuracy.top1[class=3]``."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from harness.core.errors import KpiError, shortened
from harness.core.score_bounds import Scored, Scores
from harness.judge.metrics.base import Metric, SampleMetric
from harness.measure.records import Outputs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.intp]

LEAST = 30
"""Of fewer samples no verdict is given, whatever they say."""
_NAME = re.compile(r"(?P<base>[^\[\]]+)\[(?P<by>slice|class)=(?P<which>[^\[\]]+)\]")
_LISTED = 12


class SlicedMetric(SampleMetric):
    """What a metric says of the samples of one slice, or of one class; derived from it, ``whole``, as well."""

    whole: ClassVar[type[SampleMetric]]
    by: ClassVar[str]
    which: ClassVar[str]

    @classmethod
    def _names(cls, outputs: Outputs) -> npt.NDArray[np.str_]:
        """The slice or the class of each sample. KpiError where the data name no slices."""
        import numpy as np

        if cls.by == "class":
            if np.ndim(outputs.labels) != 1:
                raise KpiError("samples have several labels each, so that none is of one class", "use [slice=NAME]")
            return np.asarray(outputs.labels).astype(str)
        if outputs.slices is None:
            raise KpiError(
                "the data name no slices",
                'add an array "slice" with a name for each sample, or data = { file = ..., slice = "NAME" }',
            )
        return outputs.slices

    @classmethod
    def names(cls, outputs: Outputs) -> list[str]:
        """The names of all slices, or classes, that there are samples of."""
        several = cls.whole.class_names(outputs) if cls.by == "class" else None
        return sorted(set(cls._names(outputs).tolist())) if several is None else several

    @classmethod
    def rows(cls, outputs: Outputs) -> Rows:
        """The places of its samples. KpiError where there are none, with what there is."""
        import numpy as np

        which = cls._which(outputs)
        if which not in (known := cls.names(outputs)):
            listed = ", ".join(known[:_LISTED]) + (" ..." if len(known) > _LISTED else "")
            there = shortened(f"there are {listed}", 200) if known else "there are none"
            raise KpiError(f'no evaluation sample is of {cls.by} "{cls.which}"', there)
        if cls.by == "class" and cls.whole.class_names(outputs) is not None:
            return np.arange(len(outputs.labels))
        found: Rows = np.flatnonzero(cls._names(outputs) == which)
        return found

    @classmethod
    def _which(cls, outputs: Outputs) -> str:
        """The slice, or the class by its number, where it is called by a name that the workload declares."""
        names = list(outputs.classes)
        return str(names.index(cls.which)) if cls.by == "class" and cls.which in names else cls.which

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """None: what is to be said of the samples is said where all of them are scored."""
        del outputs, reference
        return []

    @classmethod
    def scored(cls, outputs: Outputs, reference: Outputs | None, clusters: Sequence[int] | None) -> Scored:
        rows = cls.rows(outputs)
        part = None if reference is None else cls._part(reference, rows)
        names = None if clusters is None else [clusters[row] for row in rows]
        found = cls.whole.scored(cls._part(outputs, rows), part, names)
        if found.groups is None and names is not None and len(set(names)) < len(names):
            found = replace(found, groups=names)
        return found

    @classmethod
    def _part(cls, outputs: Outputs, rows: Rows) -> Outputs:
        own = Outputs(outputs.logits[rows], outputs.labels[rows], task=outputs.task, classes=outputs.classes)
        return cls.whole.class_part(own, cls._which(outputs)) if cls.by == "class" else own

    @classmethod
    def figure(cls, outputs: Outputs, reference: Outputs | None) -> float:
        rows = cls.rows(outputs)
        return cls.whole.figure(cls._part(outputs, rows), None if reference is None else cls._part(reference, rows))

    @classmethod
    def effect(cls, outputs: Outputs, reference: Outputs | None, clusters: Sequence[int] | None) -> float:
        rows = cls.rows(outputs)
        names = None if clusters is None else [clusters[row] for row in rows]
        return cls.whole.effect(
            cls._part(outputs, rows), None if reference is None else cls._part(reference, rows), names
        )

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        return list(cls.scored(outputs, reference, None).scores)

    @classmethod
    def paired_scores(
        cls,
        own: Sequence[float],
        others: Sequence[float] | None,
        clusters: Sequence[Hashable] | None,
        weights: Sequence[float] | None,
    ) -> Scores:
        # Clusters of the whole set say nothing here: those of the slice are its groups, where it has any.
        fitting = clusters if clusters is not None and len(clusters) == len(own) else None
        return replace(cls.whole.paired_scores(own, others, fitting, weights), least=LEAST)


def sliced(name: str, listed: Mapping[str, type[Metric]]) -> type[SampleMetric] | None:
    """The metric of a name such as ``accuracy.top1[slice=night]``; None where there is no such one."""
    match = _NAME.fullmatch(name)
    whole = listed.get(match["base"]) if match else None
    if match is None or whole is None or not issubclass(whole, SampleMetric) or whole.scenario != "evaluate":
        return None
    said = {
        "name": name,
        "title": f"{whole.title}, {match['by']} {match['which']}",
        "__doc__": f"Formula: ``{whole.name}`` of the samples of {match['by']} {match['which']}.",
        "__module__": whole.__module__,
        "whole": whole,
        "by": match["by"],
        "which": match["which"],
    }
    return type(f"{whole.__name__}Slice", (SlicedMetric, whole), said)
