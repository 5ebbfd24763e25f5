"""Keeps the ledger and the evidence of a run true on disk while the run goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path

from harness.core.attempts import Attempts, Key
from harness.core.errors import KpiError
from harness.core.files import write_atomically
from harness.core.text import plain
from harness.evidence.composing import compose, publish
from harness.evidence.history.database import History
from harness.evidence.history.points import Earlier, Point, answered
from harness.evidence.ledger import Ledger
from harness.evidence.machine_name import machine_id
from harness.evidence.model import Evidence, TargetResult
from harness.evidence.seal import KEY_VARIABLE
from harness.evidence.writer import evidence
from harness.measure.journal import RUN, VERDICT, Event, Journal, raw
from harness.measure.machine.detect import detect
from harness.measure.run_folder import clear_aside, run_folder
from harness.reports.annotations import annotate, write_gitlab


class Recorder:
    """Appends verdicts to the run's journal as they come; makes ``evidence.json`` of it at the end."""

    def __init__(
        self,
        ledger: Ledger,
        out: Path,
        started: datetime,
        *,
        release: bool,
        resume: bool = False,
        history: History | None = None,
        annotations: str = "off",
    ) -> None:
        self.ledger = ledger
        self.history = history
        self.annotations = annotations
        self.forgotten = ""
        self.out = out
        self.release = release
        self.resume = resume
        self.stopped: list[Path] = []
        self.active = False
        self.deselected: set[tuple[str, str, str]] = set()
        self.evidence: Evidence | None = None
        self.unreported = ""
        self._started = started
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Where this run keeps its files, made when first asked for."""
        if self._folder is None:
            self._folder, self.stopped = run_folder(self.out, self._started, resume=self.resume)
        return self._folder

    def earlier(self, said: int) -> Attempts:
        """The attempts before this one, here and on machines that are reached; ``said`` is this one's number."""
        known: Mapping[Key, Mapping[str, int]] = {}
        if self.history is not None:
            try:
                known = self.history.attempts(machine_id(detect()), stopped=not self.resume)
            except KpiError as error:
                self.forgotten = str(error)
        return Attempts(known, said - 1)

    def record(self, key: tuple[str, ...], answer: TargetResult) -> None:
        """Enters a verdict; a target that is run again keeps its first one."""
        kpi, metric, bound = key
        if not self.ledger.answered((kpi, metric, bound)):
            self.ledger.record((kpi, metric, bound), answer)
            self._described.append(Event(VERDICT, key=(kpi, metric, bound), answer=raw(answer)))

    def finish(self, stopped: str = "") -> None:
        """Writes the final evidence; targets without a verdict get one that says why.

        ``stopped`` says why the run did not come to its end: then another may go on where it stopped.
        """
        head = self._head(complete=not stopped, otherwise=f"not measured: {stopped or 'no test asked for it'}")
        self.evidence = compose(self.folder, head, os.environ.get(KEY_VARIABLE))
        from harness.reports.badge import write_badge
        from harness.reports.html import write
        from harness.reports.markdown import render

        earlier, trend = self._remember(self.evidence)
        write_atomically(self.folder / "summary.md", render(self.evidence, earlier))
        self.unreported = write(self.folder / "report.html", self.evidence, trend)
        write_badge(self.evidence, self.folder)
        if self.annotations == "gitlab":
            write_gitlab(annotate(self.evidence, self.ledger.spec.path), self.folder)
        if not stopped:
            clear_aside(self.folder)
        publish(self.folder, self.out)

    def kept(self, near: str) -> Iterator[str]:
        """Where things lie, ``near`` being the folder, and what could not be kept."""
        yield f"evidence: {near}"
        yield self.unreported or f"report: {Path(near) / 'report.html'}"
        if self.forgotten:
            yield f"this run is not in the history: {plain(self.forgotten)}"

    def _remember(self, made: Evidence) -> tuple[Earlier | None, list[Point]]:
        """Enters the run into the history; what was known before, and how the KPIs of this run moved until now.

        The history is a comfort: ``forgotten`` says what is wrong with it, and no verdict hangs on it.
        """
        if self.history is None:
            return None, []
        try:
            earlier = self.history.last(machine_id(made.machine), made.started)
            # Where the run is published, a later one overwrites it.
            self.history.record(made, self.folder / "evidence.json")
            asked = dict.fromkeys(target.kpi for target in made.targets if answered(target))
            return earlier, self.history.trend(*asked) if asked else []
        except KpiError as error:
            self.forgotten = str(error)
            return None, []

    def begin(self) -> None:
        """Writes down what the run is, so that one that is killed before its first verdict can be told."""
        if self.active:
            self._described  # noqa: B018 - made when it is first looked at

    @cached_property
    def _described(self) -> Journal:
        """The run's journal, which begins with what the run is and what it was asked to judge."""
        journal = Journal(self.folder)
        journal.append(Event(RUN, run=raw(self._head(complete=False, otherwise="not measured yet"))))
        return journal

    def _head(self, *, complete: bool, otherwise: str) -> Evidence:
        self.ledger.set_default_reasons(self.deselected, otherwise)
        return evidence(
            self.ledger,
            detect(),
            started=self._started,
            release=self.release,
            complete=complete,
            resume=self.resume,
        )
