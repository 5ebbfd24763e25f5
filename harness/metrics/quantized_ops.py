"""The share of the heavy operations that really run in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import Unavailable
from harness.metrics.base import ProofMetric
from harness.tasks import TENSORS
from harness.units import SHARE

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class QuantizedOps(ProofMetric):
    """Formula: heavy operations executed on 8-bit (or smaller) integers / heavy operations executed.

    Heavy operations are convolutions and matrix products, counted in the graph that the runtime executes after its
    own optimizations (ONNX Runtime: the profile; OpenVINO: the runtime model's ``runtimePrecision``).
    """

    name = "quantized.ops"
    title = "share of heavy operations in INT8"
    dimension = SHARE
    better = "higher"
    tasks = TENSORS
    range = (0.0, 1.0)

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        proof = process.proof
        if proof.heavy_ops is None or proof.integer_ops is None:
            raise Unavailable(f"{proof.runtime} does not say which operations run in integers")
        return proof.integer_ops / proof.heavy_ops if proof.heavy_ops else 0.0
