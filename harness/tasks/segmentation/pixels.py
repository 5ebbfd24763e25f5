"""The class of each pixel of a picture, from a map for each class, from one map, or from classes themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.errors import KpiError
from harness.core.registry import options_table
from harness.workloads.reading import Reading

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.base import TensorSpec

    Array = npt.NDArray[Any]

NONE, OTHER = 255, 254
"""Instead of a class: pixels that do not count, and those of any class but the one that is looked at."""
_PICTURE, _MAP, _MAPS = 3, 3, 4


@options_table
class Pixels(Reading):
    """``layout``: where the axis of classes is, "NCHW" or "NHWC"; by default the shorter of both.

    ``threshold``: of a network with a single map, its class 1 is where the map is above it: 0.5 of probabilities, 0 of
    logits.
    """

    drawn: ClassVar[str] = "pixels"
    layout: Literal["NCHW", "NHWC"] | None = None
    threshold: float = 0.5

    def outputs(self, known: Sequence[str]) -> tuple[str, ...]:
        if len(known) != 1:
            raise KpiError(
                f"the model has {len(known)} outputs: {', '.join(known)}",
                f'say which holds the classes of pixels: scored = "{known[0]}"',
            )
        return tuple(known)

    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """Classes of pixels, (pictures, height, width) of the input, as bytes.

        Maps of another size are resized linearly, as PyTorch's ``interpolate`` does, then the largest counts; classes
        take the nearest pixel.
        """
        import numpy as np

        size = _size(inputs)
        (answer,) = (outputs[name] for name in self.outputs(list(outputs)))
        if answer.ndim not in (_MAP, _MAPS):
            raise KpiError(
                f"the answer has the shape {answer.shape}, classes of pixels are (n, classes, h, w), "
                "(n, h, w, classes) or (n, h, w)",
                'mark the output that holds them: scored = "NAME"',
            )
        if answer.ndim == _MAPS:
            last = self.layout == "NHWC" or (self.layout is None and answer.shape[3] < answer.shape[1])
            answer = answer.transpose(0, 3, 1, 2) if last else answer
        else:
            answer = answer[:, None]
        count = answer.shape[1]
        if count > OTHER:
            raise KpiError(f"the answer has {count} classes, at most {OTHER} are supported", "correct `layout`")
        if answer.dtype.kind in "iub":
            return _nearest(answer, size)
        return (
            np.stack([self._classes(maps, size) for maps in answer]) if len(answer) else np.zeros((0, *size), np.uint8)
        )

    def _classes(self, maps: Array, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Of one picture, from maps (classes, h, w)."""
        import numpy as np

        from harness.workloads.files.resizing import spread

        whole = maps.astype(np.float32)
        if whole.shape[1:] != size:
            down, across = (
                spread(few, many).astype(np.float32) for few, many in zip(whole.shape[1:], size, strict=True)
            )
            whole = np.matmul(np.matmul(down, whole), across.T)
        found: Array = whole[0] > self.threshold if len(whole) == 1 else whole.argmax(axis=0)
        return np.asarray(found, dtype=np.uint8)


def _nearest(answer: Array, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Classes (n, 1, h, w) in the pixels of the input. KpiError where they are something else."""
    import numpy as np

    if answer.shape[1] != 1:
        raise KpiError(
            f"the answer has {answer.shape[1]} maps of {answer.dtype}, whole numbers are classes of one map",
            "let the model answer floating point, or the largest class of each pixel",
        )
    if answer.size and not 0 <= int(answer.min()) <= int(answer.max()) < OTHER:
        raise KpiError(f"the answer holds {int(answer.min())} to {int(answer.max())}, classes are 0 to {OTHER - 1}")
    rows, columns = (
        ((np.arange(many) + 0.5) * few / many).astype(int) for few, many in zip(answer.shape[2:], size, strict=True)
    )
    return answer[:, 0, rows[:, None], columns].astype(np.uint8)


def _size(inputs: Sequence[TensorSpec]) -> tuple[int, int]:
    """Height and width of the pictures that a model takes. KpiError where it takes none."""
    shape = inputs[0].shape
    if len(shape) != _PICTURE:
        raise KpiError(f"the input has the shape {shape}, classes of pixels are those of pictures")
    height, width = shape[1:] if shape[0] <= shape[2] else shape[:2]
    return height, width
