"""Optimum Intel's OVModelForQuestionAnswering: an extractive model behind transformers' interface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Session, TensorSession
from harness.measure.runtimes.openvino_common import cannot_load, compiled_proof, require_device
from harness.tasks.language.runtimes.optimum_common import OptimumRuntime

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays


class OptimumIntelQa(OptimumRuntime):
    """The same OpenVINO network as with ``openvino``, called as users of transformers call it."""

    name = "optimum-intel-qa"
    formats = frozenset({"openvino"})
    classes = ("OVModelForQuestionAnswering", "PretrainedConfig")

    @options_table
    class Options:
        """OpenVINO's properties: ``precision`` of the inference, ``threads``; ``static`` fixes the batch axis."""

        precision: Literal["f32", "bf16", "f16", "device"] = "f32"
        threads: int | None = None
        static: bool = True

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del profile
        import openvino as ov

        model_class, config_class = self.imported()
        wanted = require_device(device)
        properties = {"PERFORMANCE_HINT": "LATENCY"}
        if self.options.precision != "device":
            properties["INFERENCE_PRECISION_HINT"] = self.options.precision
        if self.options.threads is not None and wanted == "CPU":
            properties["INFERENCE_NUM_THREADS"] = str(self.options.threads)
        static = self.options.static and batch is not None
        try:
            network = ov.Core().read_model(str(artifact / "model.xml"))
            lacking = {"start_logits", "end_logits"} - {port.get_any_name() for port in network.outputs}
            if lacking:
                raise KpiError(
                    f"the network gives no {', '.join(sorted(lacking))}", "use a model that answers questions"
                )
            if static:
                network.reshape({port: [batch, *list(port.partial_shape)[1:]] for port in network.inputs})
            model = model_class(network, config_class(), device=wanted, dynamic_shapes=not static, ov_config=properties)
        except (RuntimeError, ValueError) as error:
            raise cannot_load("Optimum Intel", wanted, error) from error
        return _QaSession(model)


class _QaSession(TensorSession):
    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        answer = self._model(**feeds)
        return {"start_logits": answer.start_logits, "end_logits": answer.end_logits}

    def clone_for_thread(self) -> TensorSession:
        raise KpiError("Optimum Intel's model answers one request at a time", "serve with another runtime")

    def proof(self) -> Proof:
        from importlib.metadata import version

        return replace(compiled_proof(self._model.request, "optimum-intel"), version=version("optimum-intel"))
