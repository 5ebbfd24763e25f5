"""The language of bounds in ``kpis.toml``.

====================================  ==========================================================
written                               means
====================================  ==========================================================
``< 3 ms``                            the value itself (a bound)
``drop <= 5 pp vs fp32``              the loss against another recipe, in the metric's own unit
``gain >= 2 pp vs int8-dynamic``      the gain against another recipe
``>= 99 % of fp32``                   a share of another recipe's value
``<= 0.5 x fp32``                     a ratio to another recipe, measured interleaved in one run
``< 10 ms in 90 % of processes``      the same for so many of the processes, not for their median
====================================  ==========================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from harness.core.units import FACTOR, POINTS, SHARE, Dimension

_GRAMMAR = re.compile(
    r"""\s*(?:(?P<change>drop|gain)\s+)?
        (?P<op><=|>=|<|>)\s*
        (?P<quantity>[^<>=]+?)
        (?:\s+(?P<link>vs|of)\s+(?P<versus>\S+)|(?<=x)\s+(?P<ratio>\S+))?
        (?:\s+in\s+(?P<share>\d+(?:\.\d+)?)\s*%\s+of\s+processes)?\s*\Z""",
    re.VERBOSE,
)
MEDIAN = 0.5
"""The share of the processes that a bound is about where it names none."""
EXAMPLES = '"< 3 ms", "drop <= 1 pp vs fp32", ">= 99 % of fp32", "<= 0.5 x fp32"'


class Relation(StrEnum):
    """How the judged value is made from the measured ones."""

    VALUE = "value"
    DROP = "drop"
    GAIN = "gain"
    SHARE = "share"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound on one metric: ``value op limit``, with ``limit`` in base units.

    ``share`` of the processes must keep it, a half (their median) where nothing is said.
    """

    text: str
    relation: Relation
    op: str
    limit: float
    versus: str | None
    share: float = MEDIAN

    @property
    def upper(self) -> bool:
        """Whether the limit is a ceiling (``<``, ``<=``)."""
        return self.op.startswith("<")

    def holds(self, value: float) -> bool:
        """Whether ``value`` (base units) keeps the promise; NaN never does."""
        match self.op:
            case "<":
                return value < self.limit
            case "<=":
                return value <= self.limit
            case ">":
                return value > self.limit
            case _:
                return value >= self.limit


def change(relation: Relation, own: float, other: float, better: str) -> float:
    """What is lost (a drop) or won (a gain) against another recipe; of an error rate, more is a loss."""
    won = own - other if better == "higher" else other - own
    return won if relation is Relation.GAIN else -won


def judged_in(dimension: Dimension, relation: Relation) -> Dimension:
    """The dimension in which a target of this relation is written and its value shown."""
    if relation is Relation.VALUE:
        return dimension
    if relation in (Relation.DROP, Relation.GAIN):
        return POINTS if dimension is SHARE else dimension
    return SHARE if relation is Relation.SHARE else FACTOR


def parse_bound(text: str, dimension: Dimension) -> Bound:
    """Reads a bound for a metric of ``dimension``; ValueError says what was wrong and shows what is allowed."""
    match = _GRAMMAR.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a target; write one like {EXAMPLES}")
    change, link, versus = match["change"], match["link"], match["versus"] or match["ratio"]
    if change and link != "vs":
        raise ValueError(f"{text!r}: a {change} is against another recipe; write '{change} ... vs RECIPE'")
    if link == "vs" and not change:
        raise ValueError(f"{text!r}: say 'drop' or 'gain' before the bound, or '% of', or 'x', to compare recipes")
    if change:
        relation = Relation(change)
    elif link == "of":
        relation = Relation.SHARE
    elif match["ratio"]:
        relation = Relation.RATIO
    else:
        relation = Relation.VALUE
    limit = judged_in(dimension, relation).parse(match["quantity"])
    share = float(match["share"]) / 100 if match["share"] else MEDIAN
    if not MEDIAN <= share < 1:
        raise ValueError(f"{text!r}: in 50 % to below 100 % of processes")
    return Bound(text, relation, match["op"], limit, versus, share)
