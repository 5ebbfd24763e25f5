"""How a prompt is written: the model's own template, its variables, another one or none; models that have none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from fixtures.translation import Translation
from harness.build.passes.base import PassContext
from harness.core.errors import KpiError, SpecError, Unavailable
from harness.measure.loadgen.dialects import Wish
from harness.spec.reader import read_spec
from harness.tasks.language.passes.huggingface import HuggingFace
from harness.tasks.language.passes.onnx_genai import OnnxGenAi
from harness.tasks.language.passes.openvino_weights import OpenVinoWeights
from harness.tasks.language.passes.optimum_openvino import OptimumOpenVino
from harness.tasks.language.runtimes.endpoint import EndpointSession, HttpEndpoint
from harness.tasks.language.runtimes.language import LanguageSession
from harness.tasks.language.runtimes.onnxruntime_genai import _template
from harness.tasks.language.runtimes.openvino_genai import OpenVinoGenAi
from harness.tasks.language.runtimes.optimum_intel import OptimumIntel
from harness.workloads.base import Settings
from harness.workloads.chat_template import check_variables, folder_with_template, read_template
from harness.workloads.huggingface import quantized_as, require_causal, require_exportable
from tests.tasks.language.test_language import chat_module

PROMPT = "le chat dort"
THINKING = "{% if enable_thinking is defined and not enable_thinking %}le chat {% endif %}"


def job(folder: Path, model: Path, chat_template: str | None = None, source: Path | None = None) -> PassContext:
    folders = [folder / part for part in ("out", "scratch", "work")]
    for made in folders:
        made.mkdir(parents=True)
    settings = Settings(
        name="translation", task="translation", checkpoint=None, checkpoint_sha256=None, model=str(model), data=None,
        allow_pickle=False, trust_remote_code=False, cache=folder / "cache", chat_template=chat_template,
    )  # fmt: skip
    return PassContext(source, *folders, Translation(settings), lambda _: None)


def write(folder: Path, name: str, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")


# Where templates are found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"tokenizer_config.json": {"eos_token": "x"}}, None),
        ({"tokenizer_config.json": {"chat_template": "A"}}, "A"),
        ({"tokenizer_config.json": {"chat_template": "A"}, "chat_template.jinja": "B"}, "B"),
        ({"chat_template.json": {"chat_template": "C"}}, "C"),
        ({"tokenizer_config.json": {"chat_template": [{"name": "rag", "template": "R"}]}}, "R"),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [{"name": "tools", "template": "T"}, {"name": "default", "template": "D"}]
                }
            },
            "D",
        ),
    ],
)
def test_a_template_is_found_wherever_it_may_be(tmp_path: Path, files: dict[str, Any], found: str | None) -> None:
    for name, content in files.items():
        write(tmp_path, name, content)
    assert read_template(tmp_path) == found


def test_which_of_several_counts_must_be_said(tmp_path: Path) -> None:
    named = [{"name": name, "template": name} for name in ("rag", "tools")]
    write(tmp_path, "tokenizer_config.json", {"chat_template": named})
    with pytest.raises(KpiError, match=r"are rag, tools, none is default") as caught:
        read_template(tmp_path)
    assert "chat_template" in caught.value.remedy
    write(tmp_path, "tokenizer_config.json", "{")
    with pytest.raises(KpiError, match=r"tokenizer_config\.json in .* can't be read"):
        read_template(tmp_path)


def test_a_folder_gets_the_template_that_counts_and_keeps_its_files(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write(model, "config.json", {})
    write(model, "tokenizer_config.json", {"eos_token": "<end>"})
    write(model / "adapters/one", "adapter_config.json", {})
    with pytest.raises(KpiError, match="the tokenizer in model has no chat template") as caught:
        folder_with_template(model, None, tmp_path / "scratch")
    assert 'chat_template = "none"' in caught.value.remedy
    assert folder_with_template(model, None, tmp_path / "scratch", needed=False) == model
    write(model, "chat_template.json", {"chat_template": "C"})
    made = folder_with_template(model, None, tmp_path / "scratch")
    assert made != model
    assert json.loads((made / "tokenizer_config.json").read_text("utf-8")) == {
        "eos_token": "<end>",
        "chat_template": "C",
    }
    assert {path.relative_to(made).as_posix() for path in made.rglob("*.json")} == {
        "config.json", "tokenizer_config.json", "adapters/one/adapter_config.json",
    }  # fmt: skip
    write(tmp_path, "own.jinja", "{{ messages }}")
    own = folder_with_template(model, str(tmp_path / "own.jinja"), tmp_path / "own")
    assert read_template(own) == "{{ messages }}"
    write(model, "tokenizer_config.json", {"chat_template": "A"})
    assert folder_with_template(model, None, tmp_path / "again") == model
    with pytest.raises(KpiError, match=r"the chat template nowhere\.jinja can't be read: No such file"):
        folder_with_template(model, str(tmp_path / "nowhere.jinja"), tmp_path / "again")


def test_a_template_in_the_toml_is_for_language_models_and_a_path_from_there(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "projects/chat/kpis.toml").read_text(encoding="utf-8")
    write(tmp_path / "fixtures/chat", "__init__.py", "")
    table = 'fixture = "fixtures.chat"\n'
    for named, found in (("none", "none"), ("own.jinja", str(tmp_path / "own.jinja"))):
        write(tmp_path, "kpis.toml", text.replace(table, f'{table}chat_template = "{named}"\n'))
        assert read_spec(tmp_path / "kpis.toml").workloads["chat"].chat_template == found
    tensors = text.replace('"translation"', '"image-classification"')
    write(tmp_path, "kpis.toml", tensors.replace(table, f'{table}chat_template = "none"\n'))
    with pytest.raises(SpecError, match=r"chat_template.*only language models have one, the task is image-class"):
        read_spec(tmp_path / "kpis.toml")


# Models that can't be used, or not as they came


@pytest.mark.parametrize("kind", ["marian", "m2m_100", "t5", "bart"])
def test_encoder_decoders_are_named_before_anything_else(tmp_path: Path, kind: str) -> None:
    model = tmp_path / "model"
    write(model, "config.json", {"model_type": kind, "is_encoder_decoder": True})
    write(model, "pytorch_model.bin", "a pickle is told only where the model could be used")
    with pytest.raises(KpiError, match=f"of the type {kind}, an encoder-decoder, which is not supported"):
        job(tmp_path, model).workload.fingerprint()
    write(model, "config.json", {"model_type": "llama"})
    require_causal(model)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq, 4 bits"),
        ({"quant_method": "awq", "w_bit": 4}, "awq, 4 bits"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes, 4 bits"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"bits": 3}, "unknown method, 3 bits"),
        ({}, ""),
        (None, ""),
    ],
)
def test_how_a_checkpoint_is_quantized_is_read(tmp_path: Path, settings: object, said: str) -> None:
    write(tmp_path, "config.json", {"model_type": "llama", "quantization_config": settings})
    assert quantized_as(tmp_path) == said


def quantized(folder: Path, method: str) -> Path:
    """The shipped model, as if it had come quantized."""
    model = folder / "model"
    model.mkdir()
    for file in (Path(__file__).parents[2] / "fixtures/translation/model").iterdir():
        (model / file.name).symlink_to(file)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").unlink()
    write(model, "config.json", {**config, "quantization_config": {"quant_method": method, "bits": 4}})
    return model


def test_what_is_quantized_already_is_said_before_the_export(tmp_path: Path) -> None:
    model = quantized(tmp_path, "gptq")
    for number, made in enumerate((OptimumOpenVino(OptimumOpenVino.Options()), OnnxGenAi(OnnxGenAi.Options()))):
        with pytest.raises(Unavailable, match=r"already \(gptq, 4 bits\): the export needs gptqmodel") as caught:
            made.run(job(tmp_path / str(number), model))
        assert caught.value.remedy.startswith("pip install gptqmodel")
    (tmp_path / "fp8").mkdir()
    with pytest.raises(KpiError, match=r"already \(fp8, 4 bits\), which the export can't read"):
        require_exportable(quantized(tmp_path / "fp8", "fp8"))
    (tmp_path / "mxfp4").mkdir()
    require_exportable(quantized(tmp_path / "mxfp4", "mxfp4"))
    # A server may know what to do with it.
    served = job(tmp_path / "served", model)
    HuggingFace(HuggingFace.Options()).run(served)
    assert (served.out / "model.safetensors").is_file()


def test_what_is_quantized_already_is_not_quantized_again(tmp_path: Path) -> None:
    model = quantized(tmp_path, "awq")
    twice = r"quantized already \(awq, 4 bits\): {} would quantize it twice"
    with pytest.raises(KpiError, match=twice.format('"openvino-weights"')):
        OpenVinoWeights(OpenVinoWeights.Options()).run(job(tmp_path / "a", model, source=model))
    with pytest.raises(KpiError, match=twice.format('"onnx-genai" with precision = "int4"')):
        OnnxGenAi(OnnxGenAi.Options(precision="int4")).run(job(tmp_path / "b", model, source=model))


# Variables


def test_a_variable_that_the_template_does_not_know_is_refused() -> None:
    check_variables(THINKING, {"enable_thinking": False})
    with pytest.raises(KpiError, match="the chat template has no variable enable_thinkng"):
        check_variables(THINKING, {"enable_thinkng": False})
    with pytest.raises(ValueError, match="'enable thinking' is not the name of a variable"):
        OptimumIntel.Options(chat_template_kwargs={"enable thinking": False})
    with pytest.raises(ValueError, match="tools is set by the runtime"):
        OpenVinoGenAi.Options(chat_template_kwargs={"tools": "x"})
    with pytest.raises(ValueError, match='need protocol = "openai-chat"'):
        HttpEndpoint.Options(url="http://localhost:1", protocol="openai", chat_template_kwargs={"a": 1})


def test_a_library_that_takes_no_variables_is_given_a_template_that_sets_them(tmp_path: Path) -> None:
    import jinja2

    write(tmp_path, "chat_template.jinja", THINKING + "{{ n }}{{ text }}")
    assert _template(tmp_path, {}) is None
    template = _template(tmp_path, {"enable_thinking": False, "n": 3, "text": 'a "quoted" text'})
    assert template is not None
    assert jinja2.Template(template).render() == 'le chat 3a "quoted" text'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model whose tokenizer begins each text with a token of its own, and a template with a variable."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path_factory.mktemp("base") / "model"
    chat_module().make_model(folder, hidden=64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def export(folder: Path, model: Path, chat_template: str | None) -> Path:
    made = job(folder, model, chat_template)
    OptimumOpenVino(OptimumOpenVino.Options(weights="fp32")).run(made)
    return made.out


def sessions(artifact: Path, **options: Any) -> list[LanguageSession]:
    runtimes = (OpenVinoGenAi(OpenVinoGenAi.Options(**options)), OptimumIntel(OptimumIntel.Options(**options)))
    found = []
    for runtime in runtimes:
        runtime.import_library()
        session = runtime.load(artifact, "cpu", None, profile=False)
        assert isinstance(session, LanguageSession)
        found.append(session)
    return found


def tokenized(model: Path, text: str, *, special: bool) -> list[int]:
    from transformers import AutoTokenizer

    ids: list[int] = AutoTokenizer.from_pretrained(model)(text, add_special_tokens=special)["input_ids"]
    return ids


def served_prompt_tokens(artifact: Path, **variables: Any) -> int:
    """How many tokens our own server reads a prompt as."""
    command = (
        "{python}",
        "-m",
        "harness.tasks.language.servers.openai_compatible",
        "--artifact",
        "{artifact}",
        "--port",
        "{port}",
    )
    session = HttpEndpoint(HttpEndpoint.Options(command=command, chat_template_kwargs=variables)).load(
        artifact, "cpu", 1, profile=False
    )
    assert isinstance(session, EndpointSession)
    wish = Wish(4, stream=False)
    try:
        request = Request(session.endpoint.target(wish), session.endpoint.body(PROMPT, wish))
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=60) as answer:
            return int(json.loads(answer.read())["usage"]["prompt_tokens"])
    finally:
        session.close()


@pytest.mark.suite
def test_a_base_model_reads_the_prompt_as_it_is(tmp_path: Path, model: Path) -> None:
    config = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in model.iterdir():
        if not file.name.startswith("chat_template"):
            (bare / file.name).write_bytes(file.read_bytes())
    write(bare, "tokenizer_config.json", {key: value for key, value in config.items() if key != "chat_template"})
    with pytest.raises(KpiError, match="the tokenizer in bare has no chat template"):
        export(tmp_path / "refused", bare, None)
    artifact = export(tmp_path / "plain", bare, "none")
    whole = tokenized(model, PROMPT, special=True)
    assert whole[0] == 1
    likely = []
    for session in sessions(artifact):
        assert session.generate(PROMPT, 4, exactly=True).prompt_tokens == len(whole)
        likely.append(session.log_probabilities(PROMPT, "the cat")[0])
    assert abs(likely[0] - likely[1]).max() < 1e-3


@pytest.mark.suite
def test_every_runtime_sets_the_variables(tmp_path: Path, model: Path) -> None:
    own = read_template(model)
    assert own is not None
    write(tmp_path, "own.jinja", own.replace("{% for", THINKING + "{% for", 1))
    artifact = export(tmp_path / "thinking", model, str(tmp_path / "own.jinja"))
    likely = []
    for session, quiet in zip(
        sessions(artifact), sessions(artifact, chat_template_kwargs={"enable_thinking": False}), strict=True
    ):
        more = len(tokenized(model, "le chat ", special=False))
        before = session.generate(PROMPT, 4, exactly=True).prompt_tokens
        assert quiet.generate(PROMPT, 4, exactly=True).prompt_tokens == before + more
        one, other = (each.log_probabilities(PROMPT, "the cat")[0] for each in (session, quiet))
        assert abs(one - other).max() > 1e-3
        likely.append(other)
    assert abs(likely[0] - likely[1]).max() < 1e-3
    counts = [served_prompt_tokens(artifact), served_prompt_tokens(artifact, enable_thinking=False)]
    assert counts == [before, before + more]
    for runtime in (OpenVinoGenAi, OptimumIntel):
        wrong = runtime(runtime.Options(chat_template_kwargs={"enable_thinkng": False}))
        wrong.import_library()
        with pytest.raises(KpiError, match=re.escape("the chat template has no variable enable_thinkng")):
            wrong.load(artifact, "cpu", None, profile=False)
