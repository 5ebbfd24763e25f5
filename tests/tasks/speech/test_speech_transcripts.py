"""A file of transcripts is read, or the line that is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError, Unavailable
from harness.tasks.speech.workload import TRANSCRIPTS, read_clips, spelling, window_s

GOOD = '{"audio": "a.flac", "text": "turn on the light"}\n\n{"audio": "b/c.opus", "text": "Call Anna."}\n'


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / TRANSCRIPTS).write_text("\ufeff" + GOOD, encoding="utf-8")
    for given_path in (tmp_path, tmp_path / TRANSCRIPTS):
        first, second = read_clips(given_path)
        assert (first.audio, first.text) == (tmp_path / "a.flac", "turn on the light")
        assert (second.audio, second.where) == (tmp_path / "b/c.opus", "transcripts.jsonl line 3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "transcripts.jsonl holds no transcript"),
        (GOOD + "{", "transcripts.jsonl line 4 is not JSON"),
        (GOOD + "[]", 'transcripts.jsonl line 4 lacks "audio"'),
        ('{"audio": "a.wav"}', 'transcripts.jsonl line 1 lacks "text"'),
        ('{"audio": 7, "text": "a"}', 'transcripts.jsonl line 1 lacks "audio"'),
        ('{"audio": " ", "text": "a"}', 'transcripts.jsonl line 1: "audio" is not a path'),
        ('{"audio": "a\\u0000b", "text": "a"}', 'transcripts.jsonl line 1: "audio" is not a path'),
        ('{"audio": "a.wav", "text": "?!"}', 'transcripts.jsonl line 1: "text" holds no word'),
        ("[" * 100_000, "transcripts.jsonl line 1 is not JSON"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / TRANSCRIPTS).write_text(text, encoding="utf-8")
    with pytest.raises(KpiError) as caught:
        read_clips(tmp_path)
    assert caught.value.message == said
    assert caught.value.remedy


def test_what_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="can't be read: No such file"):
        read_clips(tmp_path)
    (tmp_path / TRANSCRIPTS).write_bytes(b'{"audio": "\xff"}')
    with pytest.raises(KpiError, match="not UTF-8: byte 11"):
        read_clips(tmp_path)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("any") / "any.jsonl"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(KpiError) as caught:
        read_clips(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [(None, "holds no preprocessor_config.json"), ("{", "can't be read"), ('{"chunk_length": "x"}', "is not a number")],
)
def test_a_model_that_does_not_say_what_it_hears(tmp_path: Path, config: str | None, said: str) -> None:
    if config is not None:
        (tmp_path / "preprocessor_config.json").write_text(config, encoding="utf-8")
    with pytest.raises(KpiError, match=said):
        window_s(tmp_path)


def test_settings_of_the_features_are_read_in_both_layouts(tmp_path: Path) -> None:
    file = tmp_path / "processor_config.json"
    file.write_text('{"processor_class": "WhisperProcessor", "feature_extractor": {"chunk_length": 3}}')
    assert window_s(tmp_path) == 3
    file.write_text('{"processor_class": "WhisperProcessor"}')
    with pytest.raises(KpiError, match=r"nor processor_config\.json with feature_extractor"):
        window_s(tmp_path)
    file.write_text("[]")
    with pytest.raises(KpiError, match=r"processor_config\.json in .* can't be read"):
        window_s(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"chunk_length": 30}')
    assert window_s(tmp_path) == 30


def test_spellings_come_from_the_models_folder(tmp_path: Path) -> None:
    assert spelling(tmp_path) == {}
    (tmp_path / "normalizer.json").write_text('{"colour": "color"}')
    assert spelling(tmp_path) == {"colour": "color"}
    (tmp_path / "normalizer.json").write_text("{")
    with pytest.raises(KpiError, match=r"normalizer\.json in .* can't be read"):
        spelling(tmp_path)
