"""The ledger: every target that ``kpis.toml`` promises, each ending with exactly one verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace

from harness.core.errors import Cause
from harness.evidence.model import TargetResult
from harness.judge.verdict import Verdict
from harness.spec.model import Spec, Target

_UNSELECTED = "not measured: not selected by -k or -m"


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

    @property
    def undecided(self) -> bool:
        """Whether a target that was asked for has no verdict that another run could not change."""
        return any(
            answer.verdict is Verdict.INCONCLUSIVE and answer.cause is not Cause.UNSELECTED
            for _, answer in self.lines()
        )


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
