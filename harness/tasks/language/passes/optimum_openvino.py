"""Exports a causal language model to OpenVINO with Optimum Intel, the tokenizer converted along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.registry import options_table
from harness.tasks.language.passes.faithful import compare_causal
from harness.tasks.language.passes.optimum_export import REQUIRES, export_to_openvino
from harness.tasks.language.workload import LanguageModel
from harness.workloads.huggingface import require_exportable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMAT = "openvino-llm"
_NEEDED = ("openvino_model.xml", "openvino_tokenizer.xml", "openvino_detokenizer.xml")


class OptimumOpenVino(Pass):
    """The network is stateful, its KV cache inside; the tokenizer becomes a network too."""

    name = "optimum-openvino"
    title = "export to OpenVINO with Optimum Intel"
    input_formats = frozenset({REFERENCE})
    output_format = FORMAT
    hub = "openvino"
    requires = REQUIRES

    @options_table
    class Options:
        """``weights``: the precision in which they are stored."""

        weights: Literal["fp32", "fp16"] = "fp16"

    def run(self, job: PassContext) -> dict[str, Any]:
        if not isinstance(job.workload, LanguageModel):
            raise KpiError(f'pass "{self.name}" exports language models', "use it with a fixture that has prompts")
        require_exportable(job.workload.folder())
        folder = job.workload.folder_with_template(job.scratch)
        job.progress("exporting the network")
        export_to_openvino(job, folder, "text-generation-with-past", self.options.weights, _NEEDED)
        job.progress("comparing with the network")
        return {"weights": self.options.weights, "compared": self._compared(job.workload, folder, job.out)}

    @property
    def tolerance(self) -> float:
        """Half precision rounds weights to 11 bits."""
        return 5e-2 if self.options.weights == "fp16" else 1e-3

    def _compared(self, workload: LanguageModel, folder: Path, exported: Path) -> dict[str, Any]:
        import numpy as np
        import torch
        from optimum.intel import OVModelForCausalLM

        model = OVModelForCausalLM.from_pretrained(
            exported, local_files_only=True, ov_config={"INFERENCE_PRECISION_HINT": "f32"}, device="CPU"
        )

        def run(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            tensor = torch.from_numpy(ids)
            return np.asarray(model(input_ids=tensor, attention_mask=torch.ones_like(tensor)).logits)

        return compare_causal(self.name, workload, folder, run, self.tolerance)
