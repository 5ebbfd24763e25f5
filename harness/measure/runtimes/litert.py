"""LiteRT, which was TensorFlow Lite: ``.tflite`` files on the processor."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.cores import confined
from harness.core.errors import KpiError, Unavailable
from harness.core.libraries import require, version_of
from harness.core.registry import check_counts, options_table
from harness.core.tflite import DISTRIBUTION, TfliteModel, load_error
from harness.measure.records import Proof
from harness.measure.runtimes.base import Proposal, Runtime, Session, TensorSession
from harness.measure.runtimes.litert_proof import delegated, inside

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays


class LiteRtRuntime(Runtime):
    """LiteRT's interpreter; what XNNPACK, its delegate for processors, does not take runs in its own kernels."""

    name = "litert"
    title = "LiteRT"
    formats = frozenset({"tflite"})
    devices = frozenset({"cpu"})
    distributions = (DISTRIBUTION, "ai-edge-litert-nightly")
    profiles = False

    @options_table
    class Options:
        """``threads``: by default one a processor that the process is confined to, else the library's choice, one.

        ``xnnpack``: false runs everything in the interpreter's own kernels.
        """

        threads: int | None = None
        xnnpack: bool = True

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    @classmethod
    def as_delivered(cls, made: str) -> str | None:
        return cls.name if made in cls.formats else None

    @classmethod
    def proposals(cls, made: str) -> Iterator[Proposal]:
        if made in cls.formats and find_spec("ai_edge_quantizer") is not None:
            steps = [{"pass": "litert-int8", "calibration": 128}]
            about = "INT8 with ranges from your data, by AI Edge Quantizer"
            yield Proposal("int8-litert", about, {"runtime": cls.name, "passes": steps}, size=0.5)

    @classmethod
    def available_devices(cls) -> str:
        importlib.import_module("ai_edge_litert.interpreter")  # a broken installation shows here
        return "CPU, with XNNPACK"

    def import_library(self) -> None:
        require(
            "ai_edge_litert.interpreter", DISTRIBUTION, "LiteRT"
        )  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        if device not in self.devices:
            raise Unavailable(f"LiteRT runs on the CPU here, not on a {device}", "choose another runtime in the recipe")
        return _LiteRtSession(artifact / "model.tflite", batch, self.options, profile=profile)


class _LiteRtSession(TensorSession):
    def __init__(self, file: Path, batch: int | None, options: Any, *, profile: bool) -> None:
        self._file, self._batch, self._options, self._profile = file, batch, options, profile
        confines = confined()
        self._by = "the recipe" if options.threads else "the process's processors" if confines else "the library"
        self._threads: int = options.threads or confines or 1
        try:
            self._model = TfliteModel(file, threads=self._threads, delegated=options.xnnpack)
            self._model.prepare(batch)
        except (KpiError, ValueError, RuntimeError) as error:
            raise load_error(error) from error

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        return self._model.run(feeds)

    def clone_for_thread(self) -> TensorSession:
        return _LiteRtSession(self._file, self._batch, self._options, profile=False)

    def proof(self) -> Proof:
        fields, kinds = inside(self._model, weigh=self._profile)
        details: dict[str, Any] = {"threads_chosen_by": self._by, **delegated(self._model.interpreter), **kinds}
        if scaled := [str(one) for one in (*self._model.inputs, *self._model.outputs) if one.scale]:
            details["quantized_by_the_host"] = scaled
        integer = fields.get("integer_ops")
        return Proof(
            runtime="litert",
            version=next(filter(None, map(version_of, LiteRtRuntime.distributions)), "unknown"),
            device="CPU",
            precision="unknown" if integer is None else "int8" if integer else "fp32",
            threads=self._threads,
            details=details,
            **fields,
        )
