"""Compares an exported speech recognizer with the network that it came from: the logits of its first decoder step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.build.passes.faithful import Comparison, batches
from harness.tasks.speech.workload import Speech


def compare_whisper(name: str, workload: Speech, exported: Path, tolerance: float | None) -> dict[str, Any]:
    """Compares the first decoder's logits on the first recordings, each alone and both together."""
    import numpy as np
    import torch
    from optimum.intel import OVModelForSpeechSeq2Seq
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    from harness.measure.media.audio import RATE, read_audio

    folder = workload.folder()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    network = WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    made = OVModelForSpeechSeq2Seq.from_pretrained(
        exported, local_files_only=True, ov_config={"INFERENCE_PRECISION_HINT": "f32"}, device="CPU"
    )
    sounds = [read_audio(clip.audio, workload.window_s) for clip in workload.clips()[:2]]
    heard = processor.feature_extractor(sounds, sampling_rate=RATE, return_tensors="pt").input_features
    start = torch.full((len(sounds), 1), network.config.decoder_start_token_id)
    comparison = Comparison(name, tolerance)
    for rows in batches(len(sounds)):
        with torch.inference_mode():
            wanted = network(input_features=heard[rows], decoder_input_ids=start[rows]).logits.numpy()
        found = made(input_features=heard[rows], decoder_input_ids=start[rows]).logits
        comparison.add({"logits": wanted}, {"logits": np.asarray(found)}, rows)
    return comparison.finish()
