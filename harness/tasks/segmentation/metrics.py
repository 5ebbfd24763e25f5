"""How fast and how well a clip is segmented: times of frames, dropped frames, streams, intersection over union."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import KpiError, Unavailable
from harness.core.units import COUNT, SHARE
from harness.judge.metrics.base import ProcessMetric, SampleMetric
from harness.judge.metrics.latency import LatencyP50, LatencyP95, LatencyP99
from harness.judge.metrics.throughput import ThroughputSingle
from harness.tasks.segmentation import SEGMENTATION
from harness.tasks.segmentation.masks import mean_iou

if TYPE_CHECKING:
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
    """Formula: per frame the share of pixels with the class that the reference recipe gives them, then the mean."""

    name = "parity.pixels"
    title = "pixels classified as by the reference"
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Segmented, reference: Segmented | None) -> list[float]:
        if reference is None or reference.found.shape != outputs.found.shape:
            raise KpiError("the two recipes segmented different clips")
        same = outputs.found == reference.found
        return [float(share) for share in same.reshape(len(same), -1).mean(axis=1)]
