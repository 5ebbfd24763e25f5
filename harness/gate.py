"""Takes one target the whole way: artifact, session, measurement, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.build.ahead import BuildAhead
from harness.build.artifact import Artifact
from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.attempts import Attempts, attempt_note
from harness.core.errors import Cause, KpiError, Unavailable
from harness.core.statistics import looks_for
from harness.evidence.counting import Counting
from harness.evidence.ledger import off_target
from harness.evidence.model import TargetResult
from harness.judge.machine_ratio import Side, judge_machines, processes_needed
from harness.judge.metrics.artifact import ArtifactMetric
from harness.judge.metrics.base import ProcessMetric, ProofMetric, SampleMetric
from harness.judge.metrics.priced import MachineRatioMetric
from harness.judge.released import NOTHING, first_note, release_notes, releases
from harness.judge.samples import samples_per_scenario
from harness.judge.scoring import Scorer
from harness.judge.trial import ProcessTrial
from harness.judge.verdict import Decision, Verdict, judge_exact, reason_of, too_near
from harness.measure.machine.detect import Detected, mismatch, other_processor
from harness.measure.machine.temperature import cooling_notes
from harness.measure.place import Place
from harness.measure.reach.places import Places
from harness.measure.records import ProcessRecord
from harness.measure.rounds import Rounds
from harness.measure.runner import MeasurementRunner, MeasurementSpec
from harness.measure.runtimes import runtimes
from harness.measure.scenarios import scenarios
from harness.measure.sequence import Order, back_to_back, too_alike
from harness.measure.threads import thread_notes
from harness.measure.validity import hopeless
from harness.spec.model import Recipe, Spec, Target


@dataclass(frozen=True, slots=True)
class Measured:
    """What measuring a target gave: the judgement, the artifact it is about, where the raw samples are."""

    judgement: Decision
    artifact: Artifact
    measurements: tuple[str, ...]
    disturbed: str
    notes: tuple[str, ...]
    seconds: float
    order: Order | None = None
    attempt: int = 1
    cause: Cause | None = None
    released: Mapping[str, str] = field(default_factory=dict)


class Gate:
    """The only place that knows the whole way from a target to its answer."""

    def __init__(
        self,
        spec: Spec,
        machine: Detected,
        store: Store,
        folder: Path,
        progress: Callable[[str], None],
        *,
        tag: str = "",
        install: bool = False,
        stopped: Sequence[Path] = (),
        subset: int | None = None,
        ahead: BuildAhead | None = None,
        earlier: Attempts | None = None,
    ) -> None:
        self.spec = spec
        self._ahead = ahead
        self.subset = subset
        self.folder = folder
        self.machine = machine
        self.store = store
        self.environments = Environments(store, spec.root, install=install)
        self.builder = Builder(spec, store, self.environments, folder / "build.log", progress)
        self.campaign = MeasurementRunner(folder, tag, progress, machine, stopped)
        self.places = Places(self.campaign, folder, spec.root, store.root, progress, install=install)
        self._counting = Counting(earlier, machine)
        self._rounds = Rounds(self.campaign, seed=f"{folder.name} {tag}")
        self._trials: dict[tuple[tuple[str, ...], tuple[str, ...]], ProcessTrial] = {}
        self._expected: list[Target] = []
        self._samples = samples_per_scenario(spec)
        self.scorer = Scorer(spec, self.campaign, folder, self.builder.log)

    def _finish_building(self) -> None:
        """Nothing is timed while artifacts are built; called before a target's budget begins."""
        if self._ahead is not None:
            self._ahead.wait(self.builder.progress)
            self._ahead = None

    def close(self) -> None:
        """Ends what still builds ahead, and what runs elsewhere."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None
        self.places.close()

    def place(self, target: Target) -> Place:
        """Where the machine is that a target is promised for."""
        return self.places.of(self.spec.machines[target.machine])

    def admit(self, spec: Spec) -> None:
        """Goes on under other promises about the same workloads: what was built and measured stays."""
        self.spec = self.builder.spec = self.scorer.spec = spec
        self._rounds = Rounds(self.campaign, seed=self.folder.name)
        self._trials = {}
        self._samples = samples_per_scenario(spec)

    def measure(self, target: Target) -> Measured:
        """Builds what the target is about, then measures until it is decided or the budget ends.

        Raises Unavailable when a device, a library, weights or data are not here, KpiError when something broke.
        """
        start = time.monotonic()
        metric = target.metric
        if issubclass(metric, MachineRatioMetric):
            return self._measure_machines(target, metric, start)
        if not issubclass(metric, ArtifactMetric):
            self._require_device(target)
        recipes = self.spec.recipes_of(target)
        artifacts, missing = self._artifacts(target, recipes)
        if missing:
            first = Measured(NOTHING, artifacts[0], (), "", (first_note(missing),), 0.0, cause=Cause.FIRST_RELEASE)
            return replace(first, released=releases(recipes[1:], []))
        disturbed = ""
        trial: ProcessTrial | None = None
        measurements: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        if issubclass(metric, ArtifactMetric):
            judgement = judge_exact(target.bound, *map(metric.of, artifacts[: 2 if target.bound.versus else 1]))
        else:
            subjects = [self.subject(target, r, a) for r, a in zip(recipes, artifacts, strict=True)]
            if issubclass(metric, SampleMetric):
                judgement, notes, subjects = self.scorer.judge(target, metric, subjects)
            elif issubclass(metric, ProofMetric):
                record = self._single(subjects[0])
                judgement = judge_exact(target.bound, metric.of(record))
                notes = (*metric.remarks(record), *(record.violations if judgement.verdict is Verdict.FAIL else ()))
            elif issubclass(metric, ProcessMetric):
                trial = self._trial(target, metric, subjects)
                judgement = trial.judgement
                disturbed = "; ".join(filter(None, (self.campaign.disturbed(subjects), trial.given_up)))
                series, here = self.campaign.of(subjects[0]), self.place(target).machine
                notes = (*metric.remarks(series.records), *cooling_notes(series), *thread_notes(series, here))
            else:
                raise TypeError(f"{metric} is of no known kind")
            measurements = tuple(self.campaign.reference(subject) for subject in subjects)
        notes += (*artifacts[0].remarks, *release_notes(artifacts[1:], self.spec.kpi(target.kpi)))
        notes += tuple(too_near(target.bound, judgement))
        if issubclass(metric, ProcessMetric) and judgement.verdict is Verdict.FAIL:
            notes += tuple(self._look_inside(target, recipes[0], artifacts[0]))
        seconds, order, attempt = time.monotonic() - start, None, 1
        if trial is not None:
            seconds, order, attempt = trial.spent_s, trial.order(), self._attempt(target, trial.subjects)
            notes += self._counting.judged((*target.key, artifacts[0].digest), self.place(target), judgement)
            notes += (*back_to_back(order), *too_alike(order), *attempt_note(attempt, self.spec.measure.attempts))
        found = (judgement, artifacts[0], measurements, disturbed, notes, seconds, order, attempt)
        return Measured(*found, released=releases(recipes[1:], artifacts[1:]))

    def _artifacts(self, target: Target, recipes: Sequence[Recipe]) -> tuple[list[Artifact], str]:
        """Those of the recipes; where nothing was released yet, and the KPI declares that, what is missing."""
        found = [self.builder.artifact(recipes[0])]
        try:
            found += [self.builder.artifact(recipe) for recipe in recipes[1:]]
        except Unavailable as error:
            if error.cause is not Cause.NO_RELEASE or not self.spec.kpi(target.kpi).first_release:
                raise
            return found, error.message
        return found, ""

    def _measure_machines(self, target: Target, metric: type[MachineRatioMetric], start: float) -> Measured:
        """Measures the sides of a ratio that this machine is; decided here only where it is both.

        Raises Unavailable otherwise: the other side's evidence is joined by ``kpi merge``.
        """
        own = self.spec.kpi(target.kpi)
        other = self.spec.kpi(own.against or "")
        here = [kpi for kpi in (own, other) if self.places.is_there(self.spec.machines[kpi.machine])]
        needed, _ = processes_needed(self.spec.measure.confidence)
        self._finish_building()
        sides: dict[str, Side] = {}
        subjects: list[MeasurementSpec] = []
        for kpi in here:
            side = replace(target, recipe=kpi.recipe, machine=kpi.machine)
            self._require_device(side)
            recipe = self.spec.recipe(kpi.workload, kpi.recipe)
            subject = self.subject(side, recipe, self.builder.artifact(recipe))
            begin, hourly = time.monotonic(), self.spec.price(kpi.machine)
            made = Side.of(metric.figure, self.campaign.extend(subject, needed), hourly)
            while len(made.clean) < needed and time.monotonic() - begin < self.spec.measure.budget_s:
                if hopeless(self.campaign.of(subject).records, max(needed, self.spec.measure.patience)):
                    break
                made = Side.of(metric.figure, self.campaign.extend(subject, len(made.values) + 1), hourly)
            sides[kpi.name] = made
            subjects.append(subject)
        if len(sides) < 2:  # noqa: PLR2004 - a ratio has two
            away = [kpi for kpi in (own, other) if kpi.name not in sides]
            names = " and ".join(f"{kpi.machine} ({kpi.name})" for kpi in away)
            raise Unavailable(
                f"the evidence of {names} is needed too", "run the suite there, then `kpi merge` the files of both"
            )
        judgement = judge_machines(target.bound, sides[own.name], sides[other.name], self.spec.measure.confidence)
        references = tuple(dict.fromkeys(self.campaign.reference(subject) for subject in subjects))
        artifact = self.builder.artifact(self.spec.recipe(own.workload, own.recipe))
        return Measured(
            judgement, artifact, references, self.campaign.disturbed(subjects), (), time.monotonic() - start
        )

    def answer(self, target: Target, finding: Measured) -> TargetResult:
        """Judges what was found, in the light of the machine it was found on."""
        judgement = finding.judgement
        reason = reason_of(target.bound, target.shown_in, judgement)
        if judgement.verdict is Verdict.INCONCLUSIVE and finding.disturbed:
            reason = f"{reason}; {finding.disturbed}"
        answer = TargetResult(
            verdict=judgement.verdict,
            reason=reason,
            value=judgement.value,
            low=judgement.low,
            high=judgement.high,
            confidence=judgement.confidence,
            n=judgement.n,
            of=judgement.of,
            artifact=finding.artifact.digest,
            measurements=finding.measurements,
            notes=finding.notes,
            seconds=round(finding.seconds, 3),
            order=finding.order,
            attempt=finding.attempt,
            earlier=self._counting.earlier((*target.key, finding.artifact.digest)),
            released=finding.released,
            cause=finding.cause,
        )
        why = self.standing(target)
        return off_target(answer, why) if why else answer

    def standing(self, target: Target) -> str:
        """Why the target proves nothing on this machine; empty where it gates."""
        machine = self.spec.machines[target.machine]
        if not target.gates_everywhere:
            return mismatch(machine, self.place(target).machine)
        promised = other_processor(machine, self.place(target).machine) if target.metric.computed else ""
        if promised and any(self._integer(recipe) for recipe in self.spec.recipes_of(target)):
            here = self.place(target).machine.processor_class
            return f"integer arithmetic of {here} says nothing of the promised processor {promised}"
        return ""

    def _integer(self, recipe: Recipe) -> bool:
        """Whether a recipe's artifact computes with integers: as a runtime proved, else as its passes say."""
        records = [r for series in self.campaign.of_recipe(recipe.key) for r in series.records]
        proven = [record.proof.integer for record in records if record.proof.integer is not None]
        return any(proven) if proven else self.spec.computes_with_integers(recipe)

    def _require_device(self, target: Target) -> None:
        device = self.spec.machines[target.machine].device
        place = self.place(target)
        if not place.machine.has(device):
            raise Unavailable(
                f"{place.name or 'this machine'} has no {device}",
                f"run `pytest -m {device}` on a machine that has one",
                cause=Cause.NO_DEVICE,
            )

    def _look_inside(self, target: Target, recipe: Recipe, artifact: Artifact) -> Iterator[str]:
        """Profiles what failed, once, so that the explanation can say where the time goes; says why it could not."""
        if not runtimes()[recipe.runtime].profiles:
            return
        try:
            self._single(self.subject(target, recipe, artifact, ProofMetric.scenario))
        except KpiError as error:
            yield f"where the time goes is not known: {error.message}"

    def subject(
        self, target: Target, recipe: Recipe, artifact: Artifact, scenario: str | None = None
    ) -> MeasurementSpec:
        """What to measure for a target: the artifact of ``recipe`` on the KPI's device under ``scenario``.

        Without one the metric's own is taken.
        """
        runtime = runtimes()[recipe.runtime]
        workload = self.spec.workloads[recipe.workload]
        scenario = scenario or self.spec.scenario(target)
        overridden = recipe.scenario_runtime.get(scenario, recipe.runtime_options)
        device = runtime(runtime.Options(**overridden)).device(self.spec.machines[target.machine].device)
        if device not in runtime.devices:
            raise Unavailable(f"{runtime.title} does not run on a {device}", "choose another runtime in the recipe")
        place = self.place(target)
        interpreter = place.interpreter(self.environments, recipe.environment)
        if not any(interpreter.version(name) for name in runtime.distributions):
            where = f" on {place.name}" if place.name else ""
            lacks = f"pip install {runtime.distributions[0]}"
            remedy = f"kpi reach doctor {place.name}" if place.name else lacks
            raise Unavailable(f"{runtime.title} is not installed{where}", remedy)
        defaults = scenarios()[scenario].Options
        return MeasurementSpec(
            recipe=recipe.key,
            artifact=artifact.digest,
            artifact_path=artifact.path,
            artifact_bytes=artifact.size,
            inputs=self.builder.samples(workload).path,
            runtime=recipe.runtime,
            runtime_options=overridden,
            device=device,
            scenario=scenario,
            scenario_options=recipe.scenarios.get(scenario, asdict(defaults())),
            interpreter=interpreter,
            placement=recipe.placement if scenarios()[scenario].timed else recipe.placement.alone,
            origin=self.builder.origin(workload),
            seconds=self.spec.measure.seconds,
            samples=self._samples[recipe.key, scenario],
            subset=self.subset if scenarios()[scenario].divisible else None,
            compared=tuple(step["compared"] for step in artifact.steps if "compared" in step),
            machine=place.name,
            cool_to=self.spec.cool_to(target.machine) if scenarios()[scenario].timed else None,
        )

    def _single(self, subject: MeasurementSpec) -> ProcessRecord:
        """One process of a scenario whose figures are no times, or of a proof: disturbance does not matter."""
        return self.campaign.extend(subject, 1)[0]

    def expect(self, targets: Sequence[Target]) -> None:
        """Names the targets that will be asked for: their processes are then run in turns."""
        self._expected = list(targets)

    def _trial(self, target: Target, metric: type[ProcessMetric], subjects: Sequence[MeasurementSpec]) -> ProcessTrial:
        """The target's trial when it is done; those of all expected targets are played in the same rounds."""
        self._finish_building()
        expected, self._expected = self._expected, []
        for other in expected:
            if issubclass(other.metric, ProcessMetric) and other.key != target.key:
                try:
                    self._enlist(other, other.metric, self._subjects(other))
                except KpiError as error:
                    # Its own test meets the same error, and tells it.
                    self.builder.progress(f"{other.id} can't be measured: {error.message}")
        trial = self._enlist(target, metric, subjects)
        self._rounds.finish(trial)
        if trial.error is not None:
            raise trial.error
        return trial

    def _enlist(self, target: Target, metric: type[ProcessMetric], subjects: Sequence[MeasurementSpec]) -> ProcessTrial:
        """The target's trial on these subjects, which takes its turns from now on."""
        key = (target.key, tuple(subject.id for subject in subjects))
        if key not in self._trials:
            settings = self.spec.measure
            confidence = settings.confidence_at(self._attempt(target, subjects))
            self._trials[key] = ProcessTrial(
                target.bound,
                subjects,
                lambda records: metric.estimates(
                    records, settings.confidence, self.spec.hourly(target), first=settings.looks[0]
                ),
                self.campaign,
                looks=looks_for(settings.looks, confidence, settings.drift, target.bound.share),
                confidence=confidence,
                budget_s=settings.budget_s + self.spec.least_time(target).seconds,
                patience=settings.patience,
                gates=not self.standing(target),
                within=lambda records: metric.within(records, settings.confidence),
            )
            self._rounds.add(self._trials[key])
        return self._trials[key]

    def _attempt(self, target: Target, subjects: Sequence[MeasurementSpec]) -> int:
        """How often this artifact was held against the bound on its machine, this time among them."""
        return self._counting.attempt((*target.key, subjects[0].artifact), self.place(target))

    def _subjects(self, target: Target) -> list[MeasurementSpec]:
        """What is measured for a target, its artifacts built."""
        self._require_device(target)
        recipes = self.spec.recipes_of(target)
        return [self.subject(target, recipe, self.builder.artifact(recipe)) for recipe in recipes]
