"""Scales a language model's weights by how strong their inputs are, so that INT4 loses less of what matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table
from harness.tasks.language.passes.awq_groups import Group, groups
from harness.tasks.language.passes.hf_llm import (
    ADAPTER_WEIGHTS,
    ADAPTERS,
    FORMAT,
    adapter_folders,
    base_folder,
    copy_folder,
    language,
    load_adapter,
    load_model,
    load_tokenizer,
    spoken,
)
from harness.tasks.language.passes.int4 import rounded
from harness.tasks.language.workload import LanguageModel
from harness.workloads.huggingface import require_floats

if TYPE_CHECKING:
    import torch

_GRID = 20


class Awq(Pass):
    """Activation-aware weight scaling: Lin et al., "AWQ", MLSys 2024 (arXiv 2306.00978), section 3.2.

    For each group of linear layers that read the same input x, the columns of their weights are multiplied by
    s = mean(abs(x)) ** a, and what makes x (a norm's weights, or the rows of the layer before) is divided by it: in
    exact arithmetic the same function. ``a`` is searched from 0 to 1 in twentieths for the least squared error of the
    outputs once the weights are rounded to INT4, on the fixture's calibration split. Adapters follow: the matrix that
    reads x is scaled like the weights. What is written is still FP32: a later pass makes INT4 of it.
    """

    name = "awq"
    title = "activation-aware weight scaling"
    input_formats = frozenset({REFERENCE, FORMAT})
    output_format = FORMAT
    requires = ("torch", "transformers", "safetensors")

    @options_table
    class Options:
        """``samples``: calibration prompts; ``tokens``: how many of their tokens the search looks at; ``block``.

        ``freeze``: writes the weights rounded to INT4's grid, so that an adapter that is trained afterwards learns on
        what INT4 will give (as QLoRA does), and INT4 later loses nothing more.
        """

        samples: int = 128
        tokens: int = 4096
        length: int = 512
        block: int = 32
        freeze: bool = False

        def __post_init__(self) -> None:
            check_counts(samples=self.samples, tokens=self.tokens, length=self.length)
            if self.block < 16 or self.block & (self.block - 1):  # noqa: PLR2004 - what MatMulNBits has kernels for
                raise ValueError("block must be a power of 2, 16 at least")

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch

        workload = language(job, self.name)
        folder = base_folder(job, workload)
        require_floats(folder, f'"{self.name}"')
        torch.set_num_threads(1)
        adapters = {adapter.name: load_adapter(adapter) for adapter in adapter_folders(folder)}
        for name, state in adapters.items():
            if other := [key for key in state if not key.endswith((".lora_A.weight", ".lora_B.weight"))]:
                raise KpiError(f"adapter {name} holds {other[0]}, which can't be scaled", "train it as plain LoRA")
        # FP32 until INT4: rounding twice would move values off the grid that is searched on.
        model = load_model(folder, torch.float32).eval()
        found = groups(model)
        inputs = self._inputs(model, found, folder, workload, job)
        powers: dict[str, float] = {}
        for number, group in enumerate(found, 1):
            job.progress(f"searching scales, group {number} of {len(found)}")
            power, scale = self._search(group, inputs.pop(group.name))
            powers[group.name] = power
            fold(group, scale, adapters)
        if self.options.freeze:
            for group in found:
                for linear in group.readers.values():
                    linear.weight.data = rounded(linear.weight.data, self.options.block)
        model.save_pretrained(job.out)
        copy_folder(folder, job.out, weights=False)
        self._save(adapters, job)
        return {"powers": powers, "frozen": self.options.freeze}

    def _inputs(
        self, model: Any, found: list[Group], folder: Any, workload: LanguageModel, job: PassContext
    ) -> dict[str, torch.Tensor]:
        """What each group reads: some tokens of every prompt, (tokens, channels)."""
        import torch

        tokenizer = load_tokenizer(folder)
        prompts = workload.prompts("calibration")[: self.options.samples]
        texts = [tokens for tokens, _ in spoken(tokenizer, prompts, self.options.length)]
        if not texts:
            raise KpiError("no calibration prompt is short enough", "raise `length`")
        each = max(1, self.options.tokens // len(texts))
        kept: dict[str, list[torch.Tensor]] = {group.name: [] for group in found}

        def keeper(name: str) -> Any:
            def keep(_: Any, read: tuple[torch.Tensor, ...]) -> None:
                rows = read[0].detach().flatten(0, 1)
                kept[name].append(rows[torch.linspace(0, len(rows) - 1, min(each, len(rows))).long()])

            return keep

        hooks = [next(iter(g.readers.values())).register_forward_pre_hook(keeper(g.name)) for g in found]
        with torch.inference_mode():
            for number, tokens in enumerate(texts, 1):
                if number % 8 == 1:
                    job.progress(f"reading calibration prompt {number} of {len(texts)}")
                model(input_ids=torch.tensor([tokens]), use_cache=False)
        for hook in hooks:
            hook.remove()
        return {name: torch.cat(rows).clone() for name, rows in kept.items()}

    def _search(self, group: Group, read: torch.Tensor) -> tuple[float, torch.Tensor]:
        """The power and the scale of each input channel with the least error of the group's outputs."""
        import torch

        strength = group.shared(read.abs().mean(0)).clamp(min=1e-4)
        best, power, scale = float("inf"), 0.0, torch.ones_like(strength)
        with torch.inference_mode():
            for step in range(_GRID + 1):
                tried = strength ** (step / _GRID)
                tried = tried / (tried.max() * tried.min()).sqrt()
                wide = group.wide(tried)
                error = 0.0
                for linear in group.readers.values():
                    off = rounded(linear.weight * wide, self.options.block) / wide - linear.weight
                    error += float((read @ off.T).square().sum())
                if error < best:
                    best, power, scale = error, step / _GRID, tried
        return power, scale.clone()

    def _save(self, adapters: dict[str, dict[str, torch.Tensor]], job: PassContext) -> None:
        from safetensors.torch import save_file

        for name, state in adapters.items():
            save_file(
                {key: state[key].contiguous() for key in sorted(state)}, job.out / ADAPTERS / name / ADAPTER_WEIGHTS
            )


def fold(group: Group, scale: torch.Tensor, adapters: dict[str, dict[str, torch.Tensor]]) -> None:
    """Multiplies the columns of what reads by the scale, divides what is read by it: the function stays."""
    wide = group.wide(scale)
    for name, linear in group.readers.items():
        linear.weight.data = linear.weight.data * wide
        for adapter, state in adapters.items():
            _follow(state, f"{name}.lora_A.weight", adapter, lambda found: found * wide, len(wide), 1)
    if group.norm is not None:
        group.norm.data = group.norm.data / wide
        return
    if group.writer is None:
        raise RuntimeError(f"group {group.name} has nothing to fold into")
    name, linear, rows = group.writer
    linear.weight.data[rows] = linear.weight.data[rows] / scale.unsqueeze(1)
    if linear.bias is not None:
        linear.bias.data[rows] = linear.bias.data[rows] / scale

    def divided(found: torch.Tensor) -> torch.Tensor:
        found = found.clone()
        found[rows] = found[rows] / scale.unsqueeze(1)
        return found

    for adapter, state in adapters.items():
        _follow(state, f"{name}.lora_B.weight", adapter, divided, linear.weight.shape[0], 0)


def _follow(state: dict[str, torch.Tensor], end: str, adapter: str, change: Any, size: int, axis: int) -> None:
    for key in [key for key in state if key.endswith(f".{end}")]:
        if state[key].shape[axis] != size:
            raise KpiError(
                f"adapter {adapter} was trained for another base: {key} has {state[key].shape[axis]} channels, "
                f"the model {size}",
                "train it on this model",
            )
        dtype = state[key].dtype
        state[key] = change(state[key].float()).to(dtype)
