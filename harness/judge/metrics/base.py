"""What every metric declares: its unit, which way is better, what it is computed from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.score_bounds import Scores
from harness.core.units import MONEY, Dimension

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from harness.build.artifact import Artifact
    from harness.measure.records import ProcessRecord


class Metric(ABC):
    """One named figure of an artifact.

    ``kind`` is the pytest marker and the name of the file in ``kpi_tests`` that asks for it; ``scenario`` is how the
    artifact is exercised to get it; ``machine_bound`` says whether it counts only on the machine it was promised for;
    ``computed`` whether it follows from what the artifact computes: of integers, it counts for one class of processor.
    ``needs_reference`` says whether the FP32 recipe must be run too. Of a kind of metric: ``comparable`` whether two
    recipes can be compared, ``paired_samples`` whether sample by sample (a drop or a gain), ``per_process`` whether
    each process has a figure of its own, ``priced`` whether it is multiplied by the price of an hour,
    ``two_machines`` whether it is about the machine of another KPI as well.
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

    @classmethod
    def kind(cls) -> str:
        """The part of the name before the first dot."""
        return cls.name.partition(".")[0].replace("-", "_")

    @classmethod
    def needs(cls) -> str:
        """What this machine has of what the figure is computed with, in words; empty where the harness suffices.

        ``kpi doctor`` shows it. Raises Unavailable, with the remedy, where something is missing.
        """
        return ""


class ArtifactMetric(Metric):
    """A figure of the files alone: exact, the same everywhere."""

    machine_bound = False
    comparable = True

    @classmethod
    @abstractmethod
    def of(cls, artifact: Artifact) -> float:
        """The value in base units."""


class ProcessMetric(Metric):
    """One figure per fresh process; the process is the unit of replication."""

    comparable = True
    per_process = True

    @classmethod
    @abstractmethod
    def of(cls, process: ProcessRecord) -> float:
        """The process's own value in base units."""

    @classmethod
    def bounds(cls, process: ProcessRecord, confidence: float) -> tuple[float, float]:
        """What the process itself can promise about its value (low, high); the value itself unless it is a tail."""
        del confidence
        value = cls.of(process)
        return value, value

    @classmethod
    def tail_of(cls, process: ProcessRecord) -> Sequence[float]:
        """The requests that the figure is a tail of; none where it is no tail."""
        del process
        return ()

    @classmethod
    def least_samples(cls, confidence: float) -> int:
        """How many samples one process must give for the metric to say anything."""
        del confidence
        return 1


class PricedMetric(ProcessMetric):
    """An amount of money: ``of`` gives hours of the machine, and whoever judges multiplies by what an hour costs."""

    dimension = MONEY
    better = "lower"
    priced = True


class MachineRatioMetric(Metric):
    """A figure over the same on the machine of another KPI (its ``against``); its evidence may come from elsewhere."""

    better = "lower"
    two_machines = True
    figure: ClassVar[type[PricedMetric]]


class ProofMetric(Metric):
    """A figure that the runtime proves after loading: exact, one process is enough."""

    scenario: ClassVar[str | None] = "profile"
    machine_bound = False
    computed = True

    @classmethod
    @abstractmethod
    def of(cls, process: ProcessRecord) -> float:
        """The value in base units."""

    @classmethod
    def remarks(cls, process: ProcessRecord) -> list[str]:
        """What a person should know beside the value, a line each."""
        del process
        return []


class SampleMetric(Metric):
    """The mean of one score per evaluation sample, so that two recipes can be compared sample by sample.

    ``paired`` says that a score is itself a difference of two answers to the sample: then a plain bound, too, is a
    claim beyond these samples, and the interval decides. ``worthless`` is the mean of a model that knows nothing: a
    comparison with a recipe that is no better proves nothing. ``ends`` are the least and the greatest score of a
    sample where that is not the metric's ``range``; scores without ends need many more samples.
    """

    scenario: ClassVar[str | None] = "evaluate"
    machine_bound = False
    computed = True
    comparable = True
    paired_samples = True
    paired: ClassVar[bool] = False
    worthless: ClassVar[float | None] = None
    ends: ClassVar[tuple[float, float] | None] = None

    @classmethod
    @abstractmethod
    def scores(cls, outputs: Any, reference: Any) -> list[float]:
        """One score per sample, of what the scenario left; ``reference`` is that of the FP32 recipe."""

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
        return Scores(own, others, cls.ends or cls.range, clusters, weights)

    @classmethod
    def read_scores(cls, own: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> Scores:
        """The same from measurements of the evidence; KeyError where they hold no scores of this metric."""
        scores, others = own["scores"][cls.name], other["scores"][cls.name] if other else None
        clusters = own["processes"][0]["details"].get("clusters") if own["processes"] else None
        # Evidence of an earlier version knows neither.
        return cls.paired_scores(scores, others, clusters, own.get("weights", {}).get(cls.name))

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
        """What a person should know beside the score, a line each, such as samples that differ."""
        del outputs, reference
        return []

    @classmethod
    def identity(cls) -> dict[str, str]:
        """What scores depend on beside the outputs: implementations, versions, dictionaries."""
        return {}

    @classmethod
    def scored_with(cls, outputs: Any) -> dict[str, str]:
        """The same with what was chosen where the outputs were made, such as how texts are made comparable."""
        del outputs
        return cls.identity()
