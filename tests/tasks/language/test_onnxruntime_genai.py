"""ONNX Runtime GenAI on the whole way: built, quantized, run, its adapters switched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness.build.artifact import Artifact
from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable
from harness.spec.reader import read_spec
from harness.tasks.language.runtimes.language import AdapterSession
from harness.tasks.language.runtimes.onnxruntime_genai import OnnxRuntimeGenAi
from harness.workloads.chat_template import read_template
from tests.support.project import ROOT, Project, copied_project
from tests.tasks.language.test_adapters import chat_module

pytestmark = pytest.mark.suite


def quantize(block_size: int = 32, bits: object = 4, exclude: str = "/lm_head/MatMul") -> dict[str, object]:
    settings = {"bits": bits, "block_size": block_size, "nodes_to_exclude": [exclude]}
    return {"passes": {"smaller": {"type": "OnnxBlockWiseRtnQuantization", **settings}}}


@pytest.fixture(scope="session")
def olive_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own that shares the environment which was made in the store of whoever runs the tests."""
    environments = Environments(Store(), ROOT)
    if not environments.exists("olive"):
        pytest.skip("the environment olive is not installed: kpi env create olive")
    store = tmp_path_factory.mktemp("olive")
    (store / "env").mkdir()
    made = environments.path("olive")
    (store / "env" / made.name).symlink_to(made, target_is_directory=True)
    return store


@pytest.fixture
def adapters(tmp_path: Path, olive_store: Path) -> Project:
    return copied_project("adapters", tmp_path, olive_store)


def build(project: Project, recipe: str) -> Artifact:
    """The artifact of a recipe, from the store where it has been built before."""
    spec = read_spec(project.toml)
    store = Store(project.store)
    builder = Builder(spec, store, Environments(store, spec.root), project.folder / "log", lambda _: None)
    return builder.artifact(spec.recipe("chat", recipe))


def load(artifact: Path, **options: Any) -> AdapterSession:
    runtime = OnnxRuntimeGenAi(OnnxRuntimeGenAi.Options(**options))
    runtime.import_library()
    session = runtime.load(artifact, "cpu", None, profile=False)
    assert isinstance(session, AdapterSession)
    return session


def model_folder(project: Project) -> Path:
    return project.store / "data/chat"


@pytest.mark.long
def test_a_model_with_adapters_on_the_whole_way(adapters: Project) -> None:
    done = adapters.pytest(timeout=900)
    verdicts = adapters.verdicts()
    assert verdicts.pop("cuda:ttft") == "UNAVAILABLE", done.stdout
    # What random weights say never ends: nothing is scored.
    scored = {name for name in verdicts if name.endswith((":gain", ":task-drop-fp32-travel"))}
    assert len(scored) == 3, verdicts
    assert {verdicts.pop(name) for name in scored} == {"ERROR"}, done.stdout
    reasons = {t["id"]: t["reason"] for t in adapters.evidence()["targets"] if t["id"] in scored}
    assert all(re.search(r"of 8 answers of \S+ .*hit 16 tokens", reason) for reason in reasons.values()), reasons
    # Eight texts prove no ratio of likelihoods, which have no ends.
    (likelihood,) = (name for name in verdicts if ":nll" in name)
    assert verdicts.pop(likelihood) == "INCONCLUSIVE", done.stdout
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    evidence = adapters.evidence()
    compared = [step for m in evidence["measurements"] for step in m["compared"]]
    assert {step["pass"] for step in compared} == {"onnx-genai"}
    assert all(step["difference"] < 1e-3 for step in compared if step["tolerance"] is not None)
    proofs = {m["recipe"]: m["processes"][0]["proof"] for m in evidence["measurements"]}
    for precision in ("int8", "int4"):
        details = proofs[f"chat/{precision}-travel"]["details"]
        assert details["products"] == {precision: 15}  # 7 a layer and the head
        assert details["adapter_products"] == 16
        assert details["adapters"] == ["food", "travel"]
        assert details["adapter"] == "travel"
        assert proofs[f"chat/{precision}-travel"]["device"] == "cpu"
    assert set(proofs["chat/fp32"]["details"]["products"]) == {"fp32"}
    assert proofs["chat/fp32"]["details"]["adapter_products"] == 0
    assert proofs["chat/int8-travel"]["threads"] == 1
    answered = json.loads((adapters.folder / ".kpi/latest/results/chat-int4-travel-adapter.json").read_text("utf-8"))
    assert len(answered) == 8
    assert sum(line["on"] != line["off"] for line in answered) >= 6
    switched = next(m for m in evidence["measurements"] if m["scenario"] == "adapter-switch")["processes"][0]
    table = subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli.main", "recipes", "chat"],
        cwd=adapters.folder, env=adapters.variables, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    rows = {line.split("`")[1] for line in table.splitlines()[2:]}
    assert {"size", "ttft", "tpot", "adapter.switch", "parity.adapter"} <= rows
    assert len(switched["series"]["switch_s"]) == len(switched["series"]["stayed_s"]) >= 12
    assert min(switched["series"]["switch_s"]) > 0
    generated = next(m for m in evidence["measurements"] if m["scenario"] == "generate")["processes"][0]
    assert set(generated["series"]["tokens"]) == {4.0}


