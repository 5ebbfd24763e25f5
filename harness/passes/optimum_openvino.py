"""Exports a causal language model to OpenVINO with Optimum Intel, the tokenizer converted along."""

from __future__ import annotations

from typing import Any, Literal

from harness.errors import KpiError
from harness.language import LanguageModel
from harness.passes.base import REFERENCE, Job, Pass
from harness.passes.optimum_export import REQUIRES, export_to_openvino
from harness.registry import options
from harness.weights import require_exportable

FORMAT = "openvino-llm"
_NEEDED = ("openvino_model.xml", "openvino_tokenizer.xml", "openvino_detokenizer.xml")


class OptimumOpenVino(Pass):
    """The network is stateful, its KV cache inside; the tokenizer becomes a network too."""

    name = "optimum-openvino"
    title = "export to OpenVINO with Optimum Intel"
    takes = frozenset({REFERENCE})
    makes = FORMAT
    requires = REQUIRES

    @options
    class Options:
        """``weights``: the precision in which they are stored."""

        weights: Literal["fp32", "fp16"] = "fp16"

    def run(self, job: Job) -> dict[str, Any]:
        if not isinstance(job.workload, LanguageModel):
            raise KpiError(f'pass "{self.name}" exports language models', "use it with a fixture that has prompts")
        require_exportable(job.workload.folder())
        folder = job.workload.folder_with_template(job.scratch)
        job.progress("exporting the network")
        export_to_openvino(job, folder, "text-generation-with-past", self.options.weights, _NEEDED)
        return {"weights": self.options.weights}
