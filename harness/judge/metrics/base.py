"""What every metric declares: its unit, which way is better, what it is computed from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.errors import KpiError, Unavailable
from harness.core.score_bounds import Scored, Scores, mean_bounds
from harness.core.statistics import median, recorded_looks
from harness.core.units import Dimension
from harness.judge.case import Case, NotReproducible, first_look
from harness.judge.metrics.mixed import effect_on_mean
from harness.judge.verdict import Basis, Decision, Estimate, bounds_at, judge_exact, judge_processes, judge_samples
from harness.measure.records import Measurement
from harness.measure.sequence import Within

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from pathlib import Path

    from harness.core.bounds import Bound
    from harness.evidence.model import Settings
    from harness.measure.records import ProcessRecord


class Metric(ABC):
    """One named figure of an artifact.

    ``kind`` is the pytest marker and the name of the file in ``kpi_tests`` that asks for it; ``scenario`` is how the
    artifact is exercised to get it; ``machine_bound`` says whether it counts only on the machine it was promised for;
    ``computed`` whether it follows from what the artifact computes: of integers, it counts for one class of processor.
    ``needs_reference`` says whether the FP32 recipe must be run too. Of a kind of metric: ``comparable`` whether two
    recipes can be compared, ``paired_samples`` whether sample by sample (a drop or a gain), ``per_process`` whether
    each process has a figure of its own, ``priced`` whether it is multiplied by the price of an hour,
    ``two_machines`` whether it is about the machine of another KPI as well, ``of_files`` whether the artifact's files
    say it, ``exact`` whether another run of the same gives the same figure; ``effort`` orders kinds by what a figure
    takes. ``drawn`` says whether charts show it: as what a recipe is fast by, and from machine to machine.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    dimension: ClassVar[Dimension]
    better: ClassVar[Literal["lower", "higher"]]
    scenario: ClassVar[str | None] = None
    machine_bound: ClassVar[bool] = True
    computed: ClassVar[bool] = False
    tasks: ClassVar[frozenset[str] | None] = None
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    needs_reference: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    paired_samples: ClassVar[bool] = False
    per_process: ClassVar[bool] = False
    priced: ClassVar[bool] = False
    two_machines: ClassVar[bool] = False
    of_files: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    effort: ClassVar[int] = 3
    drawn: ClassVar[bool] = False

    @classmethod
    def kind(cls) -> str:
        """The part of the name before the first dot."""
        return cls.name.partition(".")[0].replace("-", "_")

    @classmethod
    def factor(cls, usd_per_hour: float | None) -> float:
        """What figures are multiplied by: the price of an hour where they are money, else 1."""
        del usd_per_hour
        return 1.0

    @classmethod
    @abstractmethod
    def judged_again(cls, case: Case) -> Decision:
        """The decision that follows from the evidence alone. Raises NotReproducible where it does not hold enough."""

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        """What a measurement of the evidence says: a value each process, or one of all; empty where it says nothing."""
        del measurement
        return []

    @classmethod
    def shown(
        cls, measurement: Measurement, settings: Settings, factor: float
    ) -> tuple[float, float | None, float | None] | None:
        """The value of a measurement with the bounds that a verdict would have; None where it says nothing.

        ``settings`` are those of the evidence.
        """
        del settings
        values = cls.values_in(measurement)
        return (factor * values[0], None, None) if values else None

    @classmethod
    def by_request(cls, measurement: Measurement) -> Mapping[str, float]:
        """The value for each kind of request, by its name, where a measurement has several; in base units."""
        del measurement
        return {}

    @classmethod
    def parts_in(cls, bound: Bound, own: Sequence[Measurement], confidence: float) -> Mapping[str, Decision]:
        """The decision of each part of the samples that a verdict rests on, by its name; empty for a metric of all."""
        del bound, own, confidence
        return {}

    @classmethod
    def files(cls) -> tuple[Path, ...]:
        """Files of the user's own that it is computed by."""
        return ()

    @classmethod
    def needs(cls) -> str:
        """What this machine has of what the figure is computed with, in words; empty where the harness suffices.

        ``kpi doctor`` shows it. Raises Unavailable, with the remedy, where something is missing.
        """
        return ""


