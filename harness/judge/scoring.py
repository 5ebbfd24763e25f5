"""Judges a target about the scores of samples: outputs are read, checked, scored, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.build.artifact import read_artifact
from harness.core.errors import KpiError
from harness.core.file_names import file_name
from harness.core.numbers import packed
from harness.core.score_bounds import Scores
from harness.judge.computing import computing
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.worth import check_can_fail
from harness.judge.verdict import Decision, flips, too_small
from harness.measure.runner import MeasurementRunner, MeasurementSpec, Series
from harness.measure.scenarios import scenarios
from harness.measure.scenarios.base import ProducesOutputs
from harness.measure.scenarios.checked import SAME
from harness.measure.scenarios.splits import SAMPLES
from harness.spec.model import Recipe, Spec, Target
from harness.workloads.overlap import shared

_KEPT = 3
_NOTES = 5
"""So many are shown with a verdict."""


class Scorer:
    """Scores of what recipes answered, each recipe asked once."""

    def __init__(self, spec: Spec, campaign: MeasurementRunner, folder: Path, log: Path) -> None:
        self.spec = spec
        self._log = log
        self._campaign = campaign
        self._folder = folder
        self._read: dict[str, Any] = {}

    def judge(
        self, target: Target, metric: type[SampleMetric], subjects: Sequence[MeasurementSpec]
    ) -> tuple[Decision, tuple[str, ...], list[MeasurementSpec]]:
        """The judgement, what a person should know with it, and the subjects whose scores were used.

        ``subjects`` are in the order of the target's recipes. Raises KpiError where outputs can't be scored honestly,
        or where the recipe compared with is no better than guessing.
        """
        recipes = self.spec.recipes_of(target)[: 2 if target.bound.versus else 1]
        references = [self._reference(metric, recipe, subjects) for recipe in recipes]
        own, notes = self._worst(target, metric, recipes[0], subjects[0], references[0])
        used = [own, *subjects[1:]]
        notes += self._overlaps(own)
        with computing(metric, own.recipe, answers := self.outputs(metric, own), self._log):
            notes += metric.remarks(answers, references[0])
            parts = metric.parts(answers)
        found = [self._judged(part, target, recipes, used, references) for part in parts]
        self._check_same_data([subject for subject in used if subject.scenario == own.scenario])
        judgement, place = metric.judged(target.bound, found, self.spec.measure.confidence)
        if len(parts) > 1:
            notes.append(f"{len(parts)} parts were judged; {parts[place].name} decides")
        notes += flips(target.bound, found[place])
        notes += too_small(target.bound, judgement, found[place], target.shown_in, metric.better)
        more = (f"and {len(notes) - _NOTES} more, see results/",) if len(notes) > _NOTES else ()
        return judgement, (*notes[:_NOTES], *more), used

    def _judged(
        self,
        metric: type[SampleMetric],
        target: Target,
        recipes: Sequence[Recipe],
        used: Sequence[MeasurementSpec],
        references: Sequence[Any],
    ) -> Scores:
        """What is judged of a metric, or of a part of one."""
        own, others = used[0], None
        scores = self._scores(metric, own, references[0])
        if target.bound.versus:
            others = self._scores(metric, used[1], references[1], compared=True)
            _check_worth(metric, recipes[1], others)
            check_can_fail(metric, target.bound, recipes[1].key, sum(others) / len(others))
        _require_alike(metric, [(recipe, self._campaign.of(u)) for recipe, u in zip(recipes, used, strict=False)])
        series = self._campaign.of(own)
        units = series.groups.get(metric.name) or series.clusters
        found = metric.paired_scores(scores, others, units, series.weights.get(metric.name))
        if others is None or not found.thin:
            return found
        return replace(found, effect=self._effect(metric, used[1], references[1]))

    def _effect(self, metric: type[SampleMetric], subject: MeasurementSpec, reference: Any) -> float:
        """What one sample can do to the figure of the recipe that is compared with, kept with its scores."""
        series = self._campaign.of(subject)
        if metric.name not in series.effects:
            outputs = self.outputs(metric, subject, compared=True)
            with computing(metric, subject.recipe, outputs, self._log):
                series.effects[metric.name] = metric.effect(outputs, reference, series.clusters)
            self._campaign.keep(subject)
        return series.effects[metric.name]

    def _reference(self, metric: type[SampleMetric], recipe: Recipe, subjects: Sequence[MeasurementSpec]) -> Any:
        """What the reference of a recipe left; None where the metric needs none."""
        reference = self.spec.reference_of(recipe) if metric.needs_reference else None
        if reference is None:
            return None
        subject = next(subject for subject in subjects if subject.recipe == reference.key)
        return self.outputs(metric, subject, compared=True)

    def _check_same_data(self, subjects: Sequence[MeasurementSpec]) -> None:
        """Raises KpiError where two recipes were not asked the same samples in the same order."""
        first: dict[Any, tuple[Any, str]] = {}
        for subject in subjects:
            data = self._campaign.of(subject).records[0].details.get("data")
            asked, recipe = first.setdefault(subject.scenario_options.get("batch"), (data, subject.recipe))
            if data != asked:
                raise KpiError(
                    f"{subject.recipe} and {recipe} were not given the same evaluation samples in the same order",
                    "let the fixture's split() give the same samples each time it is asked: seed what is random",
                )

    def _overlaps(self, subject: MeasurementSpec) -> list[str]:
        """Says where evaluation samples are not new to the model, or to the passes that made it."""
        import numpy as np

        record = self._campaign.of(subject).records[0]
        file = (self._campaign.outputs / record.outputs).with_suffix(SAMPLES)
        if not file.exists():
            return []
        evaluation = {digest.decode() for digest in np.load(file).tolist()}
        notes = []
        found, looked = record.details.get("training_samples", (0, 0))
        if found:
            notes.append(f"{found} of {looked} training samples that were looked at are evaluation samples too")
        for step in read_artifact(subject.artifact_path).steps:
            for split, read in step.get("seen", {}).items():
                if again := shared(evaluation, read):
                    notes.append(
                        f'{again} of {len(read)} {split} samples that pass "{step["pass"]}" read are evaluation '
                        "samples too"
                    )
        notes = [f"{note}: what is measured on them says little of new data" for note in notes]
        if repeats := record.details.get("repeated"):
            notes.append(f"{repeats} of {record.completed} evaluation samples are repeats of others: they count as one")
        return notes

    def _worst(
        self, target: Target, metric: type[SampleMetric], recipe: Recipe, subject: MeasurementSpec, other: Any
    ) -> tuple[MeasurementSpec, list[str]]:
        """The subject at the batch size that scores worst, with a note; the same one where answers do not depend on it.

        What is promised is promised of every batch size that the KPIs speak of.
        """
        self._scores(metric, subject, other)
        depends = float(self._campaign.of(subject).records[0].details.get("batch_dependence", 0.0))
        if depends <= SAME:
            return subject, []
        means, at = {}, {}
        for size in sorted({1, int(subject.scenario_options["batch"]), *self._promised(target, recipe)}):
            at[size] = replace(subject, scenario_options={**subject.scenario_options, "batch": size})
            try:
                scored = self._scores(metric, at[size], other)
            except KpiError as error:
                raise KpiError(f"in batches of {size} {error.message}", error.remedy) from error
            means[size] = sum(scored) / len(scored)
        worst = (min if metric.better == "higher" else max)(means, key=lambda size: means[size])
        each = ", ".join(f"{metric.dimension.format(mean)} at {size}" for size, mean in means.items())
        note = (
            f"answers depend on the other samples of a batch, by up to {100 * depends:.3g} % of their spread: "
            f"{each} a batch; the worst counts"
        )
        return at[worst], [note]

    def _promised(self, target: Target, recipe: Recipe) -> set[int]:
        """The batch sizes at which the KPIs about this recipe promise a speed."""
        sizes = set()
        for other in self.spec.targets:
            if (other.workload, other.recipe) == (target.workload, target.recipe) and other.metric.scenario:
                scenario = self.spec.scenario(other)
                if scenarios()[scenario].timed:
                    chosen = recipe.scenarios.get(scenario, {})
                    size = chosen.get("batch", getattr(scenarios()[scenario].Options(), "batch", None))
                    sizes |= {int(size)} if isinstance(size, int) else set()
        return sizes

    def _scores(
        self, metric: type[SampleMetric], subject: MeasurementSpec, reference: Any, *, compared: bool = False
    ) -> Sequence[float]:
        """The per-sample scores, kept with the measurement so that the verdict can be recomputed."""
        outputs = self.outputs(metric, subject, compared=compared)
        series = self._campaign.of(subject)
        kept = series.scores
        if metric.name not in kept:
            with computing(metric, subject.recipe, outputs, self._log):
                made = metric.scored(outputs, reference, series.clusters)
            kept[metric.name] = packed(made.scores)
            if made.weights is not None:
                series.weights[metric.name] = packed(made.weights)
            if made.groups is not None:
                series.groups[metric.name] = packed(made.groups)
            series.scored_with[metric.name] = metric.scored_with(outputs)
            self._campaign.keep(subject)
        return kept[metric.name]

    def outputs(self, metric: type[SampleMetric], subject: MeasurementSpec, *, compared: bool = False) -> Any:
        """What the scenario left, checked and published when it is read; the last few subjects' are kept in memory."""
        if subject.id not in self._read:
            # Distributions of a large vocabulary take gigabytes: a target needs three subjects at most.
            while len(self._read) >= _KEPT:
                del self._read[next(iter(self._read))]
            file = self._campaign.outputs / self._campaign.extend(subject, 1)[0].outputs
            scenario = scenarios()[subject.scenario]
            if not issubclass(scenario, ProducesOutputs):
                raise TypeError(f"{scenario} leaves no outputs")
            name = file_name(subject.recipe.replace("/", "-", 1))
            scenario.publish(file, self._folder / "results" / f"{name}.json")
            self._read[subject.id] = scenario.read(file)
        read = self._read[subject.id]
        with computing(metric, subject.recipe, read, self._log):
            metric.check(read, subject.recipe)
            if compared:
                metric.check_compared(read, subject.recipe)
        return read


def _check_worth(metric: type[SampleMetric], recipe: Recipe, scores: Sequence[float]) -> None:
    """Raises KpiError where the recipe that is compared with knows nothing itself."""
    mean, worthless = sum(scores) / len(scores), metric.worthless
    if worthless is None or (mean > worthless if metric.better == "higher" else mean < worthless):
        return
    raise KpiError(
        f"{recipe.key} has {metric.dimension.format(mean)} {metric.title}, as a model has that knows nothing: a "
        "comparison with it proves nothing",
        "check its weights, its tokenizer and the data",
    )


def _require_alike(metric: type[SampleMetric], judged: Sequence[tuple[Recipe, Series]]) -> None:
    """KpiError where two recipes were scored by different means: their difference would be that of the means."""
    (first, one), *others = ((recipe, series.scored_with.get(metric.name, {})) for recipe, series in judged)
    for other, two in others:
        differing = [key for key in {**one, **two} if one.get(key) != two.get(key)]
        if differing:
            raise KpiError(
                f"{first.name} and {other.name} are scored differently: {', '.join(differing)}",
                "set the options of the scenario alike in both recipes",
            )
