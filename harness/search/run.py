"""The search itself: draws candidates, checks them the cheapest way first, and says what was found."""

from __future__ import annotations

import json
import random
import shutil
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import harness
from harness.build.store import Store
from harness.core.errors import KpiError, SpecError, Unavailable, suggest
from harness.measure.machine.detect import Detected, mismatch
from harness.search.candidates import Candidate, Space, name_of
from harness.search.checks import Checker, Seen, run_checks
from harness.search.pareto import BROKEN, DROPPED, Price, Row, front, nearest, prices, row_of, winner
from harness.search.study import Study, folder_of
from harness.spec.catalog import model_files, passes
from harness.spec.model import Kpi, Spec, WorkloadSpec
from harness.spec.search_space import Picked, every
from harness.spec.tasks import tasks

_NEAR = 0.03
"""How far a short look may be on the wrong side for a verdict to be worth its time."""
_REPEATS = 30
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: so many candidates in all, or so many minutes from now; a candidate in work is finished."""

    trials: int
    minutes: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found. ``elsewhere`` says why this machine is not the KPI's; empty where it is."""

    kpi: Kpi
    rows: tuple[Row, ...]
    winner: Row | None
    nearest: Row | None
    front: tuple[Row, ...]
    prices: tuple[Price, ...]
    exhausted: bool
    checks: int
    kept: int
    seconds: float
    elsewhere: str


class Search:
    """One run of a search; ``told`` hears of every candidate that is finished, ``progress`` of what goes on."""

    def __init__(
        self,
        spec: Spec,
        name: str,
        machine: Detected,
        store: Store,
        *,
        seed: int,
        progress: Callable[[str], None],
        told: Callable[[Row, list[Row]], None],
    ) -> None:
        self.kpi = _kpi(spec, name, machine)
        self._spec = spec
        self._machine = machine
        self._progress = progress
        self._told = told
        self._seed = seed
        workload = spec.workloads[self.kpi.workload]
        templates = workload.search or _default_space(workload, machine.cores)
        if not templates:
            raise KpiError(
                f'there is no space for the task "{workload.task}"',
                f"write one: [workload.{workload.name}.search.NAME]",
            )
        self._space = Space(spec, workload.name, templates)
        self._folder = folder_of(spec.root, name)
        self.checks = self.kept = 0
        self._study: Study | None = None
        runs = self._folder / "runs"
        stopped = sorted(runs.iterdir(), reverse=True) if runs.exists() else []
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        self._checker = Checker(spec, self.kpi, machine, store, runs / stamp, stopped, self, progress)
        self._old = stopped[_RUNS:]

    # ---- what the checker keeps ---------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """Opened once it is known what the workload is."""
        if self._study is None:
            described = self._checker.described()
            identity = {
                "harness": harness.__version__,
                "targets": [(target.metric_name, target.bound.text) for target in self.kpi.targets],
                "space": self._space.identity,
                "workload": [described["fingerprint"], described["code"]],
                "machine": asdict(self._machine),
                "measure": asdict(self._spec.measure),
                "seed": self._seed,
            }
            self._study = Study(self._folder, json.dumps(identity, sort_keys=True, default=str), self._seed)
        return self._study

    def get(self, key: str) -> dict[str, Any] | None:
        """A check that was finished earlier."""
        return self.study.get(key)

    def put(self, key: str, seen: dict[str, Any]) -> None:
        """Keeps a check."""
        self.study.put(key, seen)

    # ---- the search ---------------------------------------------------------------------------------------------

    def run(self, limits: Limits) -> Outcome:
        """Searches until a limit is reached, or everything was tried.

        Raises Unavailable when the workload can't be had here, KpiError when another search has the study.
        """
        start = time.monotonic()
        study = self.study
        try:
            for folder in self._old:
                shutil.rmtree(folder, ignore_errors=True)
            study.take_up()
            rows = [self._own(start)]
            rows += [Row.from_json(record) for _, record in study.finished()]
            exhausted = False
            while len(rows) - 1 < limits.trials and time.monotonic() - start < 60 * limits.minutes:
                row = self._next({row.name for row in rows[1:]}, rows)
                if row is None:
                    exhausted = True
                    break
                rows.append(row)
                self._told(row, rows)
            rows = self._known_whole(rows)
        finally:
            study.close()
        return self._outcome(rows, time.monotonic() - start, exhausted=exhausted)

    @property
    def file(self) -> Path:
        """Where the workload's table is, and its recipes."""
        return self._spec.workload_files[self.kpi.workload]

    def _own(self, start: float) -> Row:
        """The recipe that the KPI has already, with which the others are compared."""
        raw = tomllib.loads(self.file.read_bytes().decode("utf-8-sig"))
        table = raw["workload"][self.kpi.workload]["recipe"][self.kpi.recipe]
        recipe = self._spec.recipe(self.kpi.workload, self.kpi.recipe)
        row = self._checked(Candidate(self.kpi.recipe, table, recipe, own=True), [], start)
        self._told(row, [row])
        return row

    def _next(self, done: set[str], rows: list[Row]) -> Row | None:
        """Draws a candidate that was not tried, and checks it; None when there is none left."""
        for repeats in range(_REPEATS):
            if self._all is not None and repeats:
                left = [params for name, params in self._all.items() if name not in done]
                if not left:
                    return None
                dice = random.Random(f"{self._seed} {len(done)}")  # noqa: S311 - an order, not a secret
                self.study.enqueue(dice.choice(left))
            asked = self.study.ask(repeats)
            begin = time.monotonic()
            try:
                candidate = self._space.draw(asked.pick)
            except SpecError as error:
                # Each part is right by itself; together they don't fit.
                table = self._space.table(asked.picked)
                name = name_of(str(asked.picked["recipe"]), table)
                candidate, row = None, Row(name, table, BROKEN, why=error.problems[0])
            if (candidate.name if candidate else row.name) in done:
                self.study.forget(asked)
                continue
            asked.begin()
            if candidate is not None:
                row = self._checked(candidate, rows, begin)
            self.study.tell(asked, row.worst, row.to_json())
            return row
        return None

    @cached_property
    def _all(self) -> Mapping[str, Picked] | None:
        """Every candidate by name, where their number has an end that is near."""
        found = every({"recipe": self._space.root})
        if found is None:
            return None
        return {name_of(str(picked["recipe"]), self._space.table(picked)): picked for picked in found}

    def _checked(self, candidate: Candidate, rows: list[Row], begin: float) -> Row:
        """Looks first; a verdict only where it may win."""
        seen: list[Seen] = []
        try:
            targets = self._checker.prepare(candidate)
            looks, rest = self._checker.steps(targets)
            seen += run_checks(self._checker, looks, self._count)
            best = winner(rows)
            worst = min(one.margin for one in seen)
            if not any(one.dropped for one in seen) and worst >= -_NEAR and (best is None or worst > best.worst):
                seen += run_checks(self._checker, rest, self._count)
        except KpiError as error:
            if candidate.own and isinstance(error, Unavailable) and not seen:
                self._progress(f"{candidate.name}: {error.message}")
            return Row(
                candidate.name, candidate.table, BROKEN, {}, error.message, time.monotonic() - begin, candidate.own
            )
        return row_of(candidate.name, candidate.table, targets, seen, time.monotonic() - begin, own=candidate.own)

    def _known_whole(self, rows: list[Row]) -> list[Row]:
        """Where all were dropped early: the nearest is looked at whole, so that it is known what else it misses."""
        near = nearest(rows)
        if winner(rows) or near is None or near.state != DROPPED:
            return rows
        candidate = self._space.candidate(near.name, near.table)
        begin = time.monotonic()
        try:
            targets = self._checker.prepare(candidate)
            looks, _ = self._checker.steps(targets)
            seen = []
            for level, target in looks:
                seen.append(self._checker.check(level, target))
                self._count(seen[-1])
        except KpiError as error:
            self._progress(f"{near.name}: {error.message}")
            return rows
        made = row_of(near.name, near.table, targets, seen, near.seconds + time.monotonic() - begin, own=near.own)
        return [made if row is near else row for row in rows]

    def _count(self, seen: Seen) -> None:
        self.checks += seen.made
        self.kept += not seen.made

    def _outcome(self, rows: list[Row], seconds: float, *, exhausted: bool) -> Outcome:
        targets = self.kpi.targets
        best = winner(rows)
        return Outcome(
            self.kpi,
            tuple(rows),
            best,
            None if best else nearest(rows),
            tuple(front(rows, targets)),
            tuple(prices(rows, targets, best)),
            exhausted,
            self.checks,
            self.kept,
            seconds,
            mismatch(self._spec.machines[self.kpi.machine], self._machine),
        )


