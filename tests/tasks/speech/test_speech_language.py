"""A language that a recipe names is applied, or refused with the reason; files of fine-tuned models are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fixtures.speech import MODEL, Commands
from harness.build.passes.base import PassContext
from harness.core.errors import KpiError
from harness.measure.scenarios.base import ScenarioContext
from harness.tasks.speech.metrics import Wer
from harness.tasks.speech.passes.whisper import OptimumWhisper
from harness.tasks.speech.runtimes.openvino_genai_speech import OpenVinoGenAiSpeech
from harness.tasks.speech.runtimes.speech import SpeechSession
from harness.tasks.speech.runtimes.whisper_common import WhisperOptions, asked, told_language
from harness.tasks.speech.scenarios.recognize import Recognize
from harness.workloads.base import Settings
from tests.tasks.language.test_load_scenarios import unwatched

WHOLE = {"is_multilingual": True, "lang_to_id": {"<|en|>": 1, "<|de|>": 2}, "task_to_id": {"transcribe": 3}}
OLD = {key: value for key, value in WHOLE.items() if key != "is_multilingual"}


def folder(tmp_path: Path, config: dict[str, Any]) -> Path:
    (tmp_path / "generation_config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("config", "language", "told", "shown"),
    [
        (WHOLE, None, {"language": "<|en|>", "task": "transcribe"}, "en"),
        (WHOLE, "de", {"language": "<|de|>", "task": "transcribe"}, "de"),
        ({"is_multilingual": False}, None, {}, "the model's only one"),
        ({"is_multilingual": False}, "en", {}, "the model's only one"),
        (OLD, None, {}, "guessed"),
        ({"is_multilingual": True}, None, {}, "guessed"),
    ],
)
def test_what_a_model_is_told(
    tmp_path: Path, config: dict[str, Any], language: str | None, told: dict[str, str], shown: str
) -> None:
    assert asked(folder(tmp_path, config), language) == told
    assert told_language(told, tmp_path) == shown


@pytest.mark.parametrize(
    ("config", "language", "said"),
    [
        (OLD, "de", "language = 'de' can't be applied: generation_config.json lacks is_multilingual, as old or"),
        ({"is_multilingual": True}, "en", "can't be applied: generation_config.json lacks lang_to_id, task_to_id"),
        ({}, "en", "can't be applied: generation_config.json lacks is_multilingual, lang_to_id, task_to_id"),
        ({"is_multilingual": False}, "de", "the model knows English alone, not 'de'"),
        (WHOLE, "fr", "the model knows no language 'fr'"),
    ],
)
def test_a_language_that_can_not_be_applied_is_an_error(
    tmp_path: Path, config: dict[str, Any], language: str, said: str
) -> None:
    with pytest.raises(KpiError) as caught:
        asked(folder(tmp_path, config), language)
    assert caught.value.message.startswith(said) or said in caught.value.message
    assert caught.value.remedy


def test_a_model_without_generation_config_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r"holds no generation_config\.json") as caught:
        asked(tmp_path, None)
    assert "fine-tuned from" in caught.value.remedy
    (tmp_path / "generation_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(KpiError, match=r"generation_config\.json in .* can't be read"):
        asked(tmp_path, None)


def job(tmp_path: Path, model: Path) -> PassContext:
    folders = [tmp_path / part for part in ("out", "scratch", "work")]
    for made in folders:
        made.mkdir()
    settings = Settings(
        name="speech", task="speech-recognition", checkpoint=None, checkpoint_sha256=None, model=str(model), data=None,
        allow_pickle=False, trust_remote_code=False, cache=tmp_path / "cache",
    )  # fmt: skip
    return PassContext(None, *folders, Commands(settings), lambda _: None)


def test_an_export_is_refused_before_it_takes_its_time(tmp_path: Path) -> None:
    model = tmp_path / "tuned"
    shutil.copytree(MODEL, model)
    (model / "generation_config.json").unlink()
    with pytest.raises(KpiError, match=r"tuned holds no generation_config\.json"):
        OptimumWhisper(OptimumWhisper.Options()).run(job(tmp_path, model))


@pytest.mark.long
@pytest.mark.suite
def test_a_model_as_newer_libraries_save_it_is_exported_and_heard(tmp_path: Path) -> None:
    model = tmp_path / "tuned"
    shutil.copytree(MODEL, model)
    settings = json.loads((model / "preprocessor_config.json").read_text(encoding="utf-8"))
    (model / "preprocessor_config.json").unlink()
    whole = {"processor_class": "WhisperProcessor", "feature_extractor": settings}
    (model / "processor_config.json").write_text(json.dumps(whole), encoding="utf-8")
    generation = json.loads((model / "generation_config.json").read_text(encoding="utf-8"))
    made = job(tmp_path, model)
    OptimumWhisper(OptimumWhisper.Options(weights="fp32")).run(made)
    assert json.loads((made.out / "preprocessor_config.json").read_text("utf-8"))["chunk_length"] == 3
    runtime = OpenVinoGenAiSpeech(WhisperOptions(language="en"))
    runtime.import_library()
    session = runtime.load(made.out, "cpu", None, profile=False)
    assert session.proof().details["language"] == "en"
    # What is heard is compared as the recipe chooses, with the spellings of the model's folder.
    (model / "normalizer.json").write_text('{"colour": "color"}', encoding="utf-8")
    samples = tmp_path / "samples"
    samples.mkdir()
    made.workload.write_samples(samples, 64)
    stage = ScenarioContext(
        inputs={}, requests=samples, seconds=1, samples=1, workload=lambda: made.workload,
        outputs=tmp_path / "heard.npz", progress=lambda _: None, watch=unwatched,
    )  # fmt: skip
    assert isinstance(session, SpeechSession)
    seen = Recognize(Recognize.Options(normalization="whisper-english")).run(session, stage)
    heard = Recognize.read(tmp_path / seen["outputs"])
    assert (heard.normalization, heard.spelling) == ("whisper-english", {"colour": "color"})
    scores = Wer.scores(heard, None)
    assert 0.01 < sum(scores) / len(scores) < 0.3
    # As old libraries left it: the language that is written can't be applied.
    del generation["is_multilingual"]
    (made.out / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    with pytest.raises(KpiError, match="language = 'en' can't be applied"):
        runtime.load(made.out, "cpu", None, profile=False)
