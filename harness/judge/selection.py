"""Which targets a test of the gate judges, by which markers they are selected, in which order they run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.own_metrics import OwnMetric
from harness.core.registry import Plugin, own_metrics, plugins
from harness.judge.metrics import metrics
from harness.judge.order import in_order
from harness.spec.model import DEVICES, Spec, Target

if TYPE_CHECKING:
    import pytest

_DESELECTED = "kpi_deselected"


def kinds() -> tuple[str, ...]:
    """Every kind of metric: a marker each."""
    return _kinds(plugins(), own_metrics())


@cache
def _kinds(*_: tuple[Plugin | OwnMetric, ...]) -> tuple[str, ...]:
    return tuple(sorted({metric.kind() for metric in metrics().values()}))


def marker_lines() -> list[str]:
    """The markers that every target may have, as pytest's ini file takes them."""
    devices = [f"{device}: KPIs promised for a machine whose device is {device}" for device in DEVICES]
    return devices + [f"{kind}: targets on {kind.replace('_', ' ')}" for kind in kinds()]


def judges_targets(arguments: Iterable[str]) -> bool:
    """Whether a test with these arguments is one of the gate's; every other test is a stranger's."""
    asked = set(arguments)
    return "target" in asked and bool({"judge", "measured"} & asked)


def arguments_of(function: object) -> Sequence[str]:
    """The names of a test function's arguments; none for what is not a plain function."""
    code = getattr(function, "__code__", None)
    return code.co_varnames[: code.co_argcount] if code else ()


def target_of(item: pytest.Item) -> Target | None:
    """The target that a test judges; None for a stranger's test."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("target") if callspec else None
    return found if isinstance(found, Target) else None


def send_deselected(config: pytest.Config, keys: Iterable[tuple[str, str, str]]) -> None:
    """Tells the process that keeps the ledger, when this worker of pytest-xdist ends, which targets were left out.

    Only workers collect: what ``-k`` and ``-m`` leave out is known to them alone.
    """
    output: dict[str, list[list[str]]] = config.workeroutput  # type: ignore[attr-defined]
    output.setdefault(_DESELECTED, []).extend(list(key) for key in keys)


def sent_deselected(node: Any) -> set[tuple[str, str, str]]:
    """The keys of the targets that an ended worker left out; none of a worker that died."""
    told = getattr(node, "workeroutput", {}).get(_DESELECTED, ())
    return {(kpi, metric, bound) for kpi, metric, bound in told}


class Selection:
    """The targets of one ``kpis.toml``, as tests ask for them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @cached_property
    def _by_kind(self) -> dict[str, list[Target]]:
        found: dict[str, list[Target]] = {}
        for target in self.spec.targets:
            found.setdefault(target.metric.kind(), []).append(target)
        return found

    def targets(self, marks: Iterable[str], folder: Path) -> list[Target]:
        """The targets of the kind that a test in ``folder`` is marked with.

        A test without such a mark judges every kind that has no file ``test_KIND.py`` there.
        """
        named = next((mark for mark in marks if mark in kinds()), None)
        if named is not None:
            return self._by_kind.get(named, [])
        return [
            target
            for kind, targets in self._by_kind.items()
            if not (folder / f"test_{kind}.py").exists()
            for target in targets
        ]

    def markers(self, target: Target) -> tuple[str, ...]:
        """What ``-m`` selects the target by: its kind, its device, the KPI's own markers."""
        device = self.spec.machines[target.machine].device
        return (target.metric.kind(), device, *self._own_markers[target.kpi])

    @cached_property
    def _own_markers(self) -> dict[str, tuple[str, ...]]:
        return {kpi.name: kpi.marks for kpi in self.spec.kpis}

    @property
    def own_markers(self) -> list[str]:
        """Every marker that the KPIs bring along."""
        return sorted({mark for marks in self._own_markers.values() for mark in marks})

    def leave_out(
        self, items: list[pytest.Item], only: Collection[str], part: tuple[int, int] | None
    ) -> list[pytest.Item]:
        """Keeps among the items the targets of these ids (all, where there are none) and of this part."""
        kept = [
            item
            for item in items
            if (target := target_of(item))
            and (not only or target.id in only)
            and (not part or self.in_part(target, part))
        ]
        found = set(map(id, kept))
        left_out = [item for item in items if id(item) not in found]
        items[:] = kept
        return left_out

    def in_part(self, target: Target, part: tuple[int, int]) -> bool:
        """Whether the target's KPI belongs to the K-th of N parts: the K-th of each N KPIs in the order of the file."""
        number, count = part
        return self._places[target.kpi] % count == number - 1

    @cached_property
    def _places(self) -> dict[str, int]:
        return {kpi.name: place for place, kpi in enumerate(self.spec.kpis)}

    def reorder(self, items: list[pytest.Item]) -> None:
        """Puts targets into the order of their cost, on the places that they have among other tests."""
        places = [place for place, item in enumerate(items) if target_of(item)]
        by_target: dict[Target, list[pytest.Item]] = {}
        for place in places:
            if target := target_of(items[place]):
                by_target.setdefault(target, []).append(items[place])
        moved = [item for target in in_order(self.spec, by_target) for item in by_target[target]]
        for place, item in zip(places, moved, strict=True):
            items[place] = item
