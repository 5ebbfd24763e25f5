"""Compares an exported language model with the network that it came from: their logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.passes.faithful import Comparison, batches
from harness.core.errors import KpiError, Unavailable
from harness.tasks.language.workload import LanguageModel

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

    from harness.workloads.torchvision_compat import before_transformers

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
