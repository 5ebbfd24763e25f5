"""Adapters that are trained, weights that are scaled for INT4: in any order, the functions that they should be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.travel_assistant import MODEL, TravelAssistant
from harness.build.passes.base import PassContext
from harness.core.errors import KpiError
from harness.tasks.language.passes.awq import Awq
from harness.tasks.language.passes.hf_llm import ADAPTER_CONFIG, ADAPTER_WEIGHTS, load_model, load_tokenizer, spoken
from harness.tasks.language.passes.int4 import rounded
from harness.tasks.language.passes.lora import Lora
from harness.workloads.base import Settings
from harness.workloads.torchvision_compat import before_transformers
from tests.support.project import ROOT

torch = pytest.importorskip("torch")
before_transformers()  # before transformers, which peft imports
peft = pytest.importorskip("peft", reason="the extra `adapters` is not installed")

FAMILIES = ("llama", "qwen2", "phi3")


def settings(cache: Path, model: Path | None = None) -> Settings:
    named = None if model is None else str(model)
    return Settings.from_json(
        {"name": "travel", "task": "text-generation", "checkpoint": None, "checkpoint_sha256": None, "model": named}
        | {"data": None, "allow_pickle": False, "trust_remote_code": False, "cache": str(cache)}
    )


def job(tmp_path: Path, name: str, source: Path | None = None, model: Path | None = None) -> PassContext:
    folders = [tmp_path / name / part for part in ("out", "scratch", "work")]
    for folder in folders:
        folder.mkdir(parents=True)
    return PassContext(source, *folders, TravelAssistant(settings(tmp_path / "cache", model)), lambda _: None)


def tiny(folder: Path, family: str = "llama") -> Path:
    """A network of random weights that is built like the large ones, norms and shared heads included."""
    from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config, Qwen2Config

    config = {"llama": LlamaConfig, "qwen2": Qwen2Config, "phi3": Phi3Config}[family](
        vocab_size=1024, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, eos_token_id=3, bos_token_id=None,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config)
    for name, weight in model.named_parameters():
        if "norm" in name or "bias" in name:
            weight.data = torch.rand_like(weight) ** 3 * 4 + 0.05
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(MODEL / file, folder / file)
    return folder


def logits(folder: Path, adapter: str | None) -> Any:
    """What the model says about held-out conversations, with or without an adapter, as (tokens, vocabulary)."""
    model = load_model(folder, torch.float32)
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, folder / "adapters" / adapter)
    return said(model.eval(), folder)


def said(model: Any, folder: Path, count: int = 8) -> Any:
    prompts = TravelAssistant(settings(folder)).prompts("tuning")[:count]
    with torch.inference_mode():
        found = [
            model(input_ids=torch.tensor([tokens])).logits[0, start - 1 : -1]
            for tokens, start in spoken(load_tokenizer(folder), prompts, 256)
        ]
    return torch.cat(found)


def far(one: Any, other: Any) -> float:
    return float((one - other).norm() / other.norm())


def ort_rounded(weight: Any, block: int = 32) -> Any:
    """The weight after ONNX Runtime's own quantizer: (out, in)."""
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits

    rows, columns = weight.shape
    blocks = -(-columns // block)
    packed = np.zeros((rows, blocks, block // 2), np.uint8)
    scales, zeros = np.zeros(rows * blocks, np.float32), np.zeros(rows * -(-blocks // 2), np.uint8)
    quantize_matmul_4bits(packed, np.ascontiguousarray(weight.T.numpy()), scales, zeros, block, rows, columns, True)  # noqa: FBT003
    steps = np.stack([packed & 15, packed >> 4], -1).reshape(rows, blocks, block).astype(np.float32) - 8
    return torch.from_numpy((steps * scales.reshape(rows, blocks, 1)).reshape(rows, -1)[:, :columns])


@pytest.mark.parametrize(("rows", "columns", "block"), [(64, 96, 32), (5, 80, 32), (7, 256, 128), (3, 20, 16)])
def test_rounding_is_onnx_runtimes_own(rows: int, columns: int, block: int) -> None:
    torch.manual_seed(rows)
    weight = torch.randn(rows, columns) ** 3
    weight[0, :4] = torch.tensor([5.0, -5.0, 0.0, 4.9])
    weight[1] = 0
    own = rounded(weight, block)
    assert torch.equal(own, ort_rounded(weight, block))
    assert torch.equal(rounded(own, block), own)
    assert 0 < far(own, weight) < 0.2


@pytest.mark.suite
@pytest.mark.parametrize("family", FAMILIES)
def test_scaling_leaves_the_function_as_it_was(tmp_path: Path, family: str) -> None:
    base = tiny(tmp_path / "base", family)
    trained = job(tmp_path, "lora", model=base)
    options = Lora.Options(name="booking", rank=4, steps=6, batch=4, samples=32, learning_rate=0.02)
    Lora(options).run(trained)
    off, on = logits(trained.out, None), logits(trained.out, "booking")
    assert far(on, off) > 0.05
    assert torch.equal(off, logits(base, None))
    scaled = job(tmp_path, "awq", source=trained.out, model=base)
    notes = Awq(Awq.Options(samples=8, tokens=128)).run(scaled)
    assert max(notes["powers"].values()) > 0
    assert len(notes["powers"]) == 9  # four in each layer, and the head
    assert far(logits(scaled.out, None), off) < 1e-5
    assert far(logits(scaled.out, "booking"), on) < 1e-5
    names = {path.name for path in trained.out.iterdir()} - {"model.safetensors"}
    assert names <= {path.name for path in scaled.out.iterdir()}
    before, after = load_model(trained.out, torch.float32), load_model(scaled.out, torch.float32)
    moved = [name for (name, a), b in zip(before.named_parameters(), after.parameters(), strict=True) if not a.equal(b)]
    assert len(moved) >= 9


@pytest.mark.suite
def test_frozen_weights_are_what_int4_gives_and_train(tmp_path: Path) -> None:
    base = tiny(tmp_path / "base")
    frozen = job(tmp_path, "awq", model=base)
    Awq(Awq.Options(samples=8, tokens=128, freeze=True)).run(frozen)
    model = load_model(frozen.out, torch.float32)
    linear = {name: part.weight.detach() for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    assert len(linear) == 15
    assert all(torch.equal(weight, ort_rounded(weight)) for weight in linear.values())
    assert 0.01 < far(logits(frozen.out, None), logits(base, None)) < 0.5
    trained = job(tmp_path, "lora", source=frozen.out, model=base)
    Lora(Lora.Options(name="booking", rank=4, steps=2, batch=4, samples=16, base="bfloat16")).run(trained)
    kept = load_model(trained.out, torch.float32).state_dict()
    assert all(torch.equal(kept[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.suite
def test_on_the_real_model_scaling_makes_int4_lose_less(tmp_path: Path) -> None:
    scaled = job(tmp_path, "awq")
    notes = Awq(Awq.Options()).run(scaled)
    exact = logits(MODEL, None).log_softmax(-1)
    lost = {}
    for name, folder in (("plain", MODEL), ("awq", scaled.out)):
        model = load_model(folder, torch.float32).eval()
        for part in model.modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.data = rounded(part.weight.data)
        off = said(model, folder, 60).log_softmax(-1)
        whole = said(load_model(MODEL, torch.float32).eval(), MODEL, 60).log_softmax(-1)
        lost[name] = float((whole.exp() * (whole - off)).sum(-1).mean())
    assert 0 < lost["awq"] < 0.9 * lost["plain"], (lost, notes)
    assert far(logits(scaled.out, None).log_softmax(-1), exact) < 1e-4


TRAINS = """
import sys
from pathlib import Path
from harness.workloads.torchvision_compat import before_transformers
before_transformers()
from harness.build.passes import training
from tests.tasks.language.test_adapters_and_scales import trained
training._SAVE_S = 0.01
trained(Path(sys.argv[1]), Path(sys.argv[2]), print)
"""


def trained(folder: Path, base: Path, progress: Callable[[str], None]) -> None:
    """Trains an adapter in folders that may be left from before."""
    folders = [folder / part for part in ("out", "scratch", "work")]
    for made in folders:
        made.mkdir(parents=True, exist_ok=True)
    options = Lora.Options(name="packing", task="packing", rank=4, steps=40, batch=4, samples=40, dropout=0.1)
    Lora(options).run(PassContext(None, *folders, TravelAssistant(settings(folder, base)), progress))


@pytest.mark.suite
def test_a_killed_training_goes_on_to_the_same_adapter(tmp_path: Path) -> None:
    base = tiny(tmp_path / "base")
    command = [sys.executable, "-c", TRAINS, str(tmp_path / "killed"), str(base)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not (tmp_path / "killed/work/state.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    said: list[str] = []
    trained(tmp_path / "killed", base, said.append)
    assert any(re.match(r"going on at step [1-9]\d* of 40", text) for text in said), said
    trained(tmp_path / "undisturbed", base, said.append)
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        one, other = (tmp_path / name / "out/adapters/packing" / file for name in ("undisturbed", "killed"))
        assert one.read_bytes() == other.read_bytes()
    written = json.loads((tmp_path / "killed/out/adapters/packing" / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    assert written["r"] == 4
    assert written["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip


def _cut(folder: Path) -> None:
    file = folder / "adapters/booking" / ADAPTER_WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])


def _of_another(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "adapters/booking" / ADAPTER_WEIGHTS
    save_file({name: torch.cat([w, w], dim=1 if "lora_A" in name else 0) for name, w in load_file(file).items()}, file)


def _of_another_kind(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "adapters/booking" / ADAPTER_WEIGHTS
    save_file({**load_file(file), "base_model.model.lora_magnitude_vector": torch.ones(3)}, file)


def _without_config(folder: Path) -> None:
    (folder / "adapters/booking" / ADAPTER_CONFIG).unlink()


def _unknown_family(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=1024, n_embd=32, n_layer=1, n_head=2)).save_pretrained(folder)


def _no_template(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    del config["chat_template"]
    file.write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    made = job(folder, "lora", model=tiny(folder / "base"))
    Lora(Lora.Options(name="booking", rank=2, steps=1, batch=2, samples=8)).run(made)
    return made.out


@pytest.mark.suite
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_cut, "adapter booking: adapter_model.safetensors can't be read"),
        (_of_another, "adapter booking was trained for another base"),
        (_of_another_kind, "adapter booking holds base_model.model.lora_magnitude_vector, which can't be scaled"),
        (_without_config, "adapter booking lacks adapter_config.json"),
        (_unknown_family, "does not know how a gpt2 is built"),
        (_no_template, "has no chat template"),
    ],
)
def test_what_cannot_be_scaled_is_said_in_a_line(
    tmp_path: Path, adapted: Path, harm: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(adapted, tmp_path / "artifact")
    harm(tmp_path / "artifact")
    with pytest.raises(KpiError, match=re.escape(message)) as caught:
        Awq(Awq.Options(samples=2)).run(job(tmp_path, "awq", source=tmp_path / "artifact"))
    assert "\n" not in str(caught.value)


@pytest.mark.suite
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "booking"}, 'there is an adapter "booking" already'),
        ({"targets": ("query",)}, "the layers are down_proj, gate_proj"),
        ({"length": 5}, "of 8 training prompts fits 5 tokens"),
        ({"task": "swimming"}, "has no split training:swimming"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    tmp_path: Path, adapted: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(KpiError, match=re.escape(message)) as caught:
        Lora(Lora.Options(**{"samples": 8, **options})).run(job(tmp_path, "lora", source=adapted))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pass_", "options"),
    [(Lora, {"rank": 0}), (Lora, {"name": "../up"}), (Lora, {"learning_rate": 2.0}), (Lora, {"dropout": 1.0}),
     (Awq, {"block": 48}), (Awq, {"samples": 0})],
)  # fmt: skip
def test_options_are_checked(pass_: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        pass_.Options(**options)
