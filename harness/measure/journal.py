"""What a run has found so far, in files that are only appended to: nothing is written twice, nothing is lost.

Each process of the run that writes has a file of its own, ``journal.jsonl`` or ``journal-gw0.jsonl``, one event a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec

from harness.core.codec import decode, encode
from harness.measure.machine.detect import Detected
from harness.measure.records import Measurement

FILES = "journal*.jsonl"
RUN, VERDICT, MACHINE = "run", "verdict", "machine"
_MEASUREMENT, _PROCESS, _PAIR, _SCORES = "measurement", "process", "pair", "scores"
_FACTS = (
    "id",
    "recipe",
    "artifact",
    "artifact_bytes",
    "runtime",
    "device",
    "scenario",
    "runtime_options",
    "scenario_options",
    "environment",
    "placement",
    "conditions",
    "compared",
    "machine",
    "taken_over",
)
"""What is known of a measurement before anything is measured."""
_OF_SCORES = ("scores", "weights", "groups", "effects", "scored_with")


@dataclass(frozen=True, slots=True)
class ReachedMachine:
    """What was found at the other end: ``elsewhere`` says why KPIs do not gate there, empty where they do.

    ``other_processor`` is the processor that they were written for where that is another one.
    """

    machine: Detected
    elsewhere: str = ""
    other_processor: str = ""


class Event(msgspec.Struct, omit_defaults=True):
    """One line; what it holds besides ``event`` depends on that. Parts are kept as they were written."""

    event: str
    measurement: str = ""
    facts: msgspec.Raw = msgspec.Raw()
    record: msgspec.Raw = msgspec.Raw()
    other: str = ""
    pair: tuple[int, int] = (0, 0)
    metric: str = ""
    scores: msgspec.Raw = msgspec.Raw()
    weights: msgspec.Raw = msgspec.Raw()
    groups: msgspec.Raw = msgspec.Raw()
    effects: msgspec.Raw = msgspec.Raw()
    scored_with: msgspec.Raw = msgspec.Raw()
    key: tuple[str, str, str] = ("", "", "")
    answer: msgspec.Raw = msgspec.Raw()
    run: msgspec.Raw = msgspec.Raw()
    name: str = ""
    machine: msgspec.Raw = msgspec.Raw()


def raw(value: object) -> msgspec.Raw:
    """A part of an event."""
    return msgspec.Raw(encode(value))


@dataclass
class _Kept:
    """How much of a measurement is in the file."""

    processes: int = 0
    pairs: dict[str, int] = field(default_factory=dict)
    scores: set[tuple[str, bool]] = field(default_factory=set)


class Journal:
    """Appends what is new; a line is written whole or, where the process is killed meanwhile, not read."""

    def __init__(self, folder: Path, tag: str = "") -> None:
        self.path = folder / f"journal{f'-{tag}' if tag else ''}.jsonl"
        self._kept: dict[str, _Kept] = {}

    def append(self, *events: Event) -> None:
        """Writes events, all or none of them: where that fails (a full disk) the file is as it was before."""
        if not events:
            return
        with self.path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            lines = b"".join(encode(event) + b"\n" for event in events)
            try:
                while lines:
                    lines = lines[file.write(lines) :]
            except OSError:
                file.truncate(before)
                raise

    def meet(self, name: str, machine: ReachedMachine) -> None:
        """Writes what a machine is that was reached."""
        self.append(Event(MACHINE, name=name, machine=raw(machine)))

    def keep(self, measurement: Measurement) -> None:
        """Writes what a measurement has gained since it was last kept."""
        name, events = measurement.id, []
        known = self._kept.get(name, _Kept())
        if name not in self._kept:
            facts = {fact: getattr(measurement, fact) for fact in _FACTS}
            events.append(Event(_MEASUREMENT, name, raw(facts)))
        new = measurement.processes[known.processes :]
        events += [Event(_PROCESS, name, record=raw(record)) for record in new]
        for other, pairs in measurement.pairs.items():
            new_pairs = pairs[known.pairs.get(other, 0) :]
            events += [Event(_PAIR, name, other=other, pair=pair) for pair in new_pairs]
        # What one sample can do may be asked for later: the scores are then written once more with it.
        scored = {(metric, metric in measurement.effects) for metric in measurement.scores}
        events += [_scores_event(measurement, metric) for metric, _ in scored - known.scores]
        self.append(*events)
        self._kept[name] = _Kept(
            len(measurement.processes),
            {other: len(pairs) for other, pairs in measurement.pairs.items()},
            scored,
        )


def _scores_event(measurement: Measurement, metric: str) -> Event:
    event = Event(_SCORES, measurement.id, metric=metric)
    for part in _OF_SCORES:
        setattr(event, part, raw(getattr(measurement, part).get(metric)))
    return event


@dataclass
class Journaled:
    """One measurement as the journal has it, its parts as they were written."""

    facts: bytes
    processes: list[bytes] = field(default_factory=list)
    pairs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    scores: dict[str, Event] = field(default_factory=dict)

    @classmethod
    def of(cls, measurement: Measurement) -> Journaled:
        """A measurement that is whole in memory."""
        metrics = measurement.scores
        return cls(
            encode({fact: getattr(measurement, fact) for fact in _FACTS}),
            [encode(record) for record in measurement.processes],
            {other: list(pairs) for other, pairs in measurement.pairs.items()},
            {metric: _scores_event(measurement, metric) for metric in metrics},
        )

    def lines(self) -> Iterator[bytes]:
        """The measurement as JSON, a process each line."""
        scored = []
        for part in _OF_SCORES:
            kept = {metric: getattr(event, part) for metric, event in self.scores.items()}
            scored.append(b'"%s":%s' % (part.encode(), encode({m: v for m, v in kept.items() if bytes(v) != b"null"})))
        yield b'%s,%s,"pairs":%s,"processes":[' % (self.facts[:-1], b",".join(scored), encode(self.pairs))
        for place, process in enumerate(self.processes, 1):
            yield process + b"," * (place < len(self.processes))
        yield b"]}"

    @cached_property
    def measurement(self) -> Measurement:
        """The same as an object; ValueError where another version has written it."""
        return decode(b"".join(self.lines()), Measurement)


@dataclass
class Found:
    """All journals of a folder: the run as it was described, verdicts in the order in which they came, measurements."""

    run: bytes = b""
    answers: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    measurements: dict[str, Journaled] = field(default_factory=dict)
    machines: dict[str, bytes] = field(default_factory=dict)


def read_journals(folder: Path) -> Found:
    """What the journals of a run's folder hold; a line that was not written to its end is passed over."""
    found = Found()
    for event in _events(sorted(folder.glob(FILES))):
        if event.event == RUN:
            found.run = bytes(event.run)
        elif event.event == VERDICT:
            found.answers.setdefault(event.key, bytes(event.answer))
        elif event.event == MACHINE:
            found.machines[event.name] = bytes(event.machine)
        elif event.event == _MEASUREMENT:
            found.measurements[event.measurement] = Journaled(bytes(event.facts))
        elif own := found.measurements.get(event.measurement):
            if event.event == _PROCESS:
                own.processes.append(bytes(event.record))
            elif event.event == _PAIR:
                own.pairs.setdefault(event.other, []).append(event.pair)
            elif event.event == _SCORES:
                own.scores[event.metric] = event
    return found


def _events(files: Iterable[Path]) -> Iterator[Event]:
    decoder = msgspec.json.Decoder(Event)
    for path in files:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError:
                    continue  # torn by a kill or a full disk: whatever it was to say is measured again


def measured(folder: Path, name: str) -> Sequence[Measurement]:
    """The measurements of a run's folder whose ids begin so; none that another version has written."""
    found: list[Measurement] = []
    stamp = tuple((path.name, path.stat().st_size) for path in sorted(folder.glob(FILES)))
    for own, journaled in _journaled(folder, stamp).items():
        if own == name or own.startswith(f"{name}-"):
            try:
                found.append(journaled.measurement)
            except ValueError:
                continue
    return found


@lru_cache(maxsize=64)
def _journaled(folder: Path, _: tuple[tuple[str, int], ...]) -> dict[str, Journaled]:
    """Read once as long as nothing is appended: each subject of a resumed run asks."""
    return read_journals(folder).measurements
