"""Speech recognition on the whole way: recordings read, Whisper exported, compressed, and heard by two runtimes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest

from fixtures.speech import HERE, MODEL, MODEL_SHA256, Commands
from fixtures.speech.make.disturbance import NOISES, mixed, noise, roomed
from fixtures.speech.make.sentences import SPLITS, sentences, vocabulary
from fixtures.speech.make.voices import VARIANTS
from harness.core.errors import KpiError, Unavailable
from harness.measure.media.audio import read_audio
from harness.tasks.speech.workload import TRANSCRIPTS, read_clips
from harness.workloads.base import Settings
from harness.workloads.checkpoint import file_digest
from tests.support.project import Project, copied_project

COUNT = 8


@pytest.fixture
def speech(tmp_path: Path, shared_store: Path) -> Project:
    """The shipped model, and a few of the shipped recordings."""
    made = copied_project("speech", tmp_path, shared_store)
    made.change("MODEL", str(MODEL))
    recordings = made.folder / "recordings"
    recordings.mkdir()
    clips = read_clips(HERE / "evaluation")[:COUNT]
    for clip in clips:
        shutil.copy(clip.audio, recordings)
    lines = [json.dumps({"audio": clip.audio.name, "text": clip.text}) for clip in clips]
    (recordings / TRANSCRIPTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


@pytest.mark.suite
@pytest.mark.long
def test_a_model_is_exported_compressed_and_heard_by_two_runtimes(speech: Project) -> None:
    done = speech.pytest(timeout=600)
    verdicts = speech.verdicts()
    # A handful of recordings settles no comparison.
    comparisons = {name for name in verdicts if "-drop-" in name}
    assert {verdicts.pop(name) for name in comparisons} <= {"PASS", "INCONCLUSIVE"}, done.stdout
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    evidence = speech.evidence()
    assert {m["compared"][0]["pass"] for m in evidence["measurements"]} == {"optimum-whisper"}
    proofs = {
        m["recipe"]: m["processes"][-1]["proof"] for m in evidence["measurements"] if m["scenario"] == "recognize"
    }
    assert proofs["speech/fp32"]["precision"] == "f32 weights, f32"
    assert proofs["speech/int8"]["precision"] == "u8 weights, f32"
    assert proofs["speech/int8"]["device"] == "CPU"
    optimum = proofs["speech/int8-optimum"]
    assert (optimum["runtime"], optimum["threads"]) == ("optimum-intel", 1)
    # The published transcripts are what was judged.
    for recipe in ("fp32", "int8", "int8-optimum"):
        results = json.loads((speech.folder / f".kpi/latest/results/speech-{recipe}.json").read_text(encoding="utf-8"))
        assert [said["reference"] for said in results] == sentences("evaluation", COUNT)
        rate = jiwer.wer([said["reference"] for said in results], [said["text"] for said in results])
        (measured,) = [m for m in evidence["measurements"] if m["recipe"] == f"speech/{recipe}" and m["scores"]]
        assert np.mean(measured["scores"]["accuracy.wer"]) == pytest.approx(rate, abs=1e-12)
        assert measured["scored_with"]["accuracy.wer"]["jiwer"]
    # The factor is work over sound, and money is the factor times the price.
    (timed,) = [m for m in evidence["measurements"] if m["scenario"] == "transcribe" and m["recipe"] == "speech/int8"]
    values = {t["id"]: t["value"] for t in evidence["targets"]}
    factors = [sum(p["samples_s"]) / sum(p["series"]["audio_s"]) for p in timed["processes"]]
    assert min(factors) <= values["int8:rtf"] <= max(factors)
    assert 2 * min(factors) <= values["cost:per_audio_hour"] <= 2 * max(factors)


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (lambda file: file.write_bytes(b""), KpiError, "transcripts.jsonl line 3: 002.opus is empty: 0 bytes"),
        (lambda file: file.write_bytes(b"OggS" + bytes(500)), KpiError, "transcripts.jsonl line 3: 002.opus"),
        (Path.unlink, Unavailable, "transcripts.jsonl line 3: the recording"),
    ],
    ids=["empty", "corrupt", "missing"],
)
def test_a_recording_that_can_t_be_heard_is_named_with_its_line(
    speech: Project, tmp_path: Path, spoil: Callable[[Path], object], kind: type[KpiError], said: str
) -> None:
    recordings = speech.folder / "recordings"
    spoil(recordings / "002.opus")
    settings = Settings("s", "speech-recognition", None, None, None, recordings, False, False, tmp_path)  # noqa: FBT003
    workload = Commands(settings)
    workload.fingerprint()
    with pytest.raises(KpiError) as caught:
        workload.write_samples(tmp_path, 64)
    assert type(caught.value) is kind
    assert caught.value.message.startswith(said)


@pytest.mark.suite
@pytest.mark.long
def test_a_recording_without_sound_is_an_error_of_one_line(speech: Project) -> None:
    (speech.folder / "recordings" / "002.opus").write_bytes(b"")
    done = speech.pytest("-k", "int8 and rtf", timeout=300)
    assert done.returncode == 1
    assert speech.verdicts()["int8:rtf"] == "ERROR", done.stdout
    assert "transcripts.jsonl line 3: 002.opus is empty: 0 bytes (record it again)" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout


@pytest.mark.suite
def test_a_model_of_another_kind_or_language_is_refused_in_one_line(speech: Project) -> None:
    other = speech.folder / "bert"
    shutil.copytree(MODEL, other)
    (other / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    speech.change(str(MODEL), str(other))
    done = speech.pytest("-k", "int8 and size", timeout=300)
    assert "the model in bert is a bert, not a whisper" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout


def test_the_shipped_model_and_recordings_are_the_pinned_ones() -> None:
    assert file_digest(MODEL / "model.safetensors") == MODEL_SHA256
    clips = read_clips(HERE / "evaluation")
    assert [clip.text for clip in clips] == sentences("evaluation")
    seconds = [len(read_audio(clip.audio, 3)) / 16_000 for clip in clips[::10]]
    assert min(seconds) > 0.5


def test_nobody_and_nothing_is_in_two_splits() -> None:
    spoken = {split: set(sentences(split)) for split in SPLITS}
    assert not spoken["training"] & spoken["evaluation"]
    assert not spoken["validation"] & spoken["evaluation"]
    assert not set(VARIANTS["training"]) & {*VARIANTS["validation"], *VARIANTS["evaluation"]}
    known = set(vocabulary())
    assert 60 <= len(known) <= 140
    assert {word for text in spoken["evaluation"] for word in text.split()} <= known


def test_a_disturbance_is_as_loud_as_it_says() -> None:
    draw = np.random.default_rng(1)
    voice = (0.3 * np.sin(np.arange(16_000) / 7)).astype(np.float32)
    assert np.std(roomed(voice, draw)) == pytest.approx(np.std(voice), rel=0.02)
    for kind in NOISES:
        sound = noise(kind, 20_000, draw, voice)
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, rel=1e-3)
        heard = mixed(voice, sound, 2000, 20, 0.5)
        assert len(heard) == 20_000
        assert np.std(heard[:2000]) == pytest.approx(0.05 * np.std(voice) * np.std(sound[:2000]), rel=0.1)
    assert np.abs(mixed(voice, noise("white", 16_000, draw, voice), 0, 0, 10)).max() <= 1
