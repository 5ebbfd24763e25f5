"""Optimum Intel's OVModelForSpeechSeq2Seq: the same OpenVINO networks, driven by transformers' generation loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.measure.media.audio import RATE
from harness.measure.records import Proof
from harness.measure.runtimes.openvino_common import cannot_load, require_device
from harness.tasks.language.runtimes.optimum_common import OptimumRuntime
from harness.tasks.speech.runtimes.speech import SpeechSession, Transcript
from harness.tasks.speech.runtimes.whisper_common import FORMAT, WhisperOptions, asked, properties, whisper_proof

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Session


class OptimumIntelSpeech(OptimumRuntime):
    """``OVModelForSpeechSeq2Seq`` with ``WhisperProcessor``; greedy, one utterance at a time."""

    name = "optimum-intel-speech"
    formats = frozenset({FORMAT})
    Options = WhisperOptions
    classes = ("OVModelForSpeechSeq2Seq", "WhisperProcessor")

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        model_class, processor_class = self.imported()
        wanted = require_device(device)
        told = asked(artifact, self.options.language)
        try:
            model = model_class.from_pretrained(
                artifact, device=wanted, ov_config=properties(self.options, wanted), local_files_only=True
            )
        except (RuntimeError, ValueError) as error:
            raise cannot_load("Optimum Intel", wanted, error) from error
        return _OptimumSpeechSession(model, processor_class.from_pretrained(artifact), artifact, told)


class _OptimumSpeechSession(SpeechSession):
    def __init__(self, model: Any, processor: Any, artifact: Path, told: Mapping[str, str]) -> None:
        self._model = model
        self._processor = processor
        self._artifact = artifact
        self._told = dict(told)

    def transcribe(self, samples: npt.NDArray[np.float32]) -> Transcript:
        start = time.perf_counter()
        features = self._processor(samples, sampling_rate=RATE, return_tensors="pt").input_features
        said = self._model.generate(features, do_sample=False, num_beams=1, **self._told)[0]
        text = str(self._processor.tokenizer.decode(said, skip_special_tokens=True)).strip()
        return Transcript(text, len(said), time.perf_counter() - start)

    def proof(self) -> Proof:
        from importlib.metadata import version

        networks = (self._model.encoder.request, self._model.decoder.request)
        encoder, decoder = (getattr(r, "get_compiled_model", lambda r=r: r)() for r in networks)
        known = version("optimum-intel")
        return whisper_proof(self._artifact, encoder, decoder, "optimum-intel", known, self._told)