@pytest.mark.parametrize("recipe", ["fp32-travel", "int8-travel", "int4-travel"])
def test_answers_are_restored_by_switching_back(adapters: Project, recipe: str) -> None:
    session = load(build(adapters, recipe).path)
    assert session.adapters == ("food", "travel")
    assert session.active is None
    said: dict[str | None, tuple[int, ...]] = {}
    for name in (None, "travel", "food", None, "food", "travel", None):
        session.use(name)
        ids = session.generate("the cat sleeps", 16, exactly=True).ids
        assert len(ids) == 16
        assert said.setdefault(name, ids) == ids
    assert len(set(said.values())) == 3


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_off_is_the_base_model_token_by_token(adapters: Project, precision: str) -> None:
    """The graph with inputs for adapters, none switched on, against one that never had such inputs."""
    off, base = load(build(adapters, f"{precision}-travel").path), load(build(adapters, precision).path)
    assert base.adapters == ()
    for prompt in ("the cat sleeps on a table", "red apple", "eats with his cat and the apple"):
        own, other = off.generate(prompt, 24, exactly=True), base.generate(prompt, 24, exactly=True)
        assert own.ids == other.ids
        likely, _ = off.log_probabilities(prompt, "red apple")
        expected, _ = base.log_probabilities(prompt, "red apple")
        np.testing.assert_allclose(likely, expected, atol=1e-5)


@pytest.mark.parametrize("adapter", ["", "travel", "food"])
def test_what_it_says_is_what_torch_says(adapters: Project, adapter: str) -> None:
    """Against transformers, the adapter's product added to the weights by hand."""
    session = load(build(adapters, "fp32-travel").path, adapter=adapter)
    model, tokenizer = merged(model_folder(adapters), adapter)
    before = same_likelihoods(session, model, tokenizer)
    said = session.generate("the cat sleeps", 8, exactly=True)
    assert said.prompt_tokens == len(before)
    assert said.tokens == len(said.ids) == 8
    assert len(said.token_s) == 7
    assert 0 < said.ttft_s <= said.generate_s
    tokens = list(before)
    for token in said.ids:
        chances = log_softmax(model, tokens)[-1]
        chances[tokenizer.eos_token_id] = -np.inf  # asked for exactly so many
        assert chances[token] >= chances.max() - 1e-3
        tokens.append(token)
    # Up to where random weights write bytes that are no character.
    assert said.text.startswith(tokenizer.decode(said.ids, skip_special_tokens=True).partition("\ufffd")[0])


@pytest.mark.parametrize("adapter", ["", "travel"])
def test_projections_that_are_one_module_find_their_places(adapters: Project, adapter: str) -> None:
    """Phi-3's: Q, K and V are one linear layer, gate and up another; the builder takes both apart."""
    chat = chat_module()
    folder = adapters.folder / "models/own"
    chat.make_phi(folder)
    adapters.change('reference = "fp32"\n', 'reference = "fp32"\nmodel = "models/own"\n')
    session = load(build(adapters, "fp32-travel").path, adapter=adapter)
    same_likelihoods(session, *merged(folder, adapter))


