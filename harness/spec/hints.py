"""What a wrong name of a metric, task or pass could have been: of the right kind, for the right task, in full."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from harness.core.errors import suggest
from harness.core.formats import REFERENCE
from harness.spec.catalog import metrics, passes, runtimes
from harness.spec.tasks import concerns, tasks

if TYPE_CHECKING:
    from harness.judge.metrics.base import Metric

_NEAR, _SAME_TASK, _SAME_TAIL = 0.75, 0.88, 0.6


def for_task(task: str) -> list[str]:
    """The metrics that are defined for a task, by name; all where the task is not known."""
    return sorted(name for name, metric in metrics().items() if concerns(metric, task))


def unknown_metric(name: str, task: str) -> str:
    """The nearest metric is sought within the kind that was written, among those of the task; all of them are named."""
    names = for_task(task)
    kind, _, tail = name.partition(".")
    same = {known.partition(".")[2]: known for known in names if known.partition(".")[0] == kind}
    if same:
        found = [same[near] for near in difflib.get_close_matches(tail, same, n=1, cutoff=_SAME_TAIL)]
    else:
        # The kind itself is misspelled, or was left out.
        found = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
        found = found or [known for known in names if known.partition(".")[2] == name]
    hint = f"; did you mean {_quoted(found)}?" if found else ""
    kinds = f"; of this kind: {', '.join(same.values())}" if same and not found else ""
    of = f" of {task}" if task else ""
    return f'unknown metric "{name}"{hint or kinds} (metrics{of}: {", ".join(names)})'


def wrong_task(metric: type[Metric], task: str) -> str:
    """A metric of another task, with those of its kind that the task has."""
    same = [name for name in for_task(task) if metrics()[name].kind() == metric.kind()]
    instead = f"its metrics of this kind are {', '.join(same)}" if same else "it has no metric of this kind"
    return f"{metric.name} is not defined for the task {task!r}; {instead}"


def unknown_task(task: str) -> str:
    """A typo has a nearest match; another kind of model has none, and is told which tasks there are."""
    return suggest(task, tasks(), "task", cutoff=_SAME_TASK)


def misplaced_pass(name: str, made: str, before: str) -> str:
    """A pass that can't read what is ``made`` before it, by the pass ``before``; says what to put there instead."""
    wanted = passes()[name].input_formats
    reads = " or ".join(_format(f) for f in sorted(wanted))
    given = f'"{before}" before it makes {made}' if before else "it comes first"
    return f'pass "{name}" reads {reads}, but {given}; {_bridge(made, wanted)}'


def misplaced_runtime(name: str, made: str) -> str:
    """A runtime that can't run what the passes make; says which runtimes do, which pass would make another format."""
    wanted = runtimes()[name].formats
    others = sorted(other for other, cls in runtimes().items() if made in cls.formats)
    advice = [f"choose runtime {_quoted(others)}"] if others else []
    if bridges := _makers(made, wanted):
        advice.append(f"add {_quoted(bridges)} as the last pass")
    advice = advice or [_bridge(made, wanted)]
    runs = " or ".join(sorted(wanted))
    return f'runtime "{name}" runs {runs}, but the passes make {made}; {", or ".join(advice)}'


def misspelled_headers(text: str, known: Collection[str]) -> Iterator[str]:
    """Unknown tables of a file that is not valid TOML: what the parser says may follow from them."""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([A-Za-z_-]+)\s*[.\]]", line)
        if header and header[2] not in known:
            yield f"line {number}: {suggest(header[2], known, 'table')}"


def _bridge(made: str, wanted: frozenset[str]) -> str:
    """What to do between a format that is there and those that are read."""
    if bridges := _makers(made, wanted):
        return f"put {_quoted(bridges)} before it"
    if made != REFERENCE and REFERENCE in wanted:
        return "put it first"
    makers = _makers(None, wanted)
    return f"{_quoted(makers)} makes that" if makers else "no pass makes that"


def _makers(made: str | None, wanted: frozenset[str]) -> list[str]:
    """The passes that write one of the formats and read ``made`` (anything else, where it is None)."""
    return sorted(
        name
        for name, cls in passes().items()
        # What takes a file of the user's does not connect two formats.
        if "file" not in cls.files
        and cls.output_format in wanted
        and (made in cls.input_formats if made else not cls.input_formats & wanted)
    )


def _format(name: str) -> str:
    return "the workload's own model" if name == REFERENCE else name


def _quoted(names: Collection[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)
