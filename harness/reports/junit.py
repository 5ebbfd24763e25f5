"""What JUnit carries for each target besides its outcome: properties of the test case."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.model import TargetResult
from harness.measure.machine.detect import Detected
from harness.spec.model import Target


def properties(target: Target, answer: TargetResult, machine: Detected | None) -> Iterator[tuple[str, object]]:
    """What JUnit carries for each target; ``machine`` is what the target's turned out to be."""
    show = target.shown_in.format
    yield "kpi.verdict", answer.verdict.value
    yield "kpi.metric", target.metric_name
    yield "kpi.bound", target.bound.text
    if answer.n:
        yield "kpi.value", show(answer.value)
        yield "kpi.interval", f"{show(answer.low)} to {show(answer.high)}"
    yield "kpi.machine", f"{target.machine} on {machine.cpu}" if machine else f"{target.machine}, not reached"
    if answer.artifact:
        yield "kpi.artifact", answer.artifact
    if answer.reason:
        yield "kpi.reason", answer.reason
