"""What a worker process reports: plain data, the same in memory and in the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
    samples_s: tuple[float, ...] = ()
    completed: int = 0
    elapsed_s: float = 0.0
    batch: int = 1
    warmup: Mapping[str, Any] = field(default_factory=dict)
    kernel_s: tuple[float, ...] = ()
    system: Mapping[str, Any] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    series: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    outputs: str = ""
    disturbed: str = ""
    place: int = 0

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as kept in the evidence."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProcessRecord:
        """The inverse of :meth:`to_json`; ValueError when keys are missing or unknown (another protocol)."""
        known = {f.name for f in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fields {sorted(unknown)}")
        try:
            proof_data = dict(data["proof"])
            for name in ("layers", "float_layers"):
                proof_data[name] = tuple((str(n), str(k), float(s)) for n, k, s in proof_data.get(name, ()))
            return cls(
                **{
                    **data,
                    "proof": Proof(**proof_data),
                    "samples_s": tuple(map(float, data.get("samples_s", ()))),
                    "kernel_s": tuple(map(float, data.get("kernel_s", ()))),
                    "violations": tuple(map(str, data.get("violations", ()))),
                    "series": {str(n): tuple(map(float, v)) for n, v in data.get("series", {}).items()},
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a process record: {error}") from error


@dataclass(frozen=True, slots=True)
class Outputs:
    """What an artifact answered on a split: ``logits`` (n, classes) and ``labels`` (n,), in the split's order."""

    logits: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.integer[Any]]
