"""What the runtimes of Whisper share: options, properties, what ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.openvino_common import compiled_proof
from harness.tasks.language.passes.openvino_weights import constants
from harness.tasks.speech.passes.whisper import FORMAT, NETWORKS, require_generation

__all__ = ["FORMAT", "NETWORKS", "WhisperOptions", "asked", "properties", "whisper_proof"]

_ENGLISH = "en"


@options_table
class WhisperOptions:
    """OpenVINO's properties: ``precision`` of the inference, ``threads``; ``language`` that is spoken.

    Without one a model of many languages is told "en", unless its generation_config.json is too old to be told any.
    """

    precision: Literal["f32", "bf16", "f16", "device"] = "f32"
    threads: int | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        check_counts(threads=self.threads)
        if self.language is not None and not self.language.isalpha():
            raise ValueError('language must be a code such as "en"')


def properties(chosen: WhisperOptions, device: str) -> dict[str, str]:
    """OpenVINO's properties for one utterance at a time."""
    found = {"PERFORMANCE_HINT": "LATENCY"}
    if chosen.precision != "device":
        found["INFERENCE_PRECISION_HINT"] = chosen.precision
    if chosen.threads is not None and device == "CPU":
        found["INFERENCE_NUM_THREADS"] = str(chosen.threads)
    return found


def asked(artifact: Path, language: str | None) -> dict[str, str]:
    """What a model is told of its task: nothing where it knows one language alone.

    ``language`` is None where the recipe says none. KpiError where one that it says can't be applied.
    """
    config = require_generation(artifact)
    missing = [key for key in ("is_multilingual", "lang_to_id", "task_to_id") if key not in config]
    if config.get("is_multilingual") is False:
        if language in (None, "en"):
            return {}
        raise KpiError(f"the model knows English alone, not {language!r}", "leave the runtime's `language` out")
    if missing:
        if language is None:
            return {}
        raise KpiError(
            f"language = {language!r} can't be applied: generation_config.json lacks {', '.join(missing)}, "
            "as old or fine-tuned models do",
            "copy the file from the model that it was fine-tuned from, or leave `language` out: the model then guesses",
        )
    token = f"<|{language or _ENGLISH}|>"
    if token not in config["lang_to_id"]:
        raise KpiError(f"the model knows no language {language or _ENGLISH!r}", "set the runtime's `language`")
    return {"language": token, "task": "transcribe"}


def told_language(told: Mapping[str, str], artifact: Path) -> str:
    """The language as the proof shows it."""
    if told:
        return told["language"].strip("<|>")
    return "the model's only one" if require_generation(artifact).get("is_multilingual") is False else "guessed"


def whisper_proof(
    artifact: Path, encoder: Any, decoder: Any, runtime: str, version: str, told: Mapping[str, str]
) -> Proof:
    """What the two compiled networks say of themselves; both must run alike."""
    proofs = [compiled_proof(compiled, runtime) for compiled in (encoder, decoder)]
    if len({(proof.device, proof.precision.removeprefix("int8+")) for proof in proofs}) != 1:
        ran = " and ".join(f"{proof.precision} on {proof.device}" for proof in proofs)
        raise KpiError(f"encoder and decoder run differently: {ran}")
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
        details={**proofs[0].details, "constants": stored, "language": told_language(told, artifact)},
    )
