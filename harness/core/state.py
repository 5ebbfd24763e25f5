"""Models that keep state between frames: the inputs that carry it, and how a sequence is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StateInput:
    """An input that begins as zeros and then takes what ``output`` answered to the frame before.

    ``shape`` has None where the batch is.
    """

    name: str
    output: str
    shape: tuple[int | None, ...]
    dtype: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StateInput:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        return cls(data["name"], data["output"], tuple(data["shape"]), data["dtype"])

    def zeros(self, batch: int) -> npt.NDArray[Any]:
        """What a sequence begins with."""
        import numpy as np

        return np.zeros([batch if size is None else size for size in self.shape], dtype=self.dtype)


def play(
    step: Callable[[dict[str, npt.NDArray[Any]]], Arrays],
    sequences: Arrays,
    state: Sequence[StateInput],
    *,
    seen: Callable[[dict[str, npt.NDArray[Any]]], None] = lambda _: None,
) -> dict[str, npt.NDArray[Any]]:
    """Plays a batch of sequences, each array (batch, frames, ...), frame by frame from a state of zeros.

    Returns the outputs, (batch, frames, ...), without those that are state. ``seen`` is told what each step is given.
    """
    import numpy as np

    batch, frames = next(iter(sequences.values())).shape[:2]
    carried = {one.name: one.zeros(batch) for one in state}
    ends = {one.output for one in state}
    answers: dict[str, list[npt.NDArray[np.generic]]] = {}
    for frame in range(frames):
        feeds = {name: np.ascontiguousarray(array[:, frame]) for name, array in sequences.items()} | carried
        seen(feeds)
        said = step(feeds)
        carried = {one.name: np.array(said[one.output]) for one in state}
        for name, array in said.items():
            if not any(array is said[end] for end in ends):  # under any of its names
                answers.setdefault(name, []).append(np.array(array))
    return {name: np.stack(parts, axis=1) for name, parts in answers.items()}
