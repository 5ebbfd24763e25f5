"""OpenVINO GenAI's LLMPipeline on CPU, GPU or NPU."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.openvino_common import GenAiRuntime, cannot_load, language_properties, require_device
from harness.tasks.language.passes.openvino_weights import constants
from harness.tasks.language.runtimes.language import Generation, LanguageSession, Variables
from harness.workloads.chat_template import check_names, check_variables

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Session


class OpenVinoGenAi(GenAiRuntime):
    """``openvino_genai.LLMPipeline`` with its KV cache; greedy, the chat template of the tokenizer applied."""

    name = "openvino-genai"
    title = "OpenVINO GenAI"
    formats = frozenset({"openvino-llm"})

    @options_table
    class Options:
        """OpenVINO's and GenAI's properties.

        ``precision``: of the inference; ``kv_cache``: of the cache; ``threads``; ``prompt_lookup``: tokens that are
        guessed from the prompt at a time, 0 for none; ``max_prompt`` and ``min_response``: an NPU's static shapes;
        ``chat_template_kwargs``: variables of the chat template.
        """

        precision: Literal["f32", "bf16", "f16", "device"] = "f32"
        kv_cache: Literal["u8", "f16", "f32", "device"] = "device"
        threads: int | None = None
        prompt_lookup: int = 0
        max_prompt: int = 1024
        min_response: int = 128
        chat_template_kwargs: Variables = field(default_factory=dict)

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)
            check_names(self.chat_template_kwargs)
            if self.prompt_lookup < 0:
                raise ValueError("prompt_lookup must not be negative")

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        import openvino_genai

        # Asked for a device that is not there, the pipeline says something else.
        wanted = require_device(device)
        properties = self._properties(wanted)
        try:
            pipeline = openvino_genai.LLMPipeline(str(artifact), wanted, **properties)
        except RuntimeError as error:
            raise cannot_load("OpenVINO GenAI", wanted, error) from error
        check_variables(pipeline.get_tokenizer().get_original_chat_template(), self.options.chat_template_kwargs)
        return _GenAiSession(pipeline, artifact, wanted, properties, self.options)

    def _properties(self, device: str) -> dict[str, Any]:
        chosen = self.options
        if device == "NPU":
            # An NPU compiles for fixed shapes and chooses its own precision.
            return {"MAX_PROMPT_LEN": chosen.max_prompt, "MIN_RESPONSE_LEN": chosen.min_response}
        found = language_properties(chosen, device)
        return found | {"prompt_lookup": True} if chosen.prompt_lookup else found


class _GenAiSession(LanguageSession):
    def __init__(self, pipeline: Any, artifact: Path, device: str, properties: Mapping[str, Any], chosen: Any) -> None:
        self._pipeline = pipeline
        self._artifact = artifact
        self._device = device
        self._properties = {k: v for k, v in properties.items() if k.isupper()}
        self._lookup: int = chosen.prompt_lookup
        self._variables = dict(chosen.chat_template_kwargs)
        self._tokenizer = pipeline.get_tokenizer()
        self._request: Any = None

    def generate(self, prompt: str, most_tokens: int, *, exactly: bool = False) -> Generation:
        import openvino_genai

        config = self._pipeline.get_generation_config()
        config.do_sample, config.max_new_tokens, config.ignore_eos = False, most_tokens, exactly
        if self._lookup:
            config.num_assistant_tokens, config.max_ngram_size = self._lookup, 3
        start = time.perf_counter()
        # A plain text would not bring the runtime's own times along.
        answer = self._pipeline.generate(self._history(prompt) if self._variables else [prompt], config)
        wall = time.perf_counter() - start
        measured = answer.perf_metrics
        ended = answer.finish_reasons[0] == openvino_genai.GenerationFinishReason.STOP
        return Generation(
            text=answer.texts[0],
            tokens=int(measured.get_num_generated_tokens()),
            prompt_tokens=int(measured.get_num_input_tokens()),
            ended=bool(ended),
            ttft_s=measured.get_ttft().mean / 1e3,
            wall_s=wall,
            generate_s=measured.get_generate_duration().mean / 1e3,
            token_s=tuple(d / 1e6 for d in measured.raw_metrics.m_durations),
        )

    def _history(self, prompt: str) -> Any:
        import openvino_genai

        history = openvino_genai.ChatHistory([{"role": "user", "content": prompt}])
        history.set_extra_context(self._variables)
        return history

    def log_probabilities(self, prompt: str, answer: str) -> tuple[npt.NDArray[np.float32], Sequence[int]]:
        """From the network itself, compiled with the same properties: the pipeline keeps its logits to itself."""
        import numpy as np

        written = self._tokenizer.apply_chat_template(self._history(prompt), add_generation_prompt=True)
        before = self._encode(written)
        ids = np.concatenate([before, self._encode(answer), [self._pipeline.get_generation_config().eos_token_id]])
        if self._request is None:
            import openvino as ov

            model = str(self._artifact / "openvino_model.xml")
            compiled = ov.Core().compile_model(model, self._device, self._properties)
            self._names = {port.get_any_name() for port in compiled.inputs}
            self._request = compiled.create_infer_request()
        self._request.reset_state()
        feeds = {
            "input_ids": ids[None, :-1],
            "attention_mask": np.ones((1, len(ids) - 1), np.int64),
            "position_ids": np.arange(len(ids) - 1, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        logits = self._request.infer({k: v for k, v in feeds.items() if k in self._names})[0][0, len(before) - 1 :]
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
        chances = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return chances.astype(np.float32), [int(i) for i in ids[len(before) :]]

    def _encode(self, text: str) -> npt.NDArray[np.int64]:
        import numpy as np

        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids: npt.NDArray[np.int64] = np.array(encoded.input_ids.data, dtype=np.int64)[0]
        return ids

    def proof(self) -> Proof:
        import openvino_genai

        stored = constants(self._artifact / "openvino_model.xml")
        weights = max(stored, key=lambda kind: stored[kind])
        asked = str(self._properties.get("INFERENCE_PRECISION_HINT", "device"))
        return Proof(
            runtime="openvino-genai",
            version=openvino_genai.__version__.split("-")[0],
            device=self._device,
            precision=f"{weights} weights, {asked}",
            details={"constants": stored, **{name: str(value) for name, value in self._properties.items()}},
        )
