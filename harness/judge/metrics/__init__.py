"""One metric per file: formula, unit and source are in its docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from harness.core.errors import KpiError
from harness.core.own_metrics import OwnMetric
from harness.core.registry import Plugin, discover, own_metrics, plugins
from harness.judge.metrics.base import Metric
from harness.judge.metrics.every_slice import every_slice
from harness.judge.metrics.own import made
from harness.judge.metrics.sliced import sliced

_AT = re.compile(r"(.+_at_)([1-9]\d{0,3})", re.ASCII)
_PERCENTILE = re.compile(r"(.+)\.p([5-9]\d(?:\.\d{1,3})?)", re.ASCII)


class UnknownMetric(KpiError, KeyError):
    """No metric has this name; a KeyError, so that ``get`` and ``in`` work as of every mapping."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'this version does not know the metric "{name}"',
            "if a plug-in brings it: name the file whose `plugins` has it, --kpis FILE",
        )


class Metrics(Mapping[str, type[Metric]]):
    """The metrics by name. What is not listed is found too: ``.pNN`` of times, ``_at_N``, ``[slice=NAME]``.

    ``.pNN`` goes from p50 to p99.999; ``_at_N``, from 1 to 9999, is of a metric whose name ends in ``_at_1``;
    ``[slice=NAME]`` and ``[class=N]`` are for scores of the scenario "evaluate"; ``*`` is every one.
    """

    def __init__(self, listed: Mapping[str, type[Metric]]) -> None:
        self._listed = listed
        self._made: dict[str, type[Metric]] = {}

    def __getitem__(self, name: str) -> type[Metric]:
        if name in self._listed:
            return self._listed[name]
        if name not in self._made:
            made_here = every_slice(name, self) or sliced(name, self) or self._nearest(name)
            self._made[name] = made_here or self._percentile(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def _nearest(self, name: str) -> type[Metric] | None:
        """A metric of the first N of an order, where that of the first one is listed; else None."""
        match = _AT.fullmatch(name)
        first = self._listed.get(f"{match[1]}1") if match else None
        if match is None or not hasattr(first, "at"):
            return None
        assert first is not None
        said = {
            "name": name,
            "title": f"{first.title.removesuffix('1')}{match[2]}",
            "at": int(match[2]),
            "__doc__": f"Formula: ``{first.name}`` with ``at`` = {match[2]}.",
            "__module__": first.__module__,
        }
        return type(f"{first.__name__.removesuffix('1')}{match[2]}", (first,), said)

    def _percentile(self, name: str) -> type[Metric]:
        """Another percentile of a series whose median is a metric; UnknownMetric where there is none."""
        match = _PERCENTILE.fullmatch(name)
        if match is None:
            raise UnknownMetric(name)
        base, percent = match[1], match[2]
        median = self._listed.get(f"{base}.p50") or self._listed.get(base)
        if median is None or not hasattr(median, "quantile"):
            raise UnknownMetric(name)
        said = {
            "name": name,
            "title": f"{percent}th percentile of {median.title.removeprefix('median ')}",
            "quantile": round(float(percent) / 100, 6),
            "__doc__": f"Formula: the {percent}th percentile of what ``{median.name}`` is the median of.",
            "__module__": median.__module__,
        }
        return type(f"{median.__name__}P{percent}", (median,), said)


def metrics() -> Metrics:
    """Every metric that a target may name, by its dotted name."""
    return _metrics(plugins(), own_metrics())


@cache
def _metrics(_: tuple[Plugin, ...], own: tuple[OwnMetric, ...]) -> Metrics:
    return Metrics({**discover("metrics", Metric), **{one.name: made(one) for one in own}})
