"""Lets ONNX Runtime optimize the graph once, so that loading need not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.onnx_files import has_external_weights
from harness.core.registry import options_table


class OnnxOptimize(Pass):
    """ONNX Runtime's offline graph optimization; "all" also fixes a layout for the processor it runs on."""

    name = "onnx-optimize"
    title = "optimize the ONNX graph"
    input_formats = frozenset({"onnx"})
    output_format = "onnx"
    requires = ("onnxruntime", "onnx")
    folding: ClassVar[Mapping[str, Any] | None] = {"level": "basic"}

    @options_table
    class Options:
        """``level``: ONNX Runtime's graph optimization level."""

        level: Literal["basic", "extended", "all"] = "extended"

    def run(self, job: PassContext) -> dict[str, Any]:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.graph_optimization_level = {
            "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
            "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        }[self.options.level]
        settings.optimized_model_filepath = str(job.out / "model.onnx")
        settings.log_severity_level = 3
        if has_external_weights(job.input("model.onnx")):
            # Otherwise the graph would still point at the weights in the folder that it was read from.
            settings.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", "model.onnx.data"
            )
        ort.InferenceSession(str(job.input("model.onnx")), settings, providers=["CPUExecutionProvider"])
        return {"level": self.options.level}
