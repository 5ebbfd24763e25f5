"""Spreads the processes of a run: in rounds, one of each subject, in a random order, pairs side by side.

Processes that follow one another find the machine in the same state: their medians resemble each other. What lies
between two processes of a subject is what other targets need anyway, so that spreading costs nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from harness.core.errors import KpiError
from harness.measure.runner import MeasurementRunner, MeasurementSpec

_HALF = 0.5


class Trial(Protocol):
    """What one target still needs: processes of one subject, or of two side by side."""

    @property
    def subjects(self) -> Sequence[MeasurementSpec]:
        """One subject, or the two of a pair."""

    @property
    def done(self) -> bool:
        """Whether it needs no more."""

    @property
    def wanted(self) -> int:
        """How many processes, or pairs of them, its next look takes."""

    def look(self, seconds: float) -> None:
        """Looks at what is there, after ``seconds`` more were spent on it."""

    def fail(self, error: KpiError) -> None:
        """Ends it: its processes can't be run."""


class Rounds:
    """The trials of a run, and the order in which their processes take turns; ``seed`` makes it the same again."""

    def __init__(self, campaign: MeasurementRunner, seed: str) -> None:
        self._campaign = campaign
        self._random = random.Random(seed)  # noqa: S311 - an order, not a secret
        self._trials: list[Trial] = []
        self._late: dict[tuple[str, ...], bool] = {}

    def add(self, trial: Trial) -> None:
        """Lets a trial take part from the next round on."""
        self._trials.append(trial)

    def finish(self, trial: Trial) -> None:
        """Plays rounds until one of the trials is done; the others get as many processes on the way."""
        while not trial.done:
            self._play()

    def _play(self) -> None:
        """One round: first what is measured here, which runs alone; then all machines that are reached, at once."""
        turns: dict[str, list[Sequence[MeasurementSpec]]] = {"": []}
        for unit in self._ordered(self._units()):
            turns.setdefault(unit[0].machine, []).append(unit)
        self._take_turns(turns.pop(""))
        if len(turns) < 2:  # noqa: PLR2004 - one machine needs no other thread
            for units in turns.values():
                self._take_turns(units)
            return
        with ThreadPoolExecutor(len(turns)) as pool:
            for done in [pool.submit(self._take_turns, units) for units in turns.values()]:
                done.result()

    def _take_turns(self, units: Sequence[Sequence[MeasurementSpec]]) -> None:
        for unit in units:
            waiting = [trial for trial in self._trials if not trial.done and _serves(unit, trial)]
            if waiting:
                self._run(unit, waiting)

    def _ordered(self, units: list[Sequence[MeasurementSpec]]) -> list[Sequence[MeasurementSpec]]:
        """A random order in which at least half a round lies between two turns of a subject.

        Who had its turn in the first half of the last round has it in the first half of this one.
        """
        self._random.shuffle(units)
        halves = [self._late.get(_ids(unit), self._random.random() < _HALF) for unit in units]
        made = [unit for _, unit in sorted(zip(halves, units, strict=True), key=lambda pair: pair[0])]
        self._late = {_ids(unit): 2 * place >= len(made) for place, unit in enumerate(made)}
        return made

    def _units(self) -> list[Sequence[MeasurementSpec]]:
        """What the trials need a process or a pair of, each once; a pair gives its subjects a process each."""
        wanted = {_ids(trial.subjects): trial.subjects for trial in self._trials if not trial.done}
        paired = {name for names in wanted if len(names) > 1 for name in names}
        return [subjects for names, subjects in wanted.items() if len(names) > 1 or names[0] not in paired]

    def _run(self, unit: Sequence[MeasurementSpec], waiting: Sequence[Trial]) -> None:
        count = max(trial.wanted for trial in waiting)
        try:
            if len(unit) > 1:
                seconds = self._campaign.add_pair(unit[0], unit[1], count)
            else:
                seconds = self._campaign.add(unit[0], count)
        except KpiError as error:
            for trial in waiting:
                trial.fail(error)
            return
        for trial in waiting:
            trial.look(seconds)


def _ids(subjects: Sequence[MeasurementSpec]) -> tuple[str, ...]:
    return tuple(subject.id for subject in subjects)


def _serves(unit: Sequence[MeasurementSpec], trial: Trial) -> bool:
    """Whether what is run for ``unit`` is what the trial needs: the same, or one process out of a pair."""
    names = _ids(trial.subjects)
    return names == _ids(unit) or (len(names) == 1 and names[0] in _ids(unit))
