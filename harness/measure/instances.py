"""Several workers at once, timed together; seen from outside they are one process that does the work of all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from harness.core.errors import KpiError
from harness.core.statistics import median
from harness.measure.barrier import FileBarrier
from harness.measure.records import ProcessRecord
from harness.measure.validity import kernel_time

_APART = 0.8
"""At least this share of the whole time all instances must have been timed together."""
_SHARED = ("device", "precision", "threads", "version")


def run_together(count: int, run: Callable[[FileBarrier], dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs ``run(meeting)`` for each instance, each in a thread; the first failure ends the waiting of all."""
    with tempfile.TemporaryDirectory(prefix="kpi-meeting-") as folder, ThreadPoolExecutor(count) as pool:
        meetings = [FileBarrier(folder, number, count) for number in range(count)]
        running = [pool.submit(run, meeting) for meeting in meetings]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            failed = next((error for future in done if (error := future.exception())), None)
            if failed:
                raise failed
        except BaseException:
            meetings[0].abort()
            raise
        return [future.result() for future in running]


def together(records: Sequence[ProcessRecord]) -> ProcessRecord:
    """One record of all instances: samples pooled, work and memory added up, times the longest.

    KpiError when they did not run alike: what one of them proved must hold for all.
    """
    first = records[0]
    for name in _SHARED:
        if len(found := {str(getattr(record.proof, name)) for record in records}) > 1:
            raise KpiError(f"the instances differ in {name}: {', '.join(sorted(found))}")
    spans = [record.system["timed"] for record in records]
    if not all(spans):
        raise KpiError("this scenario can't be played by several instances at once", "leave out `instances`")
    begin, end = min(span[0] for span in spans), max(span[1] for span in spans)
    common = max(0.0, min(span[1] for span in spans) - max(span[0] for span in spans)) / max(end - begin, 1e-9)
    slowest = max(records, key=kernel_time)
    return ProcessRecord(
        started=min(record.started for record in records),
        wall_s=max(record.wall_s for record in records),
        load_s=max(record.load_s for record in records),
        first_inference_s=max(record.first_inference_s for record in records),
        memory_before=sum(record.memory_before for record in records),
        memory_peak=sum(record.memory_peak for record in records),
        proof=first.proof,
        samples_s=tuple(sample for record in records for sample in record.samples_s),
        completed=sum(record.completed for record in records),
        elapsed_s=max(record.elapsed_s for record in records),
        batch=first.batch,
        warmup=first.warmup,
        kernel_s=slowest.kernel_s,
        system=_system(records),
        violations=tuple(dict.fromkeys(said for record in records for said in record.violations)),
        series={name: tuple(v for record in records for v in record.series[name]) for name in first.series},
        details={**first.details, "instances": [_instance(record) for record in records], "timed_together": common},
        outputs=first.outputs,
        disturbed="" if common >= _APART else f"the instances were timed together for {100 * common:.0f} % of the time",
    )


def _instance(record: ProcessRecord) -> dict[str, Any]:
    """What is kept of each instance besides what they did together."""
    return {
        "cores": record.system.get("cores"),
        "memory_policy": record.system.get("memory_policy"),
        "completed": record.completed,
        "elapsed_s": record.elapsed_s,
        "p50_s": median(record.samples_s) if record.samples_s else None,
        "timed": record.system["timed"],
        "window": record.system["window"],
    }


def _system(records: Sequence[ProcessRecord]) -> dict[str, Any]:
    """The counters of the first; what the others used was no stranger's."""
    first = records[0].system
    found = {**first, **_without_instances(first, [record.system for record in records[1:]])}
    if window := first.get("window"):
        windows = [record.system.get("window") or {} for record in records[1:]]
        found["window"] = {**window, **_without_instances(window, windows)}
    return found


def _without_instances(first: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """``own`` and ``others`` as they would be counted of one process that does the work of all; shares."""
    theirs = sum(float(o.get("own", 0.0)) * float(o.get("seconds", 0.0)) for o in others)
    share = theirs / max(float(first.get("seconds", 0.0)), 1e-9)
    own, strangers = float(first.get("own", 0.0)), float(first.get("others", 0.0))
    found = {"own": round(own + min(share, strangers), 4), "others": round(max(0.0, strangers - share), 4)}
    return found | _quota([first, *others])


def _quota(spans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The stops by a quota that all instances share: each of them has counted the same ones."""
    stopped = [span for span in spans if span.get("quota_stops")]
    if not stopped:
        return {}
    # Of the share s that stood still, the rest 1 - s is what the instance itself got: all together got more.
    worked = sum((1 - span["quota_share"]) / max(span["quota_share"], 1e-4) for span in stopped)
    return {
        "quota_stops": max(span["quota_stops"] for span in stopped),
        "quota_share": round(1 / (1 + worked), 4),
    }
