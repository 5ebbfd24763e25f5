"""ONNX Runtime GenAI on CPU, CUDA or DirectML: one model, several adapters."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.cores import confined
from harness.core.errors import KpiError, Unavailable, reason, suggest
from harness.core.libraries import require
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime
from harness.tasks.language.passes.adapters import SUFFIX
from harness.tasks.language.passes.onnx_llm import FORMAT, GRAPH, precision_of, read_graph
from harness.tasks.language.runtimes.language import AdapterSession, Generation, Variables
from harness.workloads.chat_template import check_names, check_variables, read_template

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Session

_PROVIDERS = {"CPU": "cpu", "CUDA": "cuda", "DirectML": "dml"}
_REMEDY = {
    "CUDA": "pip install onnxruntime-genai-cuda in place of onnxruntime-genai",
    "DirectML": "pip install onnxruntime-genai-directml in place of onnxruntime-genai (Windows)",
}
_DEFAULT = {"cpu": "CPU", "gpu": "CUDA"}
_FEW = 8


class OnnxRuntimeGenAi(Runtime):
    """``onnxruntime_genai.Generator`` with its KV cache; greedy, the chat template of the tokenizer applied."""

    name = "onnxruntime-genai"
    title = "ONNX Runtime GenAI"
    formats = frozenset({FORMAT})
    devices = frozenset({"cpu", "gpu"})
    distributions = ("onnxruntime-genai", "onnxruntime-genai-cuda", "onnxruntime-genai-directml")
    profiles = False

    @options_table
    class Options:
        """``provider``: the device's own by default; ``threads`` of an operator; ``adapter``: on from the start.

        ``threads`` are by default one a processor that the process is confined to, else the library's choice. All
        adapters are loaded in any case; with ``adapter`` empty the model alone answers until one is switched on.
        ``chat_template_kwargs``: variables of the chat template.
        """

        provider: Literal["CPU", "CUDA", "DirectML"] | None = None
        threads: int | None = None
        adapter: str = ""
        chat_template_kwargs: Variables = field(default_factory=dict)

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)
            check_names(self.chat_template_kwargs)

    @classmethod
    def available_devices(cls) -> str:
        import onnxruntime_genai as og

        return ", ".join(name for name in _PROVIDERS if _has(og, name))

    def import_library(self) -> None:
        # Its memory and import time are not the artifact's.
        require("onnxruntime_genai", "onnxruntime-genai", "onnxruntime-genai")

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        import onnxruntime_genai as og

        provider = self.options.provider or _DEFAULT[device]
        if not _has(og, provider):
            raise Unavailable(f"this build of ONNX Runtime GenAI has no {provider}", _REMEDY[provider])
        template = _template(artifact, self.options.chat_template_kwargs)
        try:
            config = og.Config(str(artifact))
            config.clear_providers()
            if provider != "CPU":
                config.append_provider(_PROVIDERS[provider])
            settings: dict[str, Any] = {}
            # Left alone it pins one thread to each core of the machine, those outside of the process's mask among them.
            if threads := self.options.threads or confined():
                settings["intra_op_num_threads"] = threads
            if not self.timed:
                settings["session.intra_op.allow_spinning"] = "0"
            config.overlay(json.dumps({"model": {"decoder": {"session_options": settings}}}))
            session = _GenAiSession(og.Model(config), artifact, threads, template)
        except (RuntimeError, ValueError, KeyError) as error:
            raise KpiError(f"ONNX Runtime GenAI can't load the artifact: {reason(error)}") from error
        if session.device != _PROVIDERS[provider]:
            raise KpiError(f"asked for {provider}, ONNX Runtime GenAI runs on {session.device}")
        session.use(self.options.adapter or None)
        return session


class _GenAiSession(AdapterSession):
    def __init__(self, model: Any, artifact: Path, threads: int | None, template: str | None) -> None:
        import onnxruntime_genai as og

        self._template = {"template_str": template} if template else {}
        self._model = model
        self._artifact = artifact
        self._threads = threads
        self._tokenizer = og.Tokenizer(model)
        self._config = json.loads((artifact / "genai_config.json").read_text(encoding="utf-8"))["model"]
        files = sorted(artifact.glob(f"*{SUFFIX}"))
        self._names = [file.stem for file in files]
        self._adapters = og.Adapters(model)
        for file in files:
            try:
                self._adapters.load(str(file), file.stem)
            except RuntimeError as error:
                raise KpiError(f"{file.name} can't be loaded: {reason(error)}", "build the artifact again") from error
        self._active: str | None = None

    @property
    def device(self) -> str:
        """Where the model runs, as the library says it."""
        return str(self._model.device_type).lower()

    @property
    def adapters(self) -> Sequence[str]:
        return tuple(self._names)

    @property
    def active(self) -> str | None:
        return self._active

    def use(self, name: str | None) -> None:
        if name is not None and name not in self._names:
            raise KpiError(suggest(name, self._names, "adapter"), "set the runtime's `adapter`, or leave it out")
        self._active = name

    def generate(self, prompt: str, most_tokens: int, *, exactly: bool = False) -> Generation:
        start = time.perf_counter()
        asked = self._tokenizer.encode(self._written(prompt))
        generator = self._generator(len(asked), most_tokens, exactly=exactly)
        stream = self._tokenizer.create_stream()
        ids: list[int] = []
        pieces: list[str] = []
        at: list[float] = []
        ends = self._ends()
        generator.append_tokens(asked)
        while not generator.is_done() and len(ids) < most_tokens:
            generator.generate_next_token()
            ids.append(int(generator.get_next_tokens()[0]))
            at.append(time.perf_counter())
            pieces.append(stream.decode(ids[-1]))
        end = time.perf_counter()
        first = at[0] if at else end
        return Generation(
            text="".join(pieces),
            tokens=len(ids),
            prompt_tokens=len(asked),
            ended=bool(ids) and ids[-1] in ends,
            ttft_s=first - start,
            wall_s=end - start,
            generate_s=end - start,
            token_s=tuple(b - a for a, b in pairwise(at)),
            ids=tuple(ids),
        )

    def log_probabilities(self, prompt: str, answer: str) -> tuple[npt.NDArray[np.float32], Sequence[int]]:
        """From the generator's own logits: the answer is fed a token at a time, as if it had been chosen."""
        import numpy as np

        before = self._tokenizer.encode(self._written(prompt))
        said = [*(int(i) for i in self._tokenizer.encode(answer)), self._ends()[0]]
        generator = self._generator(len(before), len(said) + 1, exactly=False)
        generator.append_tokens(before)
        rows = []
        for token in said:
            rows.append(
                np.asarray(generator.get_logits(), dtype=np.float64).reshape(-1, self._config["vocab_size"])[-1]
            )
            generator.append_tokens(np.array([token], dtype=np.int32))
        logits = np.stack(rows)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        chances = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return chances.astype(np.float32), said

    def _generator(self, before: int, most_tokens: int, *, exactly: bool) -> Any:
        import onnxruntime_genai as og

        most = before + most_tokens
        if most > self._config["context_length"]:
            raise KpiError(
                f"{before} tokens of the prompt and {most_tokens} of the answer are more than the model's "
                f"{self._config['context_length']}",
                "ask for fewer `tokens`, or shorter prompts",
            )
        settings = og.GeneratorParams(self._model)
        # An end token is not chosen before min_length.
        settings.set_search_options(do_sample=False, batch_size=1, max_length=most, min_length=most if exactly else 0)
        generator = og.Generator(self._model, settings)
        if self._active is not None:
            generator.set_active_adapter(self._adapters, self._active)
        return generator

    def _written(self, prompt: str) -> str:
        chat = json.dumps([{"role": "user", "content": prompt}])
        return str(self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, **self._template))

    def _ends(self) -> list[int]:
        found = self._config["eos_token_id"]
        return list(found) if isinstance(found, list) else [int(found)]

    def proof(self) -> Proof:
        import onnxruntime_genai as og

        seen = precision_of(read_graph(self._artifact / GRAPH))
        integer = sum(count for kind, count in seen.products.items() if kind.startswith("int"))
        return Proof(
            runtime="onnxruntime-genai",
            version=og.__version__,
            device=self.device,
            precision=f"{seen.main} weights",
            threads=self._threads,
            heavy_ops=sum(seen.products.values()),
            integer_ops=integer,
            details={
                "products": dict(seen.products),
                "constants": dict(seen.bytes),
                "adapter_products": seen.adapters,
                "adapters": self._names[:_FEW],
                "adapter": self._active or "",
            },
        )


def _has(og: Any, provider: str) -> bool:
    return bool({"CPU": lambda: True, "CUDA": og.is_cuda_available, "DirectML": og.is_dml_available}[provider]())


def _template(artifact: Path, variables: Variables) -> str | None:
    """The artifact's template with the variables set at its beginning, which the library can't be told otherwise.

    None where no variable is set.
    """
    if not variables:
        return None
    template = read_template(artifact) or ""
    check_variables(template, variables)
    # JSON writes true and false as Jinja reads them.
    return "".join(f"{{%- set {name} = {json.dumps(value)} -%}}" for name, value in variables.items()) + template
