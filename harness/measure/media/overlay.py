"""Draws class masks onto frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def draw(frame: Pixels, mask: Pixels, palette: Sequence[tuple[int, int, int]]) -> Pixels:
    """A copy of the frame, uint8 (height, width, 3): every class but 0 half covered by its color, with its outline.

    ``mask`` holds a class for each pixel, uint8 (height, width), below ``len(palette)``.
    """
    import numpy as np

    colors = np.array(palette, np.uint8)
    inside = mask > 0
    drawn = frame.copy()
    drawn[inside] = (frame[inside] >> 1) + (colors >> 1)[mask[inside]]
    edge = np.zeros(mask.shape, bool)
    edge[1:] = mask[1:] != mask[:-1]
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge &= inside
    drawn[edge] = colors[mask[edge]]
    return drawn
