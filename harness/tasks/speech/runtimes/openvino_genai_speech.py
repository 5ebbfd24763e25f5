"""OpenVINO GenAI's WhisperPipeline on CPU, GPU or NPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, reason
from harness.measure.records import Proof
from harness.measure.runtimes.openvino_common import GenAiRuntime, cannot_load, require_device
from harness.tasks.speech.runtimes.speech import SpeechSession, Transcript
from harness.tasks.speech.runtimes.whisper_common import (
    FORMAT,
    NETWORKS,
    WhisperOptions,
    asked,
    properties,
    whisper_proof,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Session


class OpenVinoGenAiSpeech(GenAiRuntime):
    """``openvino_genai.WhisperPipeline``: features, encoder, decoder and text in one call; greedy."""

    name = "openvino-genai-speech"
    title = "OpenVINO GenAI"
    formats = frozenset({FORMAT})
    Options = WhisperOptions

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        import openvino_genai

        wanted = require_device(device)
        chosen = properties(self.options, wanted)
        told = asked(artifact, self.options.language)
        try:
            pipeline = openvino_genai.WhisperPipeline(str(artifact), wanted, **chosen)
        except RuntimeError as error:
            raise cannot_load("OpenVINO GenAI", wanted, error) from error
        return _GenAiSpeechSession(pipeline, artifact, wanted, chosen, told)


class _GenAiSpeechSession(SpeechSession):
    def __init__(
        self, pipeline: Any, artifact: Path, device: str, chosen: Mapping[str, str], told: Mapping[str, str]
    ) -> None:
        self._pipeline = pipeline
        self._artifact = artifact
        self._device = device
        self._properties = chosen
        self._told = told
        self._config = pipeline.get_generation_config()
        self._config.return_timestamps = False
        for name, value in told.items():
            setattr(self._config, name, value)

    def transcribe(self, samples: npt.NDArray[np.float32]) -> Transcript:
        start = time.perf_counter()
        try:
            said = self._pipeline.generate(samples, self._config)
        except RuntimeError as error:
            raise KpiError(f"OpenVINO GenAI can't recognize an utterance: {reason(error)}") from error
        text = said.texts[0].strip()
        end = time.perf_counter()
        return Transcript(text, int(said.perf_metrics.get_num_generated_tokens()), end - start)

    def proof(self) -> Proof:
        """From the networks compiled once more with the same properties: the pipeline keeps its own to itself."""
        import openvino as ov
        import openvino_genai

        encoder, decoder = (
            ov.Core().compile_model(str(self._artifact / name), self._device, dict(self._properties))
            for name in NETWORKS
        )
        version = openvino_genai.__version__.split("-")[0]
        return whisper_proof(self._artifact, encoder, decoder, "openvino-genai", version, self._told)
