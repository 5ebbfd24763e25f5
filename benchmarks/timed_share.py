"""How much of the time of measuring processes the artifact was exercised for a figure, by runtime and scenario.

Usage: python benchmarks/timed_share.py EVIDENCE [--phases]
EVIDENCE is an evidence.json, or the folder of a run, whose journal is read even while it goes on.

Timed is the part of a process in which the artifact is exercised for a figure: between the first and the last request
whose time counts, or while it answers the samples that are scored. Neither starting Python nor importing, loading,
warming up, the reference kernel or reading back what ran is timed. A process's life is what its parent sees, from its
start until it is gone. Evidence of earlier versions does not say all that: there the life is what
the worker counted itself, which leaves its start and end out, and all after the first answer of a scored scenario
counts as timed. Both make the share look larger than it was.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evidence.reader import read_evidence
from harness.measure.journal import read_journals
from harness.measure.phases import SCORED, TIMED
from harness.measure.records import Measurement, ProcessRecord
from harness.measure.scenarios import scenarios

OUTSIDE = "start and end"


@dataclass
class Share:
    """Some processes: seconds by what they did."""

    processes: int = 0
    life_s: float = 0.0
    timed_s: float = 0.0
    phases: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, process: ProcessRecord, *, scored: bool) -> None:
        """One more process; ``scored`` where its scenario's figures are no times."""
        system = process.system
        life, phases = float(system.get("life_s", process.wall_s)), dict(system.get("phases", {}))
        self.processes += 1
        self.life_s += life
        if phases:
            self.timed_s += phases.get(TIMED, 0.0) + phases.get(SCORED, 0.0)
            for name, seconds in {**phases, OUTSIDE: life - process.wall_s}.items():
                self.phases[name] += seconds
        elif window := system.get("timed"):
            self.timed_s += window[1] - window[0]
        elif scored:
            self.timed_s += process.wall_s - process.load_s - process.first_inference_s

    def line(self) -> str:
        """Processes, life, timed, share."""
        share = 100 * self.timed_s / self.life_s if self.life_s else 0.0
        return f"{self.processes:9d} {self.life_s:9.1f} {self.timed_s:9.1f} {share:7.1f} %"


def shares(measurements: Iterable[Measurement]) -> dict[tuple[str, str], Share]:
    """By runtime and scenario, those that took longest first."""
    found: dict[tuple[str, str], Share] = defaultdict(Share)
    for measurement in measurements:
        scored = not scenarios()[measurement.scenario].timed
        for process in measurement.processes:
            found[measurement.runtime, measurement.scenario].add(process, scored=scored)
    return dict(sorted(found.items(), key=lambda item: -item[1].life_s))


def total(parts: Iterable[Share]) -> Share:
    """All of them as one."""
    whole = Share()
    for part in parts:
        whole.processes += part.processes
        whole.life_s += part.life_s
        whole.timed_s += part.timed_s
        for name, seconds in part.phases.items():
            whole.phases[name] += seconds
    return whole


def read(path: Path) -> Sequence[Measurement]:
    """The measurements of an evidence, or of a run's folder."""
    if path.is_dir():
        return [kept.measurement for kept in read_journals(path).measurements.values()]
    return read_evidence(path, None)[0].measurements


def main() -> None:
    """Prints the table; with ``--phases`` also what a process of each kind does, in seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evidence", type=Path)
    parser.add_argument("--phases", action="store_true")
    chosen = parser.parse_args()
    found = shares(read(chosen.evidence))
    print(f"{'runtime':22}{'scenario':17}processes    life s   timed s     share")
    for (runtime, scenario), share in found.items():
        print(f"{runtime:22}{scenario:17}{share.line()}")
    whole = total(found.values())
    print(f"{'total':39}{whole.line()}")
    if chosen.phases:
        for (runtime, scenario), share in [*found.items(), (("total", ""), whole)]:
            said = ", ".join(f"{name} {seconds / share.processes:.3f}" for name, seconds in share.phases.items())
            print(f"{runtime} {scenario}: {said or 'not known'}")


if __name__ == "__main__":
    main()
