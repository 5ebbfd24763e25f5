"""NumPy as a runtime: one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness import KpiError, Proof, Runtime, TensorSession

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class NumPy(Runtime):
    """The weights are kept as they are stored; sums are made in 64 bits."""

    name = "numpy"
    title = "NumPy"
    formats = frozenset({"linear"})
    devices = frozenset({"cpu"})
    distributions = ("numpy",)
    profiles = False

    @classmethod
    def available_devices(cls) -> str:
        return "CPU"

    def import_library(self) -> None:
        """NumPy was imported with this module."""

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> _Linear:
        del batch, profile
        if device != "cpu":
            raise KpiError(f"NumPy does not run on {device}", "write the KPI for a cpu")
        return _Linear(np.load(artifact / "weights.npy"))


class _Linear(TensorSession):
    def __init__(self, weights: Any) -> None:
        self._weights = weights

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        past = feeds["past"][:, 1 - len(self._weights) :]
        return {"next": past @ self._weights[:-1].astype(np.float64) + float(self._weights[-1])}

    def proof(self) -> Proof:
        kind = {"float64": "f64", "float16": "f16"}[str(self._weights.dtype)]
        return Proof(runtime="numpy", version=np.__version__, device="CPU", precision=f"weights {kind}")
