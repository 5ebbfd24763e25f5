"""A metric of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def worst_class_recall(outputs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The recall of the class that is found least often."""
    found = outputs.argmax(axis=1)
    return min(float(np.mean(found[labels == one] == one)) for one in np.unique(labels))
