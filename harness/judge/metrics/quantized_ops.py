"""The share of the heavy operations that really run in integers, weighed by their multiplications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import Unavailable
from harness.core.units import SHARE
from harness.judge.metrics.base import ProofMetric
from harness.spec.tasks import TENSORS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


_SHOWN = 0.005


class QuantizedOps(ProofMetric):
    """Formula: multiplications of heavy operations executed on 8-bit (or smaller) integers / those of all of them.

    Heavy operations are convolutions, matrix products and recurrent layers of the graph that the runtime executes after
    its own optimizations (ONNX Runtime: the profile; OpenVINO: the runtime model's ``runtimePrecision``). Where a shape
    is not known there, the operations are counted instead.
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
        if proof.heavy_work and proof.integer_work is not None:
            return proof.integer_work / proof.heavy_work
        return proof.integer_ops / proof.heavy_ops if proof.heavy_ops else 0.0

    @classmethod
    def remarks(cls, process: ProcessRecord) -> list[str]:
        proof = process.proof
        heaviest = [(name, kind, share) for name, kind, share in proof.float_layers if share >= _SHOWN]
        said = [f"{name} ({kind}), {SHARE.format(share)} of the multiplications" for name, kind, share in heaviest]
        if proof.heavy_ops and not proof.heavy_work:
            said.append(f"{proof.heavy_ops} operations are counted, not weighed: the runtime does not say their shapes")
            return said
        return [f"in floating point: {'; '.join(said)}"] if said else []
