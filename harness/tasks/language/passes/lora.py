"""Trains a low-rank adapter for a task; the base model stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.training import Order, Plan, train
from harness.core.errors import KpiError, reason
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table
from harness.tasks.language.passes.hf_llm import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    ADAPTERS,
    FORMAT,
    base_folder,
    copy_folder,
    language,
    load_model,
    load_tokenizer,
    spoken,
    write_json,
)
from harness.tasks.language.workload import LanguageModel, Prompt

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Lora(Pass):
    """PEFT's LoRA on the fixture's training split (Hu et al. 2021); only the answers' tokens count in the loss.

    Several of these in a row give a model with several adapters, each trained on the base alone.
    """

    name = "lora"
    title = "low-rank adapter"
    effort = 50.0
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = FORMAT
    requires = ("torch", "transformers", "peft", "safetensors")

    @options_table
    class Options:
        """What for, how large, how long.

        ``name``: the adapter's; ``task``: which of the fixture's tasks, its first one unless named; ``targets``: names
        of linear layers, all but the head unless named; ``samples``: training prompts, the first of the split;
        ``length``: longer conversations, in tokens, are left out; ``base``: how the frozen weights are held while the
        adapter is trained.
        """

        name: str = "task"
        task: str = ""
        rank: int = 16
        alpha: int = 32
        dropout: float = 0.0
        targets: tuple[str, ...] = ()
        samples: int = 4000
        length: int = 512
        steps: int = 240
        batch: int = 16
        learning_rate: float = 2e-3
        seed: int = 1
        base: Literal["float32", "bfloat16"] = "float32"

        def __post_init__(self) -> None:
            check_counts(rank=self.rank, alpha=self.alpha, samples=self.samples, length=self.length)
            check_counts(steps=self.steps, batch=self.batch)
            if not _NAME.fullmatch(self.name):
                raise ValueError("name must be of small letters, digits, - and _")
            if not 0 < self.learning_rate < 1:
                raise ValueError("learning_rate must be above 0 and below 1")
            if not 0 <= self.dropout < 1:
                raise ValueError("dropout must be at least 0 and below 1")

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch

        workload = language(job, self.name)
        folder = base_folder(job, workload)
        if (folder / ADAPTERS / self.options.name).exists():
            raise KpiError(f'there is an adapter "{self.options.name}" already', "give this one another name")
        torch.set_num_threads(1)
        torch.manual_seed(self.options.seed)
        job.progress("reading the training prompts")
        tokenizer = load_tokenizer(folder)
        chosen = training_prompts(workload, self.options.task)[: self.options.samples]
        data = list(spoken(tokenizer, chosen, self.options.length))
        if not data:
            raise KpiError(
                f"none of {len(chosen)} training prompts fits {self.options.length} tokens", "raise `length`"
            )
        model = self._adapted(load_model(folder, getattr(torch, self.options.base)))
        order = Order(len(data), self.options.batch, self.options.seed)
        plan = Plan(self.options.steps, self.options.learning_rate, self.options.seed)
        padding = tokenizer.pad_token_id or 0

        def loss(step: int) -> torch.Tensor:
            return answer_loss(model, [data[row] for row in order.rows(step)], padding)

        last = train(model, plan, loss, job.work, job.progress)
        copy_folder(folder, job.out, weights=True)
        self._save(model, job.out / ADAPTERS / self.options.name, job)
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        return {"steps": self.options.steps, "loss": last, "prompts": len(data), "parameters": trained}

    def _adapted(self, model: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules=list(self.options.targets) or "all-linear",
            task_type="CAUSAL_LM",
        )
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            names = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if _linear(part)})
            raise KpiError(f"targets: {reason(error)}", f"the layers are {', '.join(names)}") from None

    def _save(self, model: Any, out: Path, job: PassContext) -> None:
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        out.mkdir(parents=True)
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
        save_file({name: state[name].contiguous().clone() for name in sorted(state)}, out / ADAPTER_WEIGHTS)
        settings = model.peft_config["default"].to_dict()
        # Where all are adapted, PEFT lists each by its whole path; others know layers by their last name.
        short = {name.rpartition(".")[2] for name in settings["target_modules"]}
        # Sets have no order, and a folder's name is this machine's: neither belongs into an artifact.
        settings |= {
            "target_modules": list(self.options.targets) or sorted(short),
            "base_model_name_or_path": job.workload.settings.model or job.workload.settings.name,
            "inference_mode": True,
        }
        plain = json.loads(json.dumps(settings, default=lambda value: getattr(value, "value", str(value))))
        write_json(out / ADAPTER_CONFIG, plain)


def answer_loss(model: Any, chosen: Sequence[tuple[list[int], int]], padding: int) -> torch.Tensor:
    """The mean negative log-likelihood of the answers' tokens, of conversations padded on the right."""
    import torch

    width = max(len(tokens) for tokens, _ in chosen)
    grid = torch.full((len(chosen), width), padding, dtype=torch.long)
    seen = torch.zeros_like(grid)
    wanted = torch.full_like(grid, -100)
    for row, (tokens, start) in enumerate(chosen):
        grid[row, : len(tokens)] = torch.tensor(tokens)
        seen[row, : len(tokens)] = 1
        wanted[row, start : len(tokens)] = torch.tensor(tokens[start:])
    logits = model(input_ids=grid, attention_mask=seen, use_cache=False).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten())


def training_prompts(workload: LanguageModel, task: str) -> Sequence[Prompt]:
    """The training split of one of the fixture's tasks; KpiError when it has none."""
    split = f"training:{task}" if task else "training"
    try:
        return workload.prompts(split)
    except ValueError as error:
        raise KpiError(f"workload {workload.settings.name} has no split {split}: {error}") from None


def _linear(part: object) -> bool:
    import torch

    return isinstance(part, torch.nn.Linear)
