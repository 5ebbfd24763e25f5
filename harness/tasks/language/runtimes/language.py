"""The protocol of a loaded language model: answer a prompt, say how likely an answer is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.measure.runtimes.base import Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Variables = dict[str, str | bool | int | float]
"""A chat template's variables by name, such as enable_thinking."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer; times in seconds, by the runtime's own clock (``wall_s`` by the caller's).

    ``tokens`` counts what was generated; ``ended`` is whether the model itself ended the answer. ``token_s`` are the
    times between successive tokens; ``ids`` the tokens themselves, where the runtime says them.
    """

    text: str
    tokens: int
    prompt_tokens: int
    ended: bool
    ttft_s: float
    wall_s: float
    generate_s: float
    token_s: tuple[float, ...] = field(default=())
    ids: tuple[int, ...] = field(default=())


class LanguageSession(Session):
    """A language model on a device."""

    @abstractmethod
    def generate(self, prompt: str, most_tokens: int, *, exactly: bool = False) -> Generation:
        """Answers one prompt greedily, chat template added; with ``exactly`` the end token is ignored."""

    @abstractmethod
    def log_probabilities(self, prompt: str, answer: str) -> tuple[npt.NDArray[np.float32], Sequence[int]]:
        """Log-probabilities of every next token along ``answer``, shape (tokens, vocabulary), with the answer's ids.

        The end token counts as the answer's last.
        """


class AdapterSession(LanguageSession):
    """A language model that holds adapters: small weights that are added to its own, one set at a time or none."""

    @property
    @abstractmethod
    def adapters(self) -> Sequence[str]:
        """The adapters that are loaded, by name, in order."""

    @property
    @abstractmethod
    def active(self) -> str | None:
        """The adapter that answers come from, None when the model alone answers."""

    @abstractmethod
    def use(self, name: str | None) -> None:
        """Switches to an adapter from the next request on, or off with None; KpiError when there is none so called."""
