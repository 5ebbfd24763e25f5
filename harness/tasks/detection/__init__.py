"""Object detection, instance segmentation: boxes and masks of objects, held against those that people drew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task
from harness.tasks.detection.boxes import BOX, Boxes
from harness.tasks.detection.masks import Masks

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

NAME, MASKS = "object-detection", "instance-segmentation"
_LABEL_AXES = 3


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """Labels that are boxes; the layout where the shapes of the outputs leave one choice."""
    if labels is None or labels.ndim != _LABEL_AXES or labels.shape[2] != BOX:
        return None
    if Masks.fitting(signature.floats):
        return None
    found = Boxes.fitting(signature.floats)
    if found is None:
        shapes = ", ".join(map(str, signature.outputs))
        return Guess(note=f"{shapes} fits no layout of boxes: write task = {{ layout = ... }}")
    output, options = found
    return Guess(output, sure=3, options=options)


def _guess_masks(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """Labels that are boxes, outputs that hold prototypes of masks."""
    if labels is None or labels.ndim != _LABEL_AXES or labels.shape[2] != BOX:
        return None
    options = Masks.fitting(signature.floats)
    return None if options is None else Guess(options["boxes"], sure=3, options=options)


TASKS = (
    Task(
        NAME,
        answers="boxes",
        metric="accuracy.map",
        hub=NAME,
        options=Boxes,
        space=tensor_space,
        guess=_guess,
        starting=(("accuracy.map50", ">= 50 %", "a starting point: write what you need"),),
        kept=("accuracy.map", "drop <= {drop} vs {reference}", "how much accuracy it may cost"),
    ),
    Task(
        MASKS,
        answers="masks",
        metric="accuracy.mask_map",
        hub="image-segmentation",
        options=Masks,
        space=tensor_space,
        guess=_guess_masks,
        starting=(("accuracy.mask_map50", ">= 50 %", "a starting point: write what you need"),),
        kept=("accuracy.mask_map", "drop <= {drop} vs {reference}", "how much accuracy it may cost"),
    ),
)
DETECTION, OF_MASKS = frozenset({NAME, MASKS}), frozenset({MASKS})
