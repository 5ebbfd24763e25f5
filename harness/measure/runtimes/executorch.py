"""ExecuTorch: ``.pte`` files on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core import executorch
from harness.core.cores import confined
from harness.core.errors import KpiError, Unavailable
from harness.core.executorch import PteModel
from harness.core.libraries import version_of
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime, Session, TensorSession
from harness.measure.runtimes.executorch_proof import delegated, inside

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays


class ExecuTorchRuntime(Runtime):
    """The runtime for NumPy where the environment has it, else ExecuTorch's own, which imports torch."""

    name = "executorch"
    title = "ExecuTorch"
    formats = frozenset({"executorch"})
    devices = frozenset({"cpu"})
    distributions = (executorch.PLAIN, executorch.OWN)
    environment = executorch.RUNNING
    profiles = False

    @options_table
    class Options:
        """``threads``: by default one a processor that the process is confined to, else the library's choice.

        The runtime for NumPy has no such setting.
        """

        threads: int | None = None

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    @classmethod
    def as_delivered(cls, made: str) -> str | None:
        return cls.name if made in cls.formats else None

    @classmethod
    def available_devices(cls) -> str:
        executorch.import_library()
        return f"CPU, by {executorch.library()}"

    def import_library(self) -> None:
        executorch.import_library()

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile  # the file says its size itself, and is looked into whether times count or not
        if device not in self.devices:
            raise Unavailable(f"ExecuTorch runs on the CPU here, not on a {device}", "choose another runtime")
        return _PteSession(artifact / "model.pte", self.options)


class _PteSession(TensorSession):
    def __init__(self, file: Path, options: Any) -> None:
        self._file, self._options = file, options
        if options.threads and executorch.library() == executorch.PLAIN:
            raise KpiError(f"{executorch.PLAIN} has no setting for threads", "leave out threads in the recipe")
        confines = confined() if executorch.library() == executorch.OWN else None
        self._by = "the recipe" if options.threads else "the process's processors" if confines else "the library"
        self._model = PteModel(file, threads=options.threads or confines)

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        return self._model.run(feeds)

    def clone_for_thread(self) -> TensorSession:
        return _PteSession(self._file, self._options)

    def proof(self) -> Proof:
        fields, kinds = inside(self._file, self._model.pte)
        integer = fields.get("integer_ops")
        return Proof(
            runtime="executorch",
            version=version_of(self._model.library) or "unknown",
            device="CPU",
            precision="unknown" if integer is None else "int8" if integer else "fp32",
            threads=self._model.threads,
            details={
                "library": self._model.library,
                "threads_chosen_by": self._by,
                **delegated(self._model.pte),
                **kinds,
            },
            **fields,
        )
