"""One target that is judged on processes: look after look until it is decided, its budget ends, or nothing can come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.core.bounds import Bound
from harness.core.errors import KpiError
from harness.core.statistics import Look
from harness.core.units import TIME
from harness.judge.verdict import Basis, Decision, Estimate, Verdict, can_decide, judge_processes
from harness.measure.records import ProcessRecord
from harness.measure.runner import MeasurementRunner, MeasurementSpec
from harness.measure.sequence import Order, Within, order_of
from harness.measure.validity import hopeless

Reading = Callable[[Sequence[ProcessRecord]], list[Estimate]]
Inside = Callable[[Sequence[ProcessRecord]], Within | None]


class ProcessTrial:
    """What is known of a target while its processes are run, and whether more of them would help.

    ``reading`` takes the target's figure from each process; ``within`` says of the processes of the first look how far
    slow requests of a tail follow one another.
    After ``patience`` disturbed processes, or pairs in a row, the machine is not expected to calm down. Off target
    (``gates`` is false) one look is enough.
    """

    def __init__(
        self,
        bound: Bound,
        subjects: Sequence[MeasurementSpec],
        reading: Reading,
        campaign: MeasurementRunner,
        *,
        looks: Sequence[Look],
        confidence: float,
        budget_s: float,
        patience: int,
        within: Inside,
        gates: bool = True,
    ) -> None:
        self.bound = bound
        self.subjects = subjects[: 2 if bound.versus else 1]
        self.looks = looks if gates else looks[:1]
        self.confidence = confidence
        self.spent_s = 0.0
        self.given_up = ""
        self.error: KpiError | None = None
        self.done = False
        self._budget_s = budget_s
        self._reading = reading
        self._patience = patience
        self._within = within
        self._campaign = campaign
        self._asked = 0
        self.judgement = self._judged([], [])
        # A run that was stopped may have measured enough.
        self.look(0.0)

    @property
    def wanted(self) -> int:
        """How many processes, or undisturbed pairs, the next look takes."""
        seen = self._seen()
        return next((look.processes for look in self.looks if look.processes > seen), seen + 1)

    def look(self, seconds: float) -> None:
        """Judges what is there, after ``seconds`` more were spent on it; afterwards it may be done."""
        self.spent_s += seconds
        self._asked += bool(seconds)
        try:
            estimates, disturbed = self._estimates()
        except KpiError as error:
            self.fail(error)
            return
        self.judgement = self._judged(estimates, disturbed)
        decided = self.judgement.verdict is not Verdict.INCONCLUSIVE
        if decided or len(estimates) >= self.looks[-1].processes or self.spent_s >= self._budget_s:
            self.done = True
        elif why := self._pointless(estimates, disturbed):
            self.done = True
            self.given_up = f"given up, {why}; {TIME.format(self._budget_s - self.spent_s)} of the budget were left"

    def fail(self, error: KpiError) -> None:
        """Ends it: its processes can't be run, or do not give the figure."""
        self.error, self.done = error, True

    def order(self) -> Order:
        """Where its processes, or pairs, stood in the run, and how alike neighbours are; for the evidence."""
        estimates, _ = self._estimates()
        records = [self._campaign.of(subject).records for subject in self.subjects]
        used = self._pairs() if self.bound.versus else [(place,) for place in range(len(estimates))]
        spans = []
        for members in used[: self.judgement.n]:
            places = [of[i].place for of, i in zip(records, members, strict=True)]
            spans.append((min(places), max(places)))
        inside = self._within(records[0][: self.looks[0].processes])
        return order_of(spans, [estimate.value for estimate in estimates[: len(spans)]], inside)

    def _judged(self, estimates: Sequence[Estimate], disturbed: Sequence[bool]) -> Decision:
        of = Basis.PAIRS if self.bound.versus else Basis.PROCESSES
        return judge_processes(
            self.bound, estimates, looks=self.looks, confidence=self.confidence, disturbed=disturbed, of=of
        )

    def _pointless(self, estimates: Sequence[Estimate], disturbed: Sequence[bool]) -> str:
        """Why no process that may still be run can decide it; empty where one can."""
        if self.bound.versus:
            wasted = self._campaign.wasted[self.subjects[0].id, self.subjects[1].id]
            if wasted >= self._patience:
                return f"{wasted} pairs in a row were disturbed"
        else:
            records = self._campaign.of(self.subjects[0]).records
            lost = hopeless(records, len(records)) and not self.bound.holds(self.judgement.value)
            if lost and self._patience <= len(records):
                return f"all {len(records)} processes were disturbed"
        most = self.looks[-1].processes
        if len(estimates) < self.looks[0].processes:
            return ""
        if can_decide(self.bound, estimates, disturbed, self.looks, most):
            fitting = len(estimates) + self._fitting()
            if can_decide(self.bound, estimates, disturbed, self.looks, fitting):
                return ""
            return f"the {fitting - len(estimates)} that the budget still allows can't decide it"
        return f"even {most} can't decide it any more"

    def _fitting(self) -> int:
        """How many more the budget allows, as far as those that were run tell."""
        if self._asked < self.looks[0].processes:
            return self.looks[-1].processes
        return math.ceil((self._budget_s - self.spent_s) * self._asked / self.spent_s)

    def _seen(self) -> int:
        return len(self._pairs()) if self.bound.versus else len(self._campaign.of(self.subjects[0]).records)

    def _pairs(self) -> Sequence[tuple[int, int]]:
        return self._campaign.pairs_of(self.subjects[0], self.subjects[1])

    def _estimates(self) -> tuple[list[Estimate], list[bool]]:
        """The figures of what counts so far, and which of them were disturbed: of pairs none that counts."""
        both = [self._campaign.of(subject).records for subject in self.subjects]
        known = [self._reading(records) for records in both]
        if self.bound.versus is None:
            return known[0], [bool(record.disturbed) for record in both[0]]
        own, others = known
        return [own[i].over(others[j]) for i, j in self._pairs()], []
