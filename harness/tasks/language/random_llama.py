"""A language model's shape without its knowledge: random weights of a real size, for speed, memory and size alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from harness.tasks.language.workload import LanguageModel
from harness.workloads.checkpoint import file_digest
from harness.workloads.torchvision_compat import before_transformers

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_PAD, _END = 0, 3


@dataclass(frozen=True, slots=True)
class Shape:
    """What a Llama's weights follow from: the same numbers give the same bytes."""

    seed: int
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    context: int = 2048


class RandomLlama(LanguageModel):
    """A Llama in half precision, made on first use in the store; what it says means nothing.

    The tokenizer's token 0 pads, token 3 ends a text.
    """

    shape: Shape
    tokenizer: Path
    """The folder whose tokenizer it takes."""

    prompts_are: str
    """Where the prompts come from, for people."""

    def about(self) -> dict[str, str]:
        return {"data": self.prompts_are, "weights": "random, seeded: no quality is claimed of them"}

    def fingerprint(self) -> str:
        # The weights follow from these and from the code; digesting hundreds of megabytes would say no more.
        tokenizer = [file_digest(self.tokenizer / name) for name in _TOKENIZER]
        return json.dumps([asdict(self.shape), tokenizer, [asdict(prompt) for prompt in self.prompts("evaluation")]])

    def own_folder(self) -> Path:
        folder = self.settings.cache / f"llama-{'-'.join(str(number) for number in asdict(self.shape).values())}"
        self.settings.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                aside = Path(tempfile.mkdtemp(dir=self.settings.cache))
                _make(self.shape, self.tokenizer, aside)
                aside.rename(folder)
        return folder


def _make(shape: Shape, tokenizer: Path, folder: Path) -> None:
    before_transformers()
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(shape.seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=shape.context,
        bos_token_id=None,
        eos_token_id=_END,
        pad_token_id=_PAD,
    )
    model = LlamaForCausalLM(config).half()
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=_END, pad_token_id=_PAD)
    model.save_pretrained(folder)
    for name in _TOKENIZER:
        shutil.copyfile(tokenizer / name, folder / name)
