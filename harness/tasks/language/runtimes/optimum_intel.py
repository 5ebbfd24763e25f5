"""Optimum Intel's OVModelForCausalLM: the same OpenVINO network, driven by transformers' generation loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.openvino_common import cannot_load, language_properties, require_device
from harness.tasks.language.passes.openvino_weights import constants
from harness.tasks.language.runtimes.language import Generation, LanguageSession, Variables
from harness.tasks.language.runtimes.optimum_common import OptimumRuntime
from harness.workloads.chat_template import check_names, check_variables

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Session


class OptimumIntel(OptimumRuntime):
    """``OVModelForCausalLM`` with its KV cache; greedy, the chat template of the tokenizer applied."""

    name = "optimum-intel"
    formats = frozenset({"openvino-llm"})
    classes = ("OVModelForCausalLM", "AutoTokenizer")

    @options_table
    class Options:
        """OpenVINO's properties: ``precision`` of the inference, ``kv_cache`` of the cache, ``threads``.

        ``chat_template_kwargs``: variables of the chat template.
        """

        precision: Literal["f32", "bf16", "f16", "device"] = "f32"
        kv_cache: Literal["u8", "f16", "f32", "device"] = "device"
        threads: int | None = None
        chat_template_kwargs: Variables = field(default_factory=dict)

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)
            check_names(self.chat_template_kwargs)

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        model_class, tokenizer_class = self.imported()
        wanted = require_device(device)
        properties = {name: str(value) for name, value in language_properties(self.options, wanted).items()}
        try:
            model = model_class.from_pretrained(artifact, device=wanted, ov_config=properties, local_files_only=True)
        except (RuntimeError, ValueError) as error:
            raise cannot_load("Optimum Intel", wanted, error) from error
        tokenizer = tokenizer_class.from_pretrained(artifact, local_files_only=True)
        check_variables(tokenizer.chat_template or "", self.options.chat_template_kwargs)
        return _OptimumSession(model, tokenizer, artifact, self.options.chat_template_kwargs)


class _Times:
    """A transformers streamer that keeps only when each token came."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, _: Any) -> None:
        self.at.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


class _OptimumSession(LanguageSession):
    def __init__(self, model: Any, tokenizer: Any, artifact: Path, variables: Variables) -> None:
        self._variables = variables
        self._model = model
        self._tokenizer = tokenizer
        self._artifact = artifact

    def generate(self, prompt: str, most_tokens: int, *, exactly: bool = False) -> Generation:
        times, start = _Times(), time.perf_counter()
        asked = self._tokenizer(self._written(prompt), add_special_tokens=False, return_tensors="pt")
        answer = self._model.generate(
            input_ids=asked["input_ids"],
            attention_mask=asked["attention_mask"],
            do_sample=False,
            max_new_tokens=most_tokens,
            min_new_tokens=most_tokens if exactly else None,
            streamer=times,
        )
        before = asked["input_ids"].shape[1]
        tokens = answer[0, before:].tolist()
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        end = time.perf_counter()
        # The first call of the streamer brings the prompt.
        first, *rest = times.at[1:] or [end]
        return Generation(
            text=text,
            tokens=len(tokens),
            prompt_tokens=int(before),
            ended=bool(tokens) and tokens[-1] in self._ends(),
            ttft_s=first - start,
            wall_s=end - start,
            generate_s=end - start,
            token_s=tuple(b - a for a, b in zip([first, *rest], rest, strict=False)),
        )

    def log_probabilities(self, prompt: str, answer: str) -> tuple[npt.NDArray[np.float32], Sequence[int]]:
        import numpy as np
        import torch

        before = self._tokenizer(self._written(prompt), add_special_tokens=False)["input_ids"]
        said = [*self._tokenizer(answer, add_special_tokens=False)["input_ids"], self._ends()[0]]
        ids = torch.tensor([[*before, *said]])[:, :-1]
        logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(before) - 1 :]
        chances: npt.NDArray[np.float32] = torch.log_softmax(logits.double(), dim=-1).numpy().astype(np.float32)
        return chances, said

    def _written(self, prompt: str) -> str:
        chat = [{"role": "user", "content": prompt}]
        asked = {"add_generation_prompt": True, "tokenize": False}
        return str(self._tokenizer.apply_chat_template(chat, **asked, **self._variables))

    def _ends(self) -> list[int]:
        found = self._model.generation_config.eos_token_id
        return list(found) if isinstance(found, list) else [int(found)]

    def proof(self) -> Proof:
        from importlib.metadata import version

        stored = constants(self._artifact / "openvino_model.xml")
        compiled = self._model.request.get_compiled_model()
        known = {str(name) for name in compiled.get_property("SUPPORTED_PROPERTIES")}
        threads = compiled.get_property("INFERENCE_NUM_THREADS") if "INFERENCE_NUM_THREADS" in known else None
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return Proof(
            runtime="optimum-intel",
            version=version("optimum-intel"),
            device=", ".join(str(name) for name in compiled.get_property("EXECUTION_DEVICES")),
            precision=f"{max(stored, key=lambda kind: stored[kind])} weights, {hint}",
            threads=None if threads is None else int(threads),
            details={"constants": stored, "hint": str(compiled.get_property("PERFORMANCE_HINT"))},
        )
