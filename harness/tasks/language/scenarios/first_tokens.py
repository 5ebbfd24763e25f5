"""The first request of a language model, whichever scenario it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.tasks.language.runtimes.language import LanguageSession


def two_tokens(
    prompt: str, *, exactly: bool = False
) -> Callable[[LanguageSession], Mapping[str, npt.NDArray[np.generic]]]:
    """What asks for two tokens; they are not compared, so none are returned. ``exactly`` as of ``generate``."""

    def ask(session: LanguageSession) -> Mapping[str, npt.NDArray[np.generic]]:
        session.generate(prompt, 2, exactly=exactly)
        return {}

    return ask