def _kpi(spec: Spec, name: str, machine: Detected) -> Kpi:
    """The KPI, as far as it can be searched for here."""
    known = {kpi.name: kpi for kpi in spec.kpis}
    if name not in known:
        raise SpecError([suggest(name, known, "KPI")])
    kpi = known[name]
    for target in kpi.targets:
        if target.metric.two_machines:
            raise KpiError(f"{target.metric_name} compares two machines", "search for a KPI without it")
    device = spec.machines[kpi.machine].device
    if not machine.has(device):
        raise Unavailable(f"this machine has no {device}", f'search for "{name}" on a machine that has one')
    return kpi


def _default_space(workload: WorkloadSpec, cores: int) -> dict[str, Any]:
    """The space of the workload's task; of a model that is a file without the passes that make such a file.

    Of a model with constants what follows from them is computed first: a branch that is never taken has no ranges, and
    a pass that asks for them stops.
    """
    space = tasks()[workload.task].space if workload.task in tasks() else None
    templates = space(cores) if space else {}
    if workload.model_file is None:
        return templates
    made = model_files()[Path(workload.model_file).suffix.lower()].output_format
    found = {}
    for name, table in templates.items():
        steps = list(table["passes"])
        while steps and not _reads(steps[0], made):
            steps.pop(0)
        if steps:
            found[name] = {**table, "passes": [*(_folding(made) if workload.constants else ()), *steps]}
    return found


def _folding(made: str) -> list[dict[str, Any]]:
    """A pass that reads and writes this format, and computes ahead what follows from constants."""
    there = (one for one in passes().values() if one.folding is not None and made in one.input_formats)
    return [{"pass": one.name, **(one.folding or {})} for one in there if one.output_format == made][:1]


def _reads(step: Any, made: str) -> bool:
    """Whether a pass of a template reads a format; a choice of passes does."""
    name = step if isinstance(step, str) else step.get("pass")
    return name is None or made in passes()[name].input_formats
