"""Segmentation: the class of each pixel, of frames of a video or of pictures that people painted masks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task
from harness.tasks.segmentation.pixels import Pixels

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

_MAP, _MAPS = 3, 4


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """Labels that are a class for each pixel, and an output that has a map for each class, or is one of classes."""
    if labels is None or labels.ndim != _MAP or labels.dtype.kind not in "iu":
        return None
    maps = [port for port in signature.outputs if port.shape and len(port.shape) in (_MAP, _MAPS)]
    return Guess(maps[0].name, sure=3) if maps else None


VIDEO = Task("video-segmentation", hub="image-segmentation", space=tensor_space)
PIXELS = Task(
    "semantic-segmentation",
    # The parity of pixels is that of frames.
    plays={"segment": "evaluate"},
    metric="accuracy.iou",
    hub="image-segmentation",
    options=Pixels,
    space=tensor_space,
    guess=_guess,
    starting=(("accuracy.iou", ">= 50 %", "a starting point: write what you need"),),
    kept=("accuracy.iou", "drop <= {drop} vs {reference}", "how much accuracy it may cost"),
)
TASKS = (VIDEO, PIXELS)
SEGMENTATION = frozenset({VIDEO.name})
PICTURES = frozenset({PIXELS.name})
