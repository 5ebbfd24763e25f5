"""Axes: in which unit a quantity reads best, from where to where, linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.units import Dimension

_LOG_FROM = 4.0
_NEAR = 6.0
_LONG_S = 300.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: numbers are divided by ``factor`` to be in ``unit``; ``low`` and ``high`` bound it in that unit."""

    title: str
    unit: str
    factor: float
    low: float
    high: float
    log: bool
    better: str = "lower"

    @classmethod
    def over(
        cls,
        title: str,
        dimension: Dimension,
        values: Sequence[float],
        also: Iterable[float] = (),
        *,
        better: str = "lower",
        may_log: bool = True,
    ) -> Axis:
        """An axis over ``values`` (base units, not empty), stretched to those of ``also`` that are not far away."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite), max(finite)
        log = may_log and low > 0 and dimension.base not in ("share", "points")
        for value in also:
            if (_within if log else _close)(value, min(finite), max(finite)):
                low, high = min(low, value), max(high, value)
        log = log and high / low > _LOG_FROM
        unit, factor = _unit(dimension, math.sqrt(low * high) if log else max(abs(low), abs(high)))
        if log:
            low, high = low / 1.25, high * 1.25
        else:
            room = (high - low or abs(high) * 0.1 or 1.0) * 0.12
            low = 0.0 if 0 <= low < room * 4 else low - room
            high += room
        said = f"{title} ({unit})" if unit else title
        return cls(said, unit, factor, low / factor, high / factor, log, better)

    def of_long_times(self) -> Axis:
        """An axis of seconds in minutes where it is longer than five of them, else itself."""
        if self.unit != "s" or self.high < _LONG_S:
            return self
        title = self.title.replace("(s)", "(min)")
        return Axis(title, "min", 60 * self.factor, self.low / 60, self.high / 60, self.log, self.better)

    def __call__(self, value: float) -> float:
        """A number of base units in the unit of the axis, kept on it."""
        return float(f"{min(max(value / self.factor, self.low), self.high):.6g}")

    def along(self, shown: float) -> float:
        """Where a number in the axis's own unit lies on it: 0 at its low end, 1 at its high one."""
        if self.log:
            return math.log(shown / self.low) / math.log(self.high / self.low)
        return (shown - self.low) / (self.high - self.low)

    def back(self, part: float) -> float:
        """The inverse of :meth:`along`."""
        return self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)

    def shows(self, value: float) -> bool:
        """Whether the number of base units lies on the axis."""
        return self.low <= value / self.factor <= self.high

    @property
    def best(self) -> float:
        """The end of the axis at which everybody would like to be."""
        return self.low if self.better == "lower" else self.high

    def scale(self) -> dict[str, Any]:
        """The same for Vega-Lite."""
        domain = [float(f"{self.low:.6g}"), float(f"{self.high:.6g}")]
        return {"type": "log" if self.log else "linear", "domain": domain, "nice": False}

    def encoding(self, name: str, *, upward: bool = False, **axis: Any) -> dict[str, Any]:
        """A field along this axis; ``upward`` turns it where less is better, so that better is above."""
        scale = self.scale() | ({"reverse": True} if upward and self.better == "lower" else {})
        shown = {"title": self.title, "tickCount": 5, "format": "~g" if self.log else "~r", **axis}
        if not self.log:
            shown.pop("format")
        return {"field": name, "type": "quantitative", "scale": scale, "axis": shown}


def _within(value: float, low: float, high: float) -> bool:
    return low / _NEAR**2 <= value <= high * _NEAR**2


def _close(value: float, low: float, high: float) -> bool:
    room = max((high - low) * _NEAR, 0.02 * abs(high))
    return low - room <= value <= high + room


def _unit(dimension: Dimension, size: float) -> tuple[str, float]:
    unit = next((u for u in dimension.shown if size >= dimension.units[u]), dimension.shown[-1])
    return unit, dimension.units[unit]
