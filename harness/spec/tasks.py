"""The tasks a workload may have: each family of tasks declares its own, in ``TASKS`` of its package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import NoOptions, Plugin, load, plugins

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from harness.judge.metrics.base import Metric
    from harness.workloads.files.signature import Signature

TENSORS = frozenset({"tensors"})
PROMPTS = frozenset({"prompts"})
RECORDINGS = frozenset({"recordings"})


@dataclass(frozen=True, slots=True)
class Guess:
    """That a model may be of a task: the output that is scored, how sure that is (a task asked for by its labels: 2).

    ``options`` are settings of the task. Without an output it is of another one, and ``note`` says why its labels do
    not fit.
    """

    output: str = ""
    sure: int = 2
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


Starter = tuple[str, str, str]
"""A first target: metric, bound, what a comment says.

``{reference}``, ``{share}`` and ``{drop}``, the least drop that the data can prove, are filled in.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What kind of model a workload is.

    ``name`` is what ``kpis.toml`` calls it. ``requests`` says what a request is made of: "tensors", "prompts",
    "recordings", or a word of the family's own; a metric names tasks, or what their requests are made of. ``plays``
    gives the scenario that is run where a metric names another one. ``answers`` says what is scored where several tasks
    have the same: "array", an output of the model; a metric may name that too. ``labelled`` says whether it is judged
    by what is right for each sample. ``metric`` is the one that passes with an accuracy limit tune on; where it is
    empty, the share of decisions that are right. ``hub`` is the pipeline tag that the Hugging Face hub knows such
    models by. ``options`` is the table of its own settings (``task = { name = "...", ... }``), made by
    ``options_table``; where it is a ``Reading``, it makes of the outputs what is scored; where it has ``class_names``,
    these are the names of the classes in the order of the model's; metrics find the settings in ``Outputs.task``.
    ``space`` gives the recipes that ``kpi search`` tries where a workload names none, for a number of cores.

    For ``kpi init``: ``holds`` is what its data hold where tasks of other data have such answers too ("pictures",
    "texts", "recordings"); ``names`` is the setting that names the classes; ``guess`` says whether a model file with
    these labels may be of the task; ``starting`` are first targets of the file as delivered, ``kept`` is the one that
    an optimized recipe must keep.
    """

    name: str
    requests: str = "tensors"
    plays: Mapping[str, str] = field(default_factory=dict)
    hub: str = "other"
    labelled: bool = True
    answers: str = ""
    metric: str = ""
    options: type = NoOptions
    space: Callable[[int], dict[str, Any]] | None = None
    holds: str = ""
    names: str = ""
    guess: Callable[[Signature, npt.NDArray[Any] | None], Guess | None] | None = None
    starting: Sequence[Starter] = ()
    kept: Starter | None = None


def tasks() -> Mapping[str, Task]:
    """Every task by its name; KpiError when two families declare one of the same name."""
    return _tasks(plugins())


@cache
def _tasks(packages: tuple[Plugin, ...]) -> Mapping[str, Task]:
    found: dict[str, Task] = {}
    for plugin in packages:
        for task in getattr(load(plugin), "TASKS", ()):
            if task.name in found:
                raise KpiError(
                    f'two plug-ins declare the task "{task.name}"; the second is {plugin.name}', "rename one"
                )
            found[task.name] = task
    return MappingProxyType(dict(sorted(found.items())))


def resolve_scenario(scenario: str, task: str) -> str:
    """The scenario that a workload of ``task`` runs where a metric names ``scenario``."""
    known = tasks().get(task)
    return known.plays.get(scenario, scenario) if known else scenario


def concerns(metric: type[Metric], task: str) -> bool:
    """Whether a metric is defined for a task; of a task that is not known, any is."""
    known = tasks().get(task)
    return known is None or metric.tasks is None or bool(metric.tasks & {known.name, known.requests, known.answers})
