"""Asks a model file by the names, and in the order of axes, that the workload has for its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.core.naming import Naming
from harness.measure.runtimes.base import TensorSession

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Proof
    from harness.measure.runtimes.base import Arrays


class RenamedSession(TensorSession):
    """A session of a file with names of its own; turning axes is part of the request, as it is where it ships."""

    def __init__(self, session: TensorSession, naming: Naming) -> None:
        self._session = session
        self._naming = naming

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        return self._naming.answered(self._session.run(self._naming.asked(feeds)))

    def clone_for_thread(self) -> TensorSession:
        return RenamedSession(self._session.clone_for_thread(), self._naming)

    def run_all(self, batches: Iterable[Arrays]) -> None:
        self._session.run_all(self._naming.asked(feeds) for feeds in batches)

    @property
    def requests(self) -> int:
        return self._session.requests

    def proof(self) -> Proof:
        return self._session.proof()

    def close(self) -> None:
        self._session.close()
