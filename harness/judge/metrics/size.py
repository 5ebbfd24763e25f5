"""The size on disk of all files needed to deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.units import BYTES
from harness.judge.metrics.artifact import ArtifactMetric

if TYPE_CHECKING:
    from harness.build.artifact import Artifact
    from harness.measure.records import Measurement


class Size(ArtifactMetric):
    """Formula: the sum of the artifact's file sizes in bytes; MB is 10^6 bytes. The manifest does not count."""

    name = "size"
    title = "size on disk"
    dimension = BYTES
    better = "lower"

    @classmethod
    def of(cls, artifact: Artifact) -> float:
        return float(artifact.size)

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        return [float(measurement.artifact_bytes)]
