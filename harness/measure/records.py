"""What a worker process reports: plain data, the same in memory and in the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from harness.core.numbers import Numbers, packed
from harness.core.statistics import median

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LONGER = 1.1
"""A part is called longer from this share of what it should take on."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What ran, read back from the runtime after loading.

    ``heavy_ops`` and ``integer_ops`` count convolutions, matrix products and recurrent layers as executed,
    ``heavy_work`` and ``integer_work`` their multiplications per request; None when the runtime does not say.
    ``float_layers`` are the heaviest that ran in floating point: (name, kind, share of the multiplications). ``layers``
    are its slowest operations: (name, kind, seconds per inference).
    """

    runtime: str
    version: str
    device: str
    precision: str
    threads: int | None = None
    heavy_ops: int | None = None
    integer_ops: int | None = None
    heavy_work: int | None = None
    integer_work: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[tuple[str, str, float], ...] = ()
    float_layers: tuple[tuple[str, str, float], ...] = ()

    @property
    def integer(self) -> bool | None:
        """Whether it computed with integers; None when the runtime does not say."""
        if self.integer_ops is None:
            return None
        return self.integer_ops > 0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One fresh worker process; times in seconds, memory in bytes.

    ``samples_s`` are the durations of single requests (single-stream) or of batches (offline); ``completed`` samples
    took ``elapsed_s`` of wall time. ``series`` are a scenario's own figures by name, one for each request.
    ``disturbed`` says why the process does not count, empty when it does; ``place`` is its place among all processes
    of the run, from 1.
    """

    started: str
    wall_s: float
    load_s: float
    first_inference_s: float
    memory_before: int
    memory_peak: int
    proof: Proof
    samples_s: Numbers = ()
    completed: int = 0
    elapsed_s: float = 0.0
    batch: int = 1
    warmup: Mapping[str, Any] = field(default_factory=dict)
    kernel_s: Numbers = ()
    system: Mapping[str, Any] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    series: Mapping[str, Numbers] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    outputs: str = ""
    disturbed: str = ""
    place: int = 0

    def __post_init__(self) -> None:
        # However they came: the same in memory, on disk and from a worker.
        for name in ("samples_s", "kernel_s"):
            object.__setattr__(self, name, packed(getattr(self, name)))
        object.__setattr__(self, "series", {name: packed(values) for name, values in self.series.items()})

    @classmethod
    def of_worker(cls, data: Mapping[str, Any]) -> ProcessRecord:
        """What a worker process answered; ValueError when keys are missing or unknown (another protocol)."""
        known = {f.name for f in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fields {sorted(unknown)}")
        try:
            proof = dict(data["proof"])
            for name in ("layers", "float_layers"):
                proof[name] = tuple((str(n), str(k), float(s)) for n, k, s in proof.get(name, ()))
            violations = tuple(map(str, data.get("violations", ())))
            return cls(**{**data, "proof": Proof(**proof), "violations": violations})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a process record: {error}") from error


@dataclass(frozen=True, slots=True)
class ResumedRun:
    """What a resumed run took over from the one that was stopped."""

    run: str
    processes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Everything that was measured of one artifact under one scenario: every raw sample of every process.

    ``pairs`` are the undisturbed pairs with another measurement, by its id, as places in both lists of processes;
    ``scores`` one number for each evaluation sample, by metric; ``weights`` how much each sample counts, where not
    alike, ``groups`` which group of samples each belongs to, where a figure of the whole set is known by groups;
    ``effects`` the most that one sample moves a figure, where another recipe was compared and few samples differed;
    ``scored_with`` is what scores were computed with. ``conditions`` must be alike for two measurements to be of
    the same thing. ``artifact`` is a SHA-256, ``artifact_bytes`` its size. ``machine`` names the machine that
    was reached for it, empty where it was that of the run.
    """

    id: str
    recipe: str
    artifact: str
    artifact_bytes: int
    runtime: str
    device: str
    scenario: str
    runtime_options: Mapping[str, Any] = field(default_factory=dict)
    scenario_options: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    placement: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    compared: tuple[Mapping[str, Any], ...] = ()
    machine: str = ""
    taken_over: ResumedRun | None = None
    scores: Mapping[str, Numbers] = field(default_factory=dict)
    weights: Mapping[str, Numbers] = field(default_factory=dict)
    groups: Mapping[str, Numbers] = field(default_factory=dict)
    effects: Mapping[str, float] = field(default_factory=dict)
    scored_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pairs: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    processes: Sequence[ProcessRecord] = ()


def part_lengths(processes: Sequence[ProcessRecord]) -> tuple[float, float]:
    """Seconds of the first and of the last part of long processes; the last goes on where it has too few requests."""
    part = median([process.details["part_s"] for process in processes])
    judged = median([process.elapsed_s for process in processes])
    return part, judged if judged > _LONGER * part else part


@dataclass(frozen=True, slots=True)
class Outputs:
    """What an artifact answered on a split: ``logits`` (n, classes) and ``labels`` (n,), in the split's order.

    ``slices`` (n,) are names of the parts that samples belong to, where the data have any; ``task`` holds the settings
    of the workload's task, ``classes`` the names of the classes in the model's order, where they have any. Where
    samples have several lengths, NaN fills ``logits`` up.
    """

    logits: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.integer[Any]]
    slices: npt.NDArray[np.str_] | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] = ()
