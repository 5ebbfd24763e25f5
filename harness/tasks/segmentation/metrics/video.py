"""How fast and how well a clip is segmented: times of frames, dropped frames, streams, overlap, parity of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable
from harness.core.units import COUNT, SHARE
from harness.judge.metrics.base import ProcessMetric, SampleMetric
from harness.judge.metrics.latency import LatencyP50, LatencyP95, LatencyP99
from harness.judge.metrics.throughput import ThroughputSingle
from harness.measure.records import Outputs
from harness.tasks.segmentation import PICTURES, SEGMENTATION
from harness.tasks.segmentation.masks import mean_iou

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.measure.records import ProcessRecord
    from harness.tasks.segmentation.scenarios.segment import Segmented


class FrameP50(LatencyP50):
    """Median time of a frame from its bytes in the clip to its bytes in the drawn clip."""

    name = "latency.frame.p50"
    title = "median time of a frame, decoded to encoded"
    scenario = "stream"
    tasks = SEGMENTATION


class FrameP95(LatencyP95):
    """The 95th percentile of the same, with its exact binomial bounds."""

    name = "latency.frame.p95"
    title = "95th percentile of a frame's time"
    scenario = "stream"
    tasks = SEGMENTATION


class FrameP99(LatencyP99):
    """The 99th percentile of the same, with its exact binomial bounds."""

    name = "latency.frame.p99"
    title = "99th percentile of a frame's time"
    scenario = "stream"
    tasks = SEGMENTATION


class ThroughputStream(ThroughputSingle):
    """Frames / seconds from the first one's decoding to the last one's encoding, one after another."""

    name = "throughput.stream"
    title = "frames a second, decoded to encoded"
    scenario = "stream"
    tasks = SEGMENTATION


class ServingDropped(ProcessMetric):
    """Formula: frames that a newer one overtook before they were taken / frames that the camera gave."""

    name = "serving.dropped"
    drawn = True
    title = "frames dropped at the camera's rate"
    dimension = SHARE
    better = "lower"
    range = (0.0, 1.0)
    scenario = "camera"
    tasks = SEGMENTATION

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(process.details["dropped"] / process.details["due"])


class ServingStreams(ProcessMetric):
    """The largest number of streams at the camera's rate, each with at most the permitted dropped frames."""

    name = "serving.streams"
    drawn = True
    title = "streams held at the camera's rate"
    dimension = COUNT
    better = "higher"
    scenario = "streams"
    tasks = SEGMENTATION

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(process.details["streams"])


class _Segmented(SampleMetric):
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    worthless = 0.0
    scenario = "segment"
    tasks = SEGMENTATION


class Miou(_Segmented):
    """Formula: per frame the mean over its classes of |A and B| / |A or B|; then the mean over frames.

    A frame's classes are those that the prediction or the mask holds, background included: as torchmetrics'
    ``segmentation.mean_iou`` counts a sample.
    """

    name = "accuracy.miou"
    title = "mean intersection over union"

    @classmethod
    def scores(cls, outputs: Segmented, reference: Segmented | None) -> list[float]:
        del reference
        if outputs.wanted is None:
            raise Unavailable(
                "the clip has no masks to score against",
                "let `data` name a folder with the clip and masks/*.png, one a frame",
            )
        count = len(outputs.classes)
        return [mean_iou(found, wanted, count) for found, wanted in zip(outputs.found, outputs.wanted, strict=True)]


class ParityPixels(_Segmented):
    """Formula: per frame (picture) the share of pixels with the class that the reference gives them, then the mean."""

    name = "parity.pixels"
    title = "pixels classified as by the reference"
    needs_reference = True
    tasks = SEGMENTATION | PICTURES

    @classmethod
    def scores(cls, outputs: Segmented | Outputs, reference: Segmented | Outputs | None) -> list[float]:
        own, other = _classes(outputs), None if reference is None else _classes(reference)
        if other is None or own.shape != other.shape:
            raise KpiError("the two recipes segmented different clips or pictures")
        # Where pictures have several sizes, nothing fills up.
        right, known = ((own == other).reshape(len(own), -1), (own == own).reshape(len(own), -1))  # noqa: PLR0124
        return [float(share) for share in right.sum(axis=1) / known.sum(axis=1)]


def _classes(outputs: Segmented | Outputs) -> npt.NDArray[Any]:
    """The class of each pixel of each frame or picture."""
    return outputs.logits if isinstance(outputs, Outputs) else outputs.found