class ProcessMetric(Metric):
    """One figure per fresh process; the process is the unit of replication."""

    comparable = True
    per_process = True

    @classmethod
    @abstractmethod
    def of(cls, process: ProcessRecord) -> float:
        """The process's own value in base units."""

    @classmethod
    def estimates(
        cls, processes: Sequence[ProcessRecord], confidence: float, factor: float = 1.0, *, first: int = 0
    ) -> list[Estimate]:
        """The value of each process with the bounds that it supports, times ``factor``.

        How far slow requests follow one another is taken from the ``first`` processes, those of the first look: more
        of them, run for another target, then change nothing. Of none, requests count as independent.
        """
        correlation = cls.tail_correlation(processes[:first])
        found = []
        for process in processes:
            low, high = cls.bounds(process, confidence, correlation)
            found.append(Estimate(factor * cls.of(process), factor * low, factor * high))
        return found

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        confidence, factor = case.attempt_confidence, cls.factor(case.target.usd_per_hour)
        # What a process supports does not depend on the attempt, as in the gate.
        both = [cls.estimates(m.processes, case.confidence, factor, first=case.first) for m in case.measurements[:2]]
        # What was undecided is judged on what there was then.
        if case.bound.versus is None:
            disturbed = [bool(record.disturbed) for record in case.measurements[0].processes][: case.seen]
            looks = case.looks(case.settings.drift)
            return judge_processes(
                case.bound, both[0][: case.seen], looks=looks, confidence=confidence, disturbed=disturbed
            )
        ratios = [both[0][i].over(both[1][j]) for i, j in case.pairs()[: case.seen]]
        looks = case.looks(case.settings.pair_drift)
        return judge_processes(case.bound, ratios, looks=looks, confidence=confidence, of=Basis.PAIRS)

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        return [cls.of(record) for record in measurement.processes]

    @classmethod
    def shown(
        cls, measurement: Measurement, settings: Settings, factor: float
    ) -> tuple[float, float | None, float | None] | None:
        confidence, records = settings.confidence, measurement.processes
        if not records:
            return None
        value = median([factor * cls.of(record) for record in records])
        looks = recorded_looks(settings.looks, settings.against, confidence, settings.drift)
        look = max((k for k in looks if k.processes <= len(records)), key=lambda k: k.processes, default=None)
        if look is None:
            return value, None, None
        try:
            estimates = cls.estimates(records[: look.processes], confidence, factor, first=first_look(settings))
        except Unavailable:
            raise
        except KpiError:
            return value, None, None  # too few requests for this tail: no verdict could have bounds either
        return value, *bounds_at(look, estimates)

    @classmethod
    def bounds(cls, process: ProcessRecord, confidence: float, correlation: float = 0.0) -> tuple[float, float]:
        """What the process itself can promise about its value (low, high); the value itself unless it is a tail.

        ``correlation`` says how far its slow requests follow one another.
        """
        del confidence, correlation
        value = cls.of(process)
        return value, value

    @classmethod
    def tail_correlation(cls, processes: Sequence[ProcessRecord]) -> float:
        """How far slow requests of a process follow one another, 0 to 1; 0 where the figure is not a tail."""
        del processes
        return 0.0

    @classmethod
    def within(cls, processes: Sequence[ProcessRecord], confidence: float) -> Within | None:
        """Of a tail, what the requests of a process are worth; else None."""
        del processes, confidence
        return None

    @classmethod
    def least_samples(cls, confidence: float) -> int:
        """How many samples one process must give for the metric to say anything."""
        del confidence
        return 1

    @classmethod
    def remarks(cls, processes: Sequence[ProcessRecord]) -> list[str]:
        """What a person should know besides the value, a line each."""
        del processes
        return []


class ProofMetric(Metric):
    """A figure that the runtime proves after loading: exact, one process is enough."""

    scenario: ClassVar[str | None] = "profile"
    machine_bound = False
    computed = True
    exact = True
    effort = 1

    @classmethod
    @abstractmethod
    def of(cls, process: ProcessRecord) -> float:
        """The value in base units."""

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        return judge_exact(case.bound, cls.of(case.measurements[0].processes[0]))

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        return [cls.of(record) for record in measurement.processes[:1]]

    @classmethod
    def remarks(cls, process: ProcessRecord) -> list[str]:
        """What a person should know besides the value, a line each."""
        del process
        return []


