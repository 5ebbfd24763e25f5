"""What the runtimes of Whisper share: options, properties, what ran."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from harness.errors import KpiError
from harness.measure.records import Proof
from harness.passes.openvino_weights import constants
from harness.passes.whisper import FORMAT, NETWORKS
from harness.registry import check_counts, options
from harness.runtimes.openvino_common import compiled_proof

__all__ = ["FORMAT", "NETWORKS", "WhisperOptions", "asked", "properties", "whisper_proof"]


@options
class WhisperOptions:
    """OpenVINO's properties: ``precision`` of the inference, ``threads``; ``language`` that is spoken."""

    precision: Literal["f32", "bf16", "f16", "device"] = "f32"
    threads: int | None = None
    language: str = "en"

    def __post_init__(self) -> None:
        check_counts(threads=self.threads)
        if not self.language.isalpha():
            raise ValueError('language must be a code such as "en"')


def properties(chosen: WhisperOptions, device: str) -> dict[str, str]:
    """OpenVINO's properties for one utterance at a time."""
    found = {"PERFORMANCE_HINT": "LATENCY"}
    if chosen.precision != "device":
        found["INFERENCE_PRECISION_HINT"] = chosen.precision
    if chosen.threads is not None and device == "CPU":
        found["INFERENCE_NUM_THREADS"] = str(chosen.threads)
    return found


def asked(artifact: Path, language: str) -> dict[str, str]:
    """What a model is told of its task: nothing where it knows one language alone.

    KpiError when the model does not know the language.
    """
    config = json.loads((artifact / "generation_config.json").read_text(encoding="utf-8"))
    if not config.get("is_multilingual"):
        return {}
    token = f"<|{language}|>"
    if token not in config.get("lang_to_id", {}):
        raise KpiError(f"the model knows no language {language!r}", "set the runtime's `language`")
    return {"language": token, "task": "transcribe"}


def whisper_proof(artifact: Path, encoder: Any, decoder: Any, runtime: str, version: str) -> Proof:
    """What the two compiled networks say of themselves; both must run alike."""
    proofs = [compiled_proof(compiled, runtime) for compiled in (encoder, decoder)]
    if len({(proof.device, proof.precision.removeprefix("int8+")) for proof in proofs}) != 1:
        told = " and ".join(f"{proof.precision} on {proof.device}" for proof in proofs)
        raise KpiError(f"encoder and decoder run differently: {told}")
    stored: dict[str, int] = {}
    for name in NETWORKS:
        for kind, size in constants(artifact / name).items():
            stored[kind] = stored.get(kind, 0) + size
    return replace(
        proofs[0],
        version=version,
        precision=f"{max(stored, key=lambda kind: stored[kind])} weights, {proofs[0].precision.removeprefix('int8+')}",
        heavy_ops=sum(proof.heavy_ops or 0 for proof in proofs),
        integer_ops=sum(proof.integer_ops or 0 for proof in proofs),
        heavy_work=None,
        integer_work=None,
        float_layers=(),
        details={**proofs[0].details, "constants": stored},
    )
