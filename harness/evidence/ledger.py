"""The ledger: every target that ``kpis.toml`` promises, each ending with exactly one verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.core.errors import Cause
from harness.judge.verdict import Verdict
from harness.spec.model import Spec, Target

_UNSELECTED = "not measured: not selected by -k or -m"


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What was found out about one target; numbers in base units of the target's dimension, NaN where unknown.

    ``notes`` are what a reader should know whatever the verdict; ``order`` says where the processes stood in the run,
    ``attempt`` how often the same artifact was held against the bound on this machine. ``cause`` says why there is no
    figure, where that is known; ``would_be`` is the verdict of an OFF_TARGET if this machine counted.
    """

    verdict: Verdict
    reason: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    confidence: float | None = None
    n: int = 0
    of: str = ""
    artifact: str = ""
    measurements: tuple[str, ...] = ()
    remedy: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    order: Mapping[str, Any] | None = None
    attempt: int = 1
    cause: Cause | None = None
    would_be: Verdict | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what is unknown is null; an infinite bound is the word "inf", as JSON has no number for it."""
        plain = {
            **asdict(self),
            "verdict": self.verdict.value,
            "cause": self.cause.value if self.cause else None,
            "would_be": self.would_be.value if self.would_be else None,
            "of": str(self.of),
            "measurements": list(self.measurements),
            "notes": list(self.notes),
        }
        for name in ("value", "low", "high"):
            plain[name] = json_number(plain[name])
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetResult:
        """The inverse of :meth:`to_json`."""
        plain = dict(data)
        for name in ("value", "low", "high"):
            plain[name] = math.nan if plain[name] is None else float(plain[name])
        plain["verdict"] = Verdict(plain["verdict"])
        plain["measurements"] = tuple(plain["measurements"])
        plain["notes"] = tuple(plain["notes"])
        plain["cause"] = Cause(plain["cause"]) if plain["cause"] else None
        plain["would_be"] = Verdict(plain["would_be"]) if plain["would_be"] else None
        return cls(**plain)


def json_number(value: float) -> float | str | None:
    """A number as the evidence holds it: null when unknown, "inf" or "-inf" without bound."""
    value = float(value)  # NumPy's own floats don't survive the way from a pytest-xdist worker
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


class Ledger:
    """One line per promised target; nothing can be added, removed or answered twice."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._answers: dict[tuple[str, str, str], TargetResult] = {}
        self._targets = {target.key: target for target in spec.targets}
        self._unselected: frozenset[tuple[str, str, str]] = frozenset()
        self._otherwise = "not measured"

    def record(self, key: tuple[str, str, str], answer: TargetResult) -> None:
        """Writes the verdict of a target; ValueError for one that is unknown or was answered already."""
        if key not in self._targets:
            raise ValueError(f"no such target in the ledger: {key}")
        if key in self._answers:
            raise ValueError(f"{key} was answered already")
        self._answers[key] = answer

    def answered(self, key: tuple[str, str, str]) -> bool:
        """Whether the target has its verdict."""
        return key in self._answers

    def set_default_reasons(self, unselected: Collection[tuple[str, str, str]], otherwise: str) -> None:
        """Says why targets have no verdict of their own: those that were left out by -k or -m, and all others.

        They are INCONCLUSIVE, and under --kpi-release not proven.
        """
        self._unselected, self._otherwise = frozenset(unselected), otherwise

    def lines(self) -> Iterator[tuple[Target, TargetResult]]:
        """Every target with its answer, in the order of the file."""
        for key, target in self._targets.items():
            answer = self._answers.get(key)
            if answer is None:
                unselected = key in self._unselected
                cause = Cause.UNSELECTED if unselected else Cause.UNMEASURED
                reason = _UNSELECTED if unselected else self._otherwise
                answer = TargetResult(Verdict.INCONCLUSIVE, reason, cause=cause)
            yield target, answer

    def counts(self) -> Counter[Verdict]:
        """How many targets ended with each verdict."""
        return Counter(answer.verdict for _, answer in self.lines())

    @property
    def proven(self) -> bool:
        """Whether every promised target was proven: what a release needs."""
        return bool(self._targets) and self.counts()[Verdict.PASS] == len(self._targets)


def off_target(answer: TargetResult, why: str) -> TargetResult:
    """The answer of a target that was measured on another machine than it was promised for."""
    if answer.verdict not in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE):
        return answer
    here = {
        Verdict.PASS: "it would hold here",
        Verdict.FAIL: "it would not hold here",
        Verdict.INCONCLUSIVE: "undecided here",
    }[answer.verdict]
    return replace(answer, verdict=Verdict.OFF_TARGET, reason=f"{why}; {here}", would_be=answer.verdict)
