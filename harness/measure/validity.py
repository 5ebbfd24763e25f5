"""Whether a process was disturbed: judged by signals that do not depend on the artifact's own speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.core.statistics import median
from harness.measure.records import ProcessRecord

KERNEL_SLOWER = 1.25
"""The reference kernel around a process may be this much slower than the best seen in the run."""
STEAL = 0.05
"""Share of the processors' time that the hypervisor took away."""
OTHERS = 0.15
"""Share of the processors' time that other processes used."""
SHORT_S = 0.2
"""The system counts processor time in steps of 10 ms: of a shorter window the shares say nothing."""


def kernel_time(record: ProcessRecord) -> float:
    """Seconds of the reference kernel around the process: the slower of before and after, each a median."""
    return max(_kernel_before(record), median(record.kernel_s[len(record.kernel_s) // 2 :]))


def _kernel_before(record: ProcessRecord) -> float:
    return median(record.kernel_s[: len(record.kernel_s) // 2])


def best_kernel(records: Iterable[ProcessRecord]) -> float:
    """The fastest reference kernel among ``records``: this machine, undisturbed; infinite when there is none."""
    return min((median(r.kernel_s) for r in records if r.kernel_s), default=float("inf"))


def disturbance(record: ProcessRecord, best: float, heats: bool = False) -> str:  # noqa: FBT001, FBT002
    """Why the process does not count, empty when it does. Never looks at the artifact's own times.

    Where the scenario ``heats``, what heat did while it ran is what was measured: a machine that is slow before counts.
    """
    return next(_disturbances(record, best, heats=heats), "")


def by_heat(record: ProcessRecord) -> bool:
    """Whether heat is what disturbed the process, and nothing from outside: it made that heat itself."""
    outside = (*_stopped_by_quota(record), *_taken(record))
    return bool(_heated(record)) and not outside


def hopeless(records: Sequence[ProcessRecord], patience: int) -> bool:
    """Whether so many processes in a row were disturbed that no undisturbed one is to be expected."""
    return len(records) >= patience and all(record.disturbed for record in records[-patience:])


def _disturbances(record: ProcessRecord, best: float, *, heats: bool) -> Iterator[str]:
    slower = (_kernel_before if heats else kernel_time)(record) / best if record.kernel_s else 1.0
    if slower > KERNEL_SLOWER:
        yield f"the reference kernel around it was {slower:.2f} times slower than the best of this run"
    yield from _stopped_by_quota(record)
    yield from _taken(record)
    if not heats:
        yield from _heated(record)


def _taken(record: ProcessRecord) -> list[str]:
    """What others took of the processors while it ran."""
    steal, others = _share(record, "steal"), _share(record, "others")
    said = []
    if steal > STEAL:
        said.append(f"{100 * steal:.0f} % of the processors' time was stolen by the hypervisor")
    if others > OTHERS:
        said.append(f"other processes used {100 * others:.0f} % of the processors")
    return said


def _heated(record: ProcessRecord) -> list[str]:
    """What heat did while it ran."""
    said = []
    if throttled := record.system.get("throttled"):
        said.append(f"heat slowed the processors down {throttled} times")
    if heat := record.system.get("heat"):
        said.append(f"heat slowed the machine down: {heat}")
    return said


def _stopped_by_quota(record: ProcessRecord) -> Iterator[str]:
    """What a container's quota did while the process was timed, or during all of it where nothing was timed.

    A stop lasts for tens of milliseconds, longer than many a request: a single one moves a tail.
    """
    span = record.system.get("window") or record.system
    if span.get("quota_stops"):
        share = 100 * float(span.get("quota_share") or 0)
        yield f"the quota stopped it for {f'{share:.0f}' if share >= 1 else 'less than 1'} % of the time"


def _share(record: ProcessRecord, name: str) -> float:
    """A share over the whole process, or over the window in which it was timed: the larger."""
    spans = [record.system, record.system.get("window") or {}]
    return max((float(span.get(name, 0)) for span in spans if span.get("seconds", 0) >= SHORT_S), default=0.0)
