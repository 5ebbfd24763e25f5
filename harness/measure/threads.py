"""Whether a runtime starts more threads than a container's quota allows."""

from __future__ import annotations

from collections.abc import Iterator

from harness.measure.machine.detect import Detected
from harness.measure.runner import Series
from harness.measure.runtimes import runtimes


def thread_notes(series: Series, here: Detected) -> Iterator[str]:
    """A note with the remedy where the processes of a series start too many threads; none elsewhere."""
    subject, runtime = series.subject, runtimes()[series.subject.runtime]
    threads = next((record.proof.threads for record in series.records if record.proof.threads), None)
    chooses = threads or "threads" in runtime.Options.__dataclass_fields__
    if subject.device == "cpu" and chooses and (said := excess(threads, subject.placement.instances, here)):
        yield f"{runtime.title} starts {said}"


def excess(threads: int | None, instances: int, here: Detected) -> str:
    """How many threads are more than the quota allows, and the remedy; empty where they are not, or without a quota.

    ``threads`` of one instance; None where they are left to a runtime that does not say how many it took.
    """
    visible = here.visible_cores or here.cores
    if here.quota is None or here.quota >= visible:
        return ""
    if (threads or visible) * instances <= max(1.0, here.quota):
        return ""
    whole = f"{instances} x " if instances > 1 else ""
    how = f"{whole}{threads} threads" if threads else f"{whole}as many threads as it sees processors"
    return (
        f"{how} where the container's quota leaves {here.quota:g} of {here.visible_cores} processors, "
        f"and is stopped when they are used up: set threads = {max(1, here.cores // instances)} in the recipe's runtime"
    )
