"""INT8 for LiteRT, by AI Edge Quantizer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from harness.build.artifact import tensor_facts
from harness.build.passes.base import PassContext, Quantizer
from harness.build.passes.frames import calibration
from harness.core.registry import check_counts, options_table
from harness.core.tflite import DISTRIBUTION, USUAL, TfliteModel, TfliteTensor, cannot_run

_SMALLER = 0.98


class LiteRtInt8(Quantizer):
    """Weights in INT8, by channel; inputs and outputs keep their types."""

    name = "litert-int8"
    title = "INT8, AI Edge Quantizer"
    input_formats = frozenset({"tflite"})
    output_format = "tflite"
    requires = ("ai-edge-quantizer", DISTRIBUTION)
    any_names = True

    @options_table
    class Options:
        """``mode``: what activations are.

        "static": INT8, with ranges from ``calibration`` training samples; "dynamic": INT8, with ranges as they come;
        "weights": floating point, so that only the file becomes smaller. ``method``: ranges hold all that was seen, or
        are the library's moving average of each sample's, beyond which numbers are cut off.
        """

        mode: Literal["static", "dynamic", "weights"] = "static"
        calibration: int = 128
        method: Literal["minmax", "average"] = "minmax"

        def __post_init__(self) -> None:
            check_counts(calibration=self.calibration)

    @property
    def integer(self) -> bool:
        return bool(self.options.mode != "weights")

    def remedy(self, error: Exception) -> str:
        return cannot_run(error) or 'give it a file whose weights are FP32, or set mode = "dynamic"'

    def run(self, job: PassContext) -> dict[str, Any]:
        from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe, recipe_manager
        from ai_edge_quantizer.algorithm_manager import AlgorithmName

        source = job.input("model.tflite")
        naming = tensor_facts(source.parent).naming
        content, signature = _signed(source)
        made = quantizer.Quantizer(bytearray(content))
        schemes = {
            "static": recipe.static_wi8_ai8,
            "dynamic": recipe.dynamic_wi8_afp32,
            "weights": recipe.weight_only_wi8_afp32,
        }
        made.load_quantization_recipe(schemes[self.options.mode]())
        ranges, notes = None, {}
        if made.need_calibration:
            for port in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
                made.update_quantization_recipe(".*", port, algorithm_key=AlgorithmName.NO_QUANTIZE)
            samples = calibration(job, self.options.calibration)
            job.progress(f"ranges of {len(samples)} samples")
            update = {"qsv_update_func": _widest} if self.options.method == "minmax" else {}
            seen = calibrator.Calibrator(content, num_threads=os.cpu_count() or 1, **update)
            manager = recipe_manager.RecipeManager()
            manager.load_quantization_recipe(made.get_quantization_recipe())
            seen.calibrate({signature: [naming.asked(one) for one in samples]}, manager)
            ranges, notes = seen.get_model_qsvs(), samples.notes
        job.progress("quantizing")
        result = job.out / "model.tflite"
        result.write_bytes(made.quantize(ranges).quantized_model)
        if result.stat().st_size > _SMALLER * len(content):
            job.remark("the file did not become smaller: its weights are integers or half precision already")
        return notes


def _widest(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The range of a tensor, after another sample."""
    import numpy as np

    if not before:
        return dict(now)
    return {**now, "min": np.minimum(before["min"], now["min"]), "max": np.maximum(before["max"], now["max"])}


def _signed(file: Path) -> tuple[bytes, str]:
    """The file with a signature, by which samples are asked for, and the signature's name."""
    model = TfliteModel(file)
    if known := list(model.interpreter.get_signature_list()):
        return file.read_bytes(), str(known[0])
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    graph, signature = flatbuffer_utils.read_model(str(file)), schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = USUAL, 0
    signature.inputs, signature.outputs = (
        [_entry(schema, one) for one in ports] for ports in (model.inputs, model.outputs)
    )
    graph.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph)), USUAL


def _entry(schema: Any, tensor: TfliteTensor) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = tensor.name, tensor.index
    return entry
