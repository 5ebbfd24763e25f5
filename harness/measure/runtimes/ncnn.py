"""ncnn: ``.param`` files with their ``.bin`` on the processor."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.cores import confined
from harness.core.errors import Unavailable
from harness.core.libraries import require
from harness.core.ncnn import DISTRIBUTION, NcnnModel
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime, Session, TensorSession
from harness.measure.runtimes.ncnn_proof import inside, precision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays


class NcnnRuntime(Runtime):
    """ncnn on the processor. It takes one sample at a time: a batch is as many requests one after another."""

    name = "ncnn"
    title = "ncnn"
    formats = frozenset({"ncnn"})
    devices = frozenset({"cpu"})
    distributions = (DISTRIBUTION,)
    profiles = False

    @options_table
    class Options:
        """``threads``: by default one a processor that the process is confined to, else the library's choice.

        ``precision``: "device" permits half precision where the library takes it by itself.
        """

        threads: int | None = None
        precision: Literal["fp32", "device"] = "fp32"

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    @classmethod
    def as_delivered(cls, made: str) -> str | None:
        return cls.name if made in cls.formats else None

    @classmethod
    def available_devices(cls) -> str:
        importlib.import_module("ncnn")  # a broken installation shows here
        return "CPU"

    def import_library(self) -> None:
        require("ncnn", DISTRIBUTION)  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch  # always one sample
        if device not in self.devices:
            raise Unavailable(f"ncnn runs on the CPU here, not on a {device}", "choose another runtime in the recipe")
        return _NcnnSession(artifact / "model.param", self.options, profile=profile)


class _NcnnSession(TensorSession):
    def __init__(self, file: Path, options: Any, *, profile: bool) -> None:
        self._file, self._options, self._profile = file, options, profile
        confines = confined()
        self._by = "the recipe" if options.threads else "the process's processors" if confines else "the library"
        exact = options.precision == "fp32"
        self._model = NcnnModel(file, threads=options.threads or confines, exact=exact)

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        return self._model.run(feeds)

    def clone_for_thread(self) -> TensorSession:
        return _NcnnSession(self._file, self._options, profile=False)

    def proof(self) -> Proof:
        fields, kinds = inside(self._model, weigh=self._profile)
        said = precision(self._model.net)
        return Proof(
            runtime="ncnn",
            version=self._model.version,
            device="CPU",
            precision=f"int8+{said}" if fields["integer_ops"] else said,
            threads=int(self._model.net.opt.num_threads),
            details={"delegate": "none", "threads_chosen_by": self._by, **kinds},
            **fields,
        )