class SampleMetric(Metric):
    """The mean of one score per evaluation sample, so that two recipes can be compared sample by sample.

    ``paired`` says that a score is itself a difference of two answers to the sample: then a plain bound, too, is a
    claim beyond these samples, and the interval decides. ``worthless`` is the mean of a model that knows nothing: a
    comparison with a recipe that is no better proves nothing. ``ends`` are the least and the greatest score of a
    sample where that is not the metric's ``range``; scores without ends need many more samples. ``jackknife`` says
    that a figure is not a mean of scores (see ``SetMetric``).
    """

    scenario: ClassVar[str | None] = "evaluate"
    machine_bound = False
    computed = True
    comparable = True
    paired_samples = True
    effort = 2
    paired: ClassVar[bool] = False
    jackknife: ClassVar[bool] = False
    worthless: ClassVar[float | None] = None
    ends: ClassVar[tuple[float, float] | None] = None

    @classmethod
    @abstractmethod
    def scores(cls, outputs: Any, reference: Any) -> list[float]:
        """One score per sample, of what the scenario left; ``reference`` is that of the FP32 recipe."""

    @classmethod
    def scored(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> Scored:
        """The scores with what else is kept of them; ``clusters`` are those of the samples, where they have any."""
        del clusters
        return Scored(cls.scores(outputs, reference), cls.weights(outputs))

    @classmethod
    def effect(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
        """The most that one sample (or cluster) moves the figure when it is answered as another is; inf: not known."""
        return effect_on_mean(cls, outputs, reference, clusters)

    @classmethod
    def figure(cls, outputs: Any, reference: Any) -> float:
        """The one figure of all samples."""
        scores = cls.scores(outputs, reference)
        return sum(scores) / len(scores)

    @classmethod
    def weights(cls, outputs: Any) -> list[float] | None:
        """How much each sample counts in the mean, n in all, where they do not count alike; ``scores`` hold it already.

        A recording of many words counts more in a word error rate.
        """
        del outputs
        return None

    @classmethod
    def paired_scores(
        cls,
        own: Sequence[float],
        others: Sequence[float] | None,
        clusters: Sequence[Hashable] | None,
        weights: Sequence[float] | None,
    ) -> Scores:
        """What is judged: the scores, those they are compared with, what the metric knows of both."""
        return Scores(own, others, cls.ends or cls.range, clusters, weights, cls.jackknife)

    @classmethod
    def read_scores(cls, own: Measurement, other: Measurement | None = None) -> Scores:
        """The same from measurements of the evidence; KeyError where they hold no scores of this metric."""
        scores, others = own.scores[cls.name], other.scores[cls.name] if other else None
        clusters = own.processes[0].details.get("clusters") if own.processes else None
        clusters = own.groups.get(cls.name) or clusters
        found = cls.paired_scores(scores, others, clusters, own.weights.get(cls.name))
        return replace(found, effect=other.effects.get(cls.name, math.inf)) if other else found

    @classmethod
    def class_names(cls, outputs: Any) -> list[str] | None:
        """The classes, where a sample may hold several; None where a sample's label is its class."""
        del outputs
        return None

    @classmethod
    def class_part(cls, outputs: Any, name: str) -> Any:
        """The outputs with what is of one class alone, where a sample may hold several."""
        del name
        return outputs

    @classmethod
    def parts(cls, outputs: Any) -> list[type[SampleMetric]]:
        """The metrics whose scores decide a target about this one: itself, or one for each part of the samples."""
        del outputs
        return [cls]

    @classmethod
    def judged(cls, bound: Bound, scores: Sequence[Scores], confidence: float) -> tuple[Decision, int]:
        """The decision by the scores of all parts, with the place of the part that it rests on."""
        return judge_samples(bound, scores[0], confidence, cls.better, paired=cls.paired), 0

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        own = case.measurements
        try:
            scores = cls.read_scores(own[0], own[1] if case.bound.versus else None)
        except KeyError:
            raise NotReproducible(f"the measurements hold no scores of {cls.name}") from None
        return cls.judged(case.bound, [scores], case.confidence)[0]

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        scores = measurement.scores.get(cls.name)
        return [sum(scores) / len(scores)] if scores else []

    @classmethod
    def shown(
        cls, measurement: Measurement, settings: Settings, factor: float
    ) -> tuple[float, float | None, float | None] | None:
        del factor
        values = cls.values_in(measurement)
        if not values:
            return None
        return values[0], *mean_bounds(cls.read_scores(measurement), settings.confidence)

    @classmethod
    def check(cls, outputs: Any, recipe: str) -> None:
        """Looks at what a recipe left before it is scored; KpiError names the recipe where a score would say nothing.

        Called for every recipe that a target compares. Does nothing unless a metric has something to refuse.
        """
        del outputs, recipe

    @classmethod
    def check_compared(cls, outputs: Any, recipe: str) -> None:
        """Raises KpiError where a recipe is so bad that a comparison with it proves nothing."""

    @classmethod
    def remarks(cls, outputs: Any, reference: Any) -> list[str]:
        """What a person should know besides the score, a line each, such as samples that differ."""
        del outputs, reference
        return []

    @classmethod
    def identity(cls) -> dict[str, str]:
        """What scores depend on besides the outputs: implementations, versions, dictionaries."""
        return {}

    @classmethod
    def scored_with(cls, outputs: Any) -> dict[str, str]:
        """The same with what was chosen where the outputs were made, such as how texts are made comparable."""
        del outputs
        return cls.identity()