def same_likelihoods(session: AdapterSession, model: Any, tokenizer: Any) -> list[int]:
    """Holds the likelihoods of an answer against torch's; the tokens of the prompt."""
    chat = [{"role": "user", "content": "the cat sleeps"}]
    written = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    before = list(tokenizer(written, add_special_tokens=False)["input_ids"])
    answer = tokenizer("red apple", add_special_tokens=False)["input_ids"]
    likely, ids = session.log_probabilities("the cat sleeps", "red apple")
    assert list(ids) == [*answer, tokenizer.eos_token_id]
    np.testing.assert_allclose(likely, log_softmax(model, [*before, *answer])[len(before) - 1 :], atol=2e-3)
    return before


def merged(folder: Path, adapter: str) -> tuple[Any, Any]:
    from harness.workloads.torchvision_compat import import_torchvision

    import_torchvision()
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if adapter:
        stored = load_file(folder / "adapters" / adapter / "adapter_model.safetensors")
        for key, first in stored.items():
            if ".lora_A." in key:
                module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                model.get_submodule(module).weight.data += 2 * stored[key.replace("lora_A", "lora_B")] @ first
    return model, AutoTokenizer.from_pretrained(folder)


def log_softmax(model: Any, tokens: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), dim=-1).float().numpy()


def test_what_can_not_be_run_is_one_line(adapters: Project, tmp_path: Path) -> None:
    artifact = build(adapters, "int4-travel").path
    with pytest.raises(KpiError, match='unknown adapter "travle"; did you mean "travel"'):
        load(artifact, adapter="travle")
    with pytest.raises(Unavailable, match="has no CUDA") as caught:
        load(artifact, provider="CUDA")
    assert "onnxruntime-genai-cuda" in caught.value.remedy
    with pytest.raises(Unavailable, match="has no DirectML"):
        load(artifact, provider="DirectML")
    with pytest.raises(KpiError, match="more than the model's 512") as long:
        load(artifact).generate("the cat", 600)
    assert "tokens" in long.value.remedy
    for name in ("travel.onnx_adapter", "model.onnx", "genai_config.json", "tokenizer.json"):
        broken = tmp_path / f"broken-{name}"
        shutil.copytree(artifact, broken)
        whole = (broken / name).read_bytes()
        (broken / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(KpiError) as cut:
            load(broken)
        assert "\n" not in str(cut.value)


def spoil(project: Project, recipe: str) -> KpiError:
    with pytest.raises(KpiError) as caught:
        build(project, recipe)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return caught.value


def own_model(project: Project, chat: ModuleType) -> Path:
    """A model next to the TOML, to be spoilt."""
    folder = project.folder / "models/own"
    chat.make_model(folder)
    project.change('reference = "fp32"\n', 'reference = "fp32"\nmodel = "models/own"\n')
    return folder


def test_an_adapter_for_another_base_is_one_line(adapters: Project) -> None:
    chat = chat_module()
    folder = own_model(adapters, chat)
    chat.make_adapter(folder / "adapters/wide", "q", 4, hidden=128)
    assert "adapter wide is for another base: model.layers.0.self_attn.q_proj is 128 x 128" in str(
        spoil(adapters, "fp32-travel")
    )
    shutil.rmtree(folder / "adapters/wide")
    chat.make_adapter(folder / "adapters/deep", "q", 4, layers=3)
    said = str(spoil(adapters, "fp32-travel"))
    assert "adapter deep is for another base: this one has no model.layers.2.self_attn.q_proj" in said


def test_an_adapter_that_is_cut_short_is_one_line(adapters: Project) -> None:
    chat = chat_module()
    folder = own_model(adapters, chat)
    chat.make_adapter(folder / "adapters/short", "q", 4)
    file = folder / "adapters/short/adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    assert "adapter short: adapter_model.safetensors can't be read" in str(spoil(adapters, "fp32-travel"))


def test_the_variables_of_the_template_are_set(adapters: Project) -> None:
    artifact = adapters.folder / "thinking"
    shutil.copytree(build(adapters, "fp32").path, artifact)
    own = read_template(artifact)
    assert own is not None
    thinking = "{% if enable_thinking is defined and enable_thinking %}the cat eats {% endif %}"
    (artifact / "chat_template.jinja").write_text(thinking + own, encoding="utf-8")
    quiet, loud = (load(artifact, chat_template_kwargs={"enable_thinking": on}) for on in (False, True))
    counts = [session.generate("the cat", 2, exactly=True).prompt_tokens for session in (quiet, loud)]
    assert counts[0] == load(build(adapters, "fp32").path).generate("the cat", 2, exactly=True).prompt_tokens
    assert counts[1] > counts[0]
    assert quiet.log_probabilities("the cat", "eats")[0].shape == loud.log_probabilities("the cat", "eats")[0].shape
    with pytest.raises(KpiError, match="the chat template has no variable enable_thinkng"):
        load(artifact, chat_template_kwargs={"enable_thinkng": False})


def test_adapters_that_are_not_there_are_asked_for(adapters: Project) -> None:
    own_model(adapters, chat_module())
    assert "the model has no adapters" in str(spoil(adapters, "fp32-travel"))


def olive_recipe(project: Project, workflow: object) -> None:
    text = workflow if isinstance(workflow, str) else json.dumps(workflow)
    (project.folder / "workflow.json").write_text(text, encoding="utf-8")
    project.toml.write_text(
        project.toml.read_text(encoding="utf-8")
        + '\n[workload.chat.recipe.olive]\nruntime = "onnxruntime-genai"\n'
        + 'passes = [{ pass = "onnx-genai", lora = false }, { pass = "olive", workflow = "workflow.json" }]\n',
        encoding="utf-8",
    )


@pytest.mark.long
def test_an_olive_workflow_makes_a_graph_smaller(adapters: Project) -> None:
    olive_recipe(adapters, quantize())
    made, before = build(adapters, "olive"), build(adapters, "fp32")
    assert made.size < before.size
    assert made.files.keys() <= before.files.keys()  # none of Olive's own notes
    session = load(made.path)
    assert session.proof().details["products"] == {"fp32": 1, "int4": 10}  # Q, K, V are one product
    assert len(session.generate("the cat", 16, exactly=True).ids) == 16
    # What stands in the workflow belongs to the artifact's identity; what the file is called does not.
    olive_file = adapters.folder / "workflow.json"
    adapters.change("workflow.json", "other.json")
    olive_file.rename(adapters.folder / "other.json")
    assert build(adapters, "olive").key == made.key
    (adapters.folder / "other.json").write_text(json.dumps(quantize(64)), encoding="utf-8")
    other = build(adapters, "olive")
    assert other.key != made.key
    assert load(other.path).proof().details["products"] == {"fp32": 1, "int4": 10}


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        ({"passes": {"a": {"type": "ModelBuildr"}}}, 'unknown Olive pass "ModelBuildr"; did you mean "ModelBuilder"'),
        ("{", "workflow.json is not JSON"),
        ({"engine": {}}, 'workflow.json has no "passes"'),
        ({"passes": {"a": {}}}, 'pass "a" has no "type"'),
        (quantize(bits="few"), "workflow.json: Olive stopped: "),
        # It ends as if all were well, the last product renamed.
        (quantize(exclude=""), "workflow.json: Olive left a graph without the output logits"),
    ],
)
def test_a_workflow_that_can_not_be_used_is_one_line(adapters: Project, workflow: object, said: str) -> None:
    olive_recipe(adapters, workflow)
    error = spoil(adapters, "olive")
    assert said in str(error)


def test_a_workflow_that_is_not_there_is_one_line(adapters: Project) -> None:
    olive_recipe(adapters, quantize())
    (adapters.folder / "workflow.json").unlink()
    assert 'pass "olive": workflow workflow.json can\'t be read: No such file' in str(spoil(adapters, "olive"))
