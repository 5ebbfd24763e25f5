"""Builds a causal language model's ONNX graph with ONNX Runtime GenAI's model builder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError, reason
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table
from harness.tasks.language.passes.faithful import compare_causal
from harness.tasks.language.passes.hf_llm import ADAPTERS, adapter_folders, base_folder, language
from harness.tasks.language.passes.hf_llm import FORMAT as HF_LLM
from harness.tasks.language.passes.onnx_llm import (
    FORMAT,
    GRAPH,
    lora_nodes,
    open_for_adapters,
    precision_of,
    read_graph,
)
from harness.tasks.language.passes.peft_adapter import check_base, read_adapter
from harness.workloads.huggingface import require_floats

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OnnxGenAi(Pass):
    """``onnxruntime_genai.models.builder``: graph, ``genai_config.json`` and tokenizer in one folder.

    Where the model's folder holds adapters, the graph gets inputs for their matrices, empty unless an adapter is on:
    off, it computes exactly what a graph without such inputs does. The matrices stay in floating point at every
    precision; ranks may differ. The PEFT folders are carried along for the pass ``adapters``.
    """

    name = "onnx-genai"
    title = "ONNX Runtime GenAI's model builder"
    effort = 5.0
    input_formats = frozenset({REFERENCE, HF_LLM})
    output_format = FORMAT
    hub = "onnx"
    requires = ("onnxruntime-genai", "onnxruntime", "onnx", "transformers", "peft")
    environment = "olive"

    @options_table
    class Options:
        """Settings under the builder's names.

        ``precision`` of the weights; ``provider`` that the graph is for; of integers ``block_size`` (weights that
        share a scale), ``symmetric`` and ``accuracy_level`` (of the activations in a product: 1 FP32, 2 FP16, 4 INT8;
        none: the builder's choice for the provider); ``lora``: inputs for adapters, where there are any.
        """

        precision: Literal["fp32", "fp16", "int8", "int4"] = "fp32"
        provider: Literal["cpu", "cuda", "dml"] = "cpu"
        block_size: int = 32
        symmetric: bool = True
        accuracy_level: Literal[0, 1, 2, 3, 4] | None = None
        lora: bool = True

        def __post_init__(self) -> None:
            check_counts(block_size=self.block_size)
            if self.block_size & (self.block_size - 1) or self.block_size < 16:  # noqa: PLR2004 - what the operator takes
                raise ValueError("block_size must be a power of 2, 16 at least")

    @property
    def integer(self) -> bool:
        return str(self.options.precision) in ("int8", "int4")

    def run(self, job: PassContext) -> dict[str, Any]:
        workload = language(job, self.name)
        folder = base_folder(job, workload)
        if self.options.precision in {"int4", "int8"}:
            require_floats(folder, f'"{self.name}" with precision = "{self.options.precision}"')
        adapters = {f.name: (f, read_adapter(f)) for f in adapter_folders(folder)} if self.options.lora else {}
        for name, (_, weights) in adapters.items():
            check_base(name, weights, folder)
        # The graph takes its inputs from the widest adapter: the others must find a place there.
        widest = max(adapters.values(), key=lambda found: len(found[1]), default=None)
        made = job.scratch / "built"
        job.progress(f"building the graph in {self.options.precision}")
        self._build(job, folder, made, widest, remote=workload.settings.trust_remote_code)
        if widest is None:
            _move(made, job.out)
        else:
            job.progress("opening the graph for adapters")
            open_for_adapters(made / GRAPH, job.scratch / "opened")
            _move(job.scratch / "opened", job.out)
            _move(made, job.out)
            for source, _ in adapters.values():
                shutil.copytree(source, job.out / ADAPTERS / source.name)
        seen = precision_of(read_graph(job.out / GRAPH))
        self._check(seen.main)
        job.progress("comparing with the network")
        compared = compare_causal(self.name, workload, folder, last_logits(job.out), self.tolerance)
        return {
            "compared": compared,
            "products": dict(seen.products),
            "constants": dict(seen.bytes),
            "adapter_products": seen.adapters,
        }

    @property
    def tolerance(self) -> float | None:
        """Half precision rounds weights to 11 bits; integers change them on purpose."""
        return {"fp32": 1e-3, "fp16": 5e-2}.get(self.options.precision)

    def _build(self, job: PassContext, folder: Path, out: Path, widest: Any, *, remote: bool) -> None:
        # The builder asks a hub for what it does not find: what is here must be enough.
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        from onnxruntime_genai.models.builder import create_model, parse_extra_options

        chosen = self.options
        extra: dict[str, Any] = {"hf_remote": remote, "hf_token": False}
        if chosen.precision in {"int4", "int8"}:
            extra |= {"block_size": chosen.block_size, "is_symmetric": chosen.symmetric}
            if chosen.accuracy_level is not None:
                extra["accuracy_level"] = chosen.accuracy_level
        if widest is not None:
            extra["adapter_path"] = widest[0]
            if chosen.precision in {"int4", "int8"}:
                extra["nodes_to_exclude"] = ",".join(lora_nodes(widest[1]))
        where = (None, str(folder), str(out), chosen.precision, chosen.provider, str(job.scratch / "cache"))
        try:
            create_model(*where, **parse_extra_options(*where, [f"{key}={value}" for key, value in extra.items()]))
        except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
            raise KpiError(f"the model builder stopped: {reason(error)}", "see build.log") from error
        for name in (GRAPH, "genai_config.json", "tokenizer.json"):
            if not (out / name).is_file():
                raise KpiError(f"the model builder left no {name}", "see build.log")

    def _check(self, found: str) -> None:
        if found != self.options.precision:
            raise KpiError(
                f"asked for {self.options.precision}, most products of the graph are {found}", "see build.log"
            )


def last_logits(folder: Path) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Runs a folder of ONNX Runtime GenAI on the CPU: token ids (batch, tokens) to the last logits (batch, 1, n)."""
    import numpy as np
    import onnxruntime_genai as og

    config = og.Config(str(folder))
    config.clear_providers()
    model = og.Model(config)
    width = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]["vocab_size"]

    def run(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        settings = og.GeneratorParams(model)
        settings.set_search_options(do_sample=False, batch_size=len(ids), max_length=ids.shape[1] + 1)
        generator = og.Generator(model, settings)
        generator.append_tokens(ids.astype(np.int32))
        return np.asarray(generator.get_logits(), dtype=np.float32).reshape(len(ids), -1, width)[:, -1:]

    return run


def _move(source: Path, target: Path) -> None:
    """Moves the files of a folder that the target has not got."""
    target.mkdir(parents=True, exist_ok=True)
    have = {file.name for file in target.iterdir()}
    for file in sorted(source.iterdir()):
        if file.name not in have:
            shutil.move(file, target / file.name)
