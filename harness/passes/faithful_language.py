"""Holds exported language models and speech recognizers against the network that they came from: their logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import KpiError, Unavailable
from harness.language import LanguageModel
from harness.passes.faithful import Comparison, batches
from harness.speech import Speech

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]
    Logits = npt.NDArray[np.float32]

_PROMPTS, _LONGEST = 3, 64


def compare_causal(
    name: str, workload: LanguageModel, folder: Path, run: Callable[[Ids], Logits], tolerance: float | None
) -> dict[str, Any]:
    """Compares next-token logits; ``run`` takes token ids (batch, tokens) and gives (batch, tokens or 1, vocabulary).

    ``folder`` holds the network in Hugging Face's layout. Prompts are asked one at a time, then together, cut to the
    shortest. Raises KpiError where the logits differ by more than ``tolerance``, None: they may.
    """
    import numpy as np
    import torch

    from harness.libraries import before_transformers

    before_transformers()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    remote = workload.settings.trust_remote_code
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=remote)
    network = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, trust_remote_code=remote, dtype=torch.float32
    ).eval()
    prompts = [tokenizer(text)["input_ids"][:_LONGEST] for text in _texts(workload)]
    comparison = Comparison(name, tolerance)
    for rows in batches(len(prompts)):
        shortest = min(len(prompts[row]) for row in rows)
        ids = np.array([prompts[row][:shortest] for row in rows], dtype=np.int64)
        with torch.inference_mode():
            wanted = network(input_ids=torch.from_numpy(ids)).logits.float().numpy()
        found = run(ids)
        if found.shape[1] == 1:
            wanted = wanted[:, -1:]
        comparison.add({"logits": wanted}, {"logits": found}, rows)
    return comparison.finish()


def _texts(workload: LanguageModel) -> list[str]:
    for split in ("calibration", "evaluation"):
        try:
            found: Sequence[Any] = workload.prompts(split)
        except Unavailable:
            continue
        if found:
            return [prompt.prompt for prompt in found[:_PROMPTS]]
    raise KpiError(f"{workload.settings.name} has no prompts", "give it some")


def compare_whisper(name: str, workload: Speech, exported: Path, tolerance: float | None) -> dict[str, Any]:
    """Compares the first decoder's logits on the first recordings, each alone and both together."""
    import numpy as np
    import torch
    from optimum.intel import OVModelForSpeechSeq2Seq
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    from harness.media.audio import RATE, read_audio

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
