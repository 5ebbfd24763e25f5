"""The protocol of a loaded speech recognizer: samples in, text out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.measure.runtimes.base import Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard; ``tokens`` counts what was generated, ``wall_s`` is from samples to text."""

    text: str
    tokens: int
    wall_s: float


class SpeechSession(Session):
    """A speech recognizer on a device."""

    @abstractmethod
    def transcribe(self, samples: npt.NDArray[np.float32]) -> Transcript:
        """Recognizes one utterance greedily: float32, one channel, 16,000 samples a second, from -1 to 1."""
