"""Prepares an ONNX graph for ONNX Runtime's quantizers."""

from __future__ import annotations

from pathlib import Path


def prepare(source: Path, out: Path) -> Path:
    """Infers shapes, folds what can be folded, and forgets the shapes noted for weights; returns ``out``.

    The exporter notes a shape for each weight as if it were an activation; the dynamic quantizer transposes weights
    and then stumbles over the note.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(source), str(out), skip_symbolic_shape=True)
    model = onnx.load(out)
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = [info for info in model.graph.value_info if info.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    onnx.save(model, out)
    return out
