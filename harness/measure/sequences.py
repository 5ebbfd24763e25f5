"""Asks a model that keeps state for whole sequences, each from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.state import StateInput, play
from harness.measure.runtimes.base import TensorSession

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Proof
    from harness.measure.runtimes.base import Arrays


class SequenceSession(TensorSession):
    """A session whose request is a batch of sequences: the model is asked once for each frame."""

    def __init__(self, session: TensorSession, state: Sequence[StateInput]) -> None:
        self._session = session
        self._state = state

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        return play(self._session.run, feeds, self._state)

    def clone_for_thread(self) -> TensorSession:
        return SequenceSession(self._session.clone_for_thread(), self._state)

    def proof(self) -> Proof:
        return self._session.proof()

    def close(self) -> None:
        self._session.close()
