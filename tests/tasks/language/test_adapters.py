"""Adapters: read from PEFT's folders, written for ONNX Runtime, judged by what they add."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.bounds import parse_bound
from harness.core.errors import KpiError, Unavailable
from harness.core.processes import call_worker
from harness.core.score_bounds import Scores
from harness.core.units import COUNT, POINTS
from harness.judge.verdict import Verdict, judge_samples
from harness.spec.reader import read_spec
from harness.tasks.language.metrics.adapters import AdapterGain, ParityAdapter
from harness.tasks.language.passes.adapters import write_adapter
from harness.tasks.language.passes.hf_llm import adapter_folders
from harness.tasks.language.passes.onnx_llm import lora_nodes, placed
from harness.tasks.language.passes.peft_adapter import read_adapter
from harness.tasks.language.scenarios.adapter_answers import AdapterAnswers
from tests.support.project import copied_project

CHAT = Path(__file__).parents[2] / "projects/adapters/fixtures/chat/__init__.py"
Shapes = dict[str, tuple[int | str, int | str]]


def chat_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("adapters_chat", CHAT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def travel(tmp_path: Path) -> Path:
    folder = tmp_path / "model/adapters/travel"
    chat_module().make_adapter(folder, "qkvo", 4)
    return folder


def places(*projections: str, hidden: int = 64) -> Shapes:
    found: Shapes = {}
    for layer in range(2):
        for name in projections:
            wide = hidden if name in {"q_proj", "o_proj"} else hidden // 2
            found[f"model.layers.{layer}.attn.{name}.lora_A.MatMul.weight"] = (hidden, "rank")
            found[f"model.layers.{layer}.attn.{name}.lora_B.MatMul.weight"] = ("rank", wide)
    return found


def change_config(folder: Path, **settings: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **settings}), encoding="utf-8")


@pytest.mark.parametrize(("stable", "factor"), [(False, 2.0), (True, 4.0)])
def test_what_an_adapter_adds_is_scaled_as_peft_does(travel: Path, factor: float, *, stable: bool) -> None:
    change_config(travel, use_rslora=stable)
    raw = load_file(travel / "adapter_model.safetensors")
    found = read_adapter(travel)
    assert len(found) == 8
    key = "base_model.model.model.layers.1.self_attn.k_proj.lora_{}.weight"
    low = found["model.layers.1.self_attn.k_proj"]
    inputs = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    expected = factor * (inputs @ raw[key.format("A")].T) @ raw[key.format("B")].T
    np.testing.assert_allclose(inputs @ low.a @ low.b, expected, rtol=1e-5, atol=1e-5)


def test_an_adapter_file_that_was_cut_short_is_one_line(travel: Path) -> None:
    file = travel / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(KpiError, match=r"adapter travel: adapter_model\.safetensors can't be read") as caught:
        read_adapter(travel)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "uses use_dora"),
        ({"bias": "all", "modules_to_save": ["lm_head"]}, "uses modules_to_save and bias"),
        ({"peft_type": "IA3"}, "is IA3, not LORA"),
        ({"lora_alpha": "much"}, "adapter_config.json can't be read"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(travel: Path, settings: dict[str, object], said: str) -> None:
    change_config(travel, **settings)
    with pytest.raises(KpiError, match=said) as caught:
        read_adapter(travel)
    assert caught.value.remedy


def test_weights_that_are_no_pair_are_refused(travel: Path) -> None:
    file = travel / "adapter_model.safetensors"
    weights = load_file(file)
    del weights["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    save_file(weights, file)
    with pytest.raises(KpiError, match=r"the two matrices of model\.layers\.0\.self_attn\.q_proj do not fit"):
        read_adapter(travel)
    save_file({"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)}, file)
    with pytest.raises(KpiError, match=r"lm_head\.weight is not a weight of LoRA"):
        read_adapter(travel)


def test_a_folder_without_an_adapter_is_named(travel: Path) -> None:
    model = travel.parent.parent
    assert adapter_folders(model) == [travel]
    assert adapter_folders(model / "nowhere") == []
    (travel / "adapter_config.json").unlink()
    with pytest.raises(KpiError, match=r"adapter travel lacks adapter_config\.json"):
        adapter_folders(model)


def test_an_adapter_finds_its_place_by_name_and_shape(travel: Path) -> None:
    weights = read_adapter(travel)
    found = placed(weights, places("q_proj", "k_proj", "v_proj", "o_proj"))
    assert len(found) == 16
    assert found["model.layers.0.attn.v_proj.lora_B.MatMul.weight"].shape == (4, 32)
    assert "/model/layers.0/attn/v_proj/lora_B/MatMul" in lora_nodes(weights)
    for other in (places("q_proj", "k_proj"), places("q_proj", "k_proj", "v_proj", "o_proj", hidden=128)):
        with pytest.raises(KpiError, match="the adapter is for another base") as caught:
            placed(weights, other)
        assert "\n" not in str(caught.value)


def test_a_module_that_the_builder_takes_apart_is_taken_apart(travel: Path) -> None:
    low = read_adapter(travel)["model.layers.0.self_attn.q_proj"]
    wide = type(low)(low.a, np.concatenate([low.b, 2 * low.b], axis=1))
    found = placed({"model.layers.0.self_attn.qkv_proj": wide}, places("q_proj", "k_proj", "v_proj"))
    assert len(found) == 6
    columns = [found[f"model.layers.0.attn.{p}_proj.lora_B.MatMul.weight"] for p in "qkv"]
    np.testing.assert_array_equal(np.concatenate(columns, axis=1), wide.b)
    for part in "qkv":
        np.testing.assert_array_equal(found[f"model.layers.0.attn.{part}_proj.lora_A.MatMul.weight"], low.a)
    narrow = type(low)(low.a, low.b)
    with pytest.raises(KpiError, match="maps 64 to 64 there, 64 to 128 here"):
        placed({"model.layers.0.self_attn.qkv_proj": narrow}, places("q_proj", "k_proj", "v_proj"))


def test_what_is_written_is_what_onnx_runtime_reads(travel: Path, tmp_path: Path) -> None:
    import onnxruntime

    weights = placed(read_adapter(travel), places("q_proj", "k_proj", "v_proj", "o_proj"))
    write_adapter(tmp_path / "travel.onnx_adapter", weights)
    read = onnxruntime.AdapterFormat.read_adapter(str(tmp_path / "travel.onnx_adapter")).get_parameters()
    assert set(read) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name].numpy(), array)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_one_line_with_a_remedy(travel: Path, tmp_path: Path) -> None:
    (tmp_path / "travel.onnx_adapter").symlink_to("/dev/full")
    weights = placed(read_adapter(travel), places("q_proj", "k_proj", "v_proj", "o_proj"))
    with pytest.raises(KpiError, match=r"travel\.onnx_adapter can't be written: the disk may be full") as caught:
        write_adapter(tmp_path / "travel.onnx_adapter", weights)
    assert "free space" in caught.value.remedy


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_disk_that_is_full_for_a_worker_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    project = copied_project("adapters", tmp_path, tmp_path / "store")
    spec = read_spec(project.toml)
    store = Store(project.store)
    builder = Builder(spec, store, Environments(store, spec.root), tmp_path / "log", lambda _: None)
    out = tmp_path / "out"
    out.mkdir()
    (out / "prompts.jsonl").symlink_to("/dev/full")
    request = {"op": "samples", "out": str(out), "key": "0" * 64, **builder.origin(spec.workloads["chat"])}
    with pytest.raises(KpiError, match="the disk is full") as caught:
        call_worker("harness.build.worker", request, log=tmp_path / "log", timeout=60)
    assert "free space" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.suite
def test_a_pass_whose_environment_is_missing_names_the_one_command(tmp_path: Path) -> None:
    project = copied_project("adapters", tmp_path, tmp_path / "store")
    spec = read_spec(project.toml)
    store = Store(project.store)
    builder = Builder(spec, store, Environments(store, spec.root), tmp_path / "log", lambda _: None)
    with pytest.raises(Unavailable, match='the environment "olive" is not installed') as caught:
        builder.artifact(spec.recipe("chat", "int4-travel"))
    assert caught.value.remedy == "kpi env create olive"


def answers(**changes: object) -> AdapterAnswers:
    plain = {
        "adapter": "travel",
        "references": ["a", "b"],
        "off": ["x", "y"],
        "on": ["a", "b"],
        "off_ids": [[1, 2], [3]],
        "faults": [[], []],
        "prompts": ["p", "q"],
        "off_ended": [True, True],
        "on_ended": [True, True],
        "tokens": 8,
    }
    return AdapterAnswers(**{**plain, **changes})  # type: ignore[arg-type]


def test_off_must_be_the_base_model_token_by_token() -> None:
    base = answers(adapter="", on=[])
    assert ParityAdapter.scores(answers(), base) == [0.0, 0.0]
    assert ParityAdapter.remarks(answers(), base) == []
    other = answers(off_ids=[[1, 5], [3, 4]], faults=[[], ["switching does not restore the answer of travel"]])
    assert ParityAdapter.scores(other, base) == [1.0, 2.0]
    assert ParityAdapter.remarks(other, base)[:2] == [
        "prompt 1: off, token 2 is not the base model's",
        "prompt 2: off, token 2 is not the base model's",
    ]
    judged = judge_samples(parse_bound("<= 0", COUNT), Scores(ParityAdapter.scores(other, base)), 0.97)
    assert judged.verdict is Verdict.FAIL
    assert judge_samples(parse_bound("<= 0", COUNT), Scores([0.0] * 6), 0.97).verdict is Verdict.PASS


def test_a_gain_over_answers_that_were_cut_off_is_refused() -> None:
    AdapterGain.check(answers(), "fp32")
    # A base model may say nothing, or always the same.
    AdapterGain.check(answers(off=["", ""]), "fp32")
    AdapterGain.check(answers(off=["x", "x"]), "fp32")
    for changes, said in (
        ({"off_ended": [True, False]}, "1 of 2 answers of fp32 without its adapter hit 8 tokens"),
        ({"on_ended": [False, True]}, "1 of 2 answers of fp32 with its adapter hit 8 tokens"),
        ({"on": ["a", " "]}, "1 of 2 answers of fp32 with its adapter are empty"),
        ({"on": ["a", "a"]}, "1 of 2 answers of fp32 with its adapter repeat the answer to another prompt"),
    ):
        with pytest.raises(KpiError, match=said):
            AdapterGain.check(answers(**changes), "fp32")


def test_what_proves_nothing_is_no_parity() -> None:
    with pytest.raises(KpiError, match="has no adapter"):
        ParityAdapter.scores(answers(adapter="", on=[]), answers())
    with pytest.raises(KpiError, match="has no adapter"):
        AdapterGain.check(answers(adapter="", on=[]), "fp32")
    with pytest.raises(KpiError, match="different prompts"):
        ParityAdapter.scores(answers(), answers(off_ids=[[1, 2]]))
    with pytest.raises(KpiError, match="does not say which tokens"):
        ParityAdapter.scores(answers(), answers(off_ids=[[], []]))


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.3] * 200 + [0.1] * 200, Verdict.PASS),
        ([1.0] * 5 + [0.0] * 15, Verdict.INCONCLUSIVE),  # 25 pp on these prompts, on others perhaps less
        ([0.125] * 20, Verdict.INCONCLUSIVE),  # 20 samples that are alike don't say that all are
        ([0.05] * 400, Verdict.FAIL),
    ],
)
def test_a_gain_is_decided_by_its_interval(gains: list[float], verdict: Verdict) -> None:
    found = judge_samples(parse_bound(">= 15 pp", POINTS), Scores(gains, ends=(-1.0, 1.0)), 0.97, paired=True)
    assert found.verdict is verdict
    assert found.of == "paired samples"
    assert found.low <= found.value <= found.high
