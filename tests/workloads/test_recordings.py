"""Folders of recordings as data: what they become, and what is said where they do not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from onnx import helper
from scipy.signal import resample_poly

from harness.core.data_files import DataFiles, RecordingPreprocess
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import Settings
from harness.workloads.files.opening import open_samples
from harness.workloads.files.recordings import RecordingSamples, as_input, read_recording
from harness.workloads.files.samples import Samples
from harness.workloads.files.signature import read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings, plain_settings, save

HOW = RecordingPreprocess(8000, 0.5)


def tone(hertz: float, rate: int, seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def record(file: Path, values: np.ndarray, rate: int = 8000, subtype: str | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, values, rate, subtype=subtype)
    return file


def model(folder: Path, shape: tuple[int | str, ...] = ("n", "t")) -> Path:
    nodes = [helper.make_node("ReduceMean", ["wave"], ["y"], axes=[len(shape) - 1], keepdims=1)]
    return save(folder / "m.onnx", nodes, {"wave": shape}, {"y": ["n"] + [1] * (len(shape) - 1)}, {})


def samples(folder: Path, how: RecordingPreprocess | None = HOW, shape: tuple[int | str, ...] = ("n", "t")) -> Samples:
    file = model(folder.parent, shape)
    return open_samples(folder, read_signature(file), file.name, DataFiles(folder, preprocess=how))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        kind = ("low", "high")[number % 2]
        record(
            tmp_path / f"sounds/{kind}/{number}.wav", tone(200 + 400 * (number % 2) + number, 8000, 0.3 + number / 10)
        )
    return tmp_path / "sounds"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_kind_of_wav_is_read_as_soundfile_reads_it(tmp_path: Path, subtype: str) -> None:
    values = np.stack([tone(100, 8000, 0.1), -tone(300, 8000, 0.1)], axis=1)
    file = record(tmp_path / "a.wav", values, subtype=subtype)
    rate, found = read_recording(file)
    wanted, _ = soundfile.read(file, dtype="float32", always_2d=True)
    assert rate == 8000
    np.testing.assert_allclose(found, wanted, atol=1e-7)


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_packed_recordings_need_soundfile(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(tmp_path / f"a{suffix}", tone(100, 8000, 0.5))
    np.testing.assert_allclose(as_input(file, HOW), tone(100, 8000, 0.5), atol=0.05)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(Unavailable, match="pip install soundfile"):
        read_recording(file)


def test_one_channel_of_one_length_and_rate(tmp_path: Path) -> None:
    both = np.stack([tone(100, 8000, 0.4), np.zeros(3200)], axis=1)
    short = as_input(record(tmp_path / "short.wav", both, subtype="FLOAT"), HOW)
    assert short.shape == (4000,)
    assert short.dtype == np.float32
    np.testing.assert_allclose(short[:3200], both.mean(axis=1), atol=1e-7)
    assert not short[3200:].any()
    long = tone(100, 8000, 0.9)
    np.testing.assert_allclose(
        as_input(record(tmp_path / "long.wav", long, subtype="FLOAT"), HOW), long[:4000], atol=1e-7
    )
    other = tone(100, 44_100, 0.5)
    made = as_input(record(tmp_path / "other.wav", other, 44_100, subtype="DOUBLE"), HOW)
    np.testing.assert_allclose(made, resample_poly(other, 80, 441)[:4000], atol=1e-6)
    np.testing.assert_allclose(made[100:-100], tone(100, 8000, 0.5)[100:-100], atol=0.01)


def test_folders_are_classes(folder: Path) -> None:
    found = samples(folder)
    assert isinstance(found, RecordingSamples)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.take(slice(0, 2))["wave"].shape == (2, 4000)
    assert samples(folder, shape=("n", 1, 4000)).take(np.array([5]))["wave"].shape == (1, 1, 4000)
    record(folder / "low/9.wav", tone(100, 16_000, 0.5), 16_000)
    assert samples(folder).remarks == (
        "of 7 recordings in sounds 1 have another rate than 8000 and were resampled",
        "of 7 recordings in sounds 3 are longer than 0.5 s and were cut",
        "of 7 recordings in sounds 2 are shorter than 0.5 s and were filled up with zeros",
    )


def test_a_workload_of_recordings(folder: Path, tmp_path: Path) -> None:
    data = DataFiles(folder, preprocess=HOW, validation=0)
    kept = file_settings("audio-classification", model(tmp_path), data, tmp_path)
    made = FileWorkload(kept)
    assert len(made.split("training")) + len(made.split("evaluation")) == 6
    assert Settings.from_json(plain_settings(kept)) == kept
    before = made.fingerprint()
    record(folder / "low/0.wav", tone(99, 8000, 0.5))
    assert FileWorkload(kept).fingerprint() != before


def test_what_does_not_fit_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r"holds recordings, and nothing says how.*rate = 16000"):
        samples(folder, None)
    with pytest.raises(
        KpiError, match=r"3000.*preprocess makes 4000 samples of one channel; seconds = 0\.375 makes 3000"
    ):
        samples(folder, shape=("n", 3000))
    with pytest.raises(KpiError, match=r"axes \(batch, time\) or \(batch, 1, time\)"):
        samples(folder, shape=("n", 80, 100))
    (folder / "low/0.wav").write_bytes(b"no sound")
    with pytest.raises(KpiError, match=r"recording 0\.wav can't be read"):
        samples(folder).take(slice(0, 6))
    record(folder / "low/0.wav", np.zeros(0))
    with pytest.raises(KpiError, match=r"recording 0\.wav holds no sound"):
        samples(folder).take(slice(0, 6))
    record(folder / "low/0.wav", np.full(10, np.nan), subtype="FLOAT")
    with pytest.raises(KpiError, match=r"recording 0\.wav holds samples that are not numbers"):
        samples(folder).take(slice(0, 6))
    record(folder / "loose.wav", np.zeros(10))
    with pytest.raises(KpiError, match=r"loose\.wav is in no folder of a class"):
        samples(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(KpiError, match="holds no recordings"):
        samples(tmp_path / "empty")


def test_a_recording_that_was_cut_off_is_refused(folder: Path) -> None:
    file = folder / "low/0.wav"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(KpiError, match=r"0.wav can't be read: Reached EOF prematurely"):
        read_recording(file)
