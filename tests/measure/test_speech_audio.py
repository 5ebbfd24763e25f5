"""Any file with sound is read, and none that lacks it is met with more than one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.media.audio import RATE, read_audio

SECONDS = 0.5


def tone(rate: int, channels: int = 1, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    """A tone of half a second, shape (channels, samples), from -0.5 to 0.5."""
    at = np.arange(round(SECONDS * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * at)[None], channels, 0).astype(np.float32)


def encode(path: Path, codec: str, rate: int, channels: int = 1) -> Path:
    """Writes the tone."""
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        sound = av.AudioFrame.from_ndarray(tone(rate, channels), format="fltp", layout=layout)
        sound.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size)
        for frame in (*resampler.resample(sound), *resampler.resample(None)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def film(path: Path, *, sound: bool) -> Path:
    """Writes a second of black pictures, with or without a tone next to them."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
        heard = container.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for _ in range(10):
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(black))
        container.mux(pictures.encode(None))
        if heard is not None:
            made = av.AudioFrame.from_ndarray(tone(44_100), format="fltp", layout="mono")
            made.sample_rate = 44_100
            container.mux(heard.encode(made))
            container.mux(heard.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [
        ("a.wav", "pcm_s16le", 16_000, 1),
        ("a.wav", "pcm_s16le", 44_100, 2),
        ("a.wav", "pcm_f32le", 8_000, 1),
        ("a.flac", "flac", 48_000, 2),
        ("a.opus", "libopus", 48_000, 1),
        ("a.m4a", "aac", 44_100, 2),
    ],
)
def test_the_tone_is_heard_whatever_it_was_written_as(
    tmp_path: Path, name: str, codec: str, rate: int, channels: int
) -> None:
    samples = read_audio(encode(tmp_path / name, codec, rate, channels), 3)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) - SECONDS * RATE) < 0.08 * RATE  # codecs pad
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(np.argmax(spectrum) * RATE / len(samples) - 440) < 5
    # Two channels of the same sound are that sound, not twice it.
    assert 0.4 < np.abs(samples[1000:-1000]).max() < 0.6


def test_the_sound_of_a_film_is_read(tmp_path: Path) -> None:
    samples = read_audio(film(tmp_path / "film.mp4", sound=True), 3)
    assert abs(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples) - 440) < 5


def wav_header() -> bytes:
    return b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0"


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def infinite(path: Path) -> None:
    whole = encode(path, "pcm_f32le", 16_000).read_bytes()
    path.write_bytes(whole[:-4000] + np.full(1000, np.nan, "<f4").tobytes())


def playlist(path: Path) -> None:
    """Names a page of the network: it must not be asked for."""
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


BAD = {
    "empty.wav": (lambda path: path.write_bytes(b""), "empty.wav is empty: 0 bytes"),
    "noise.flac": (lambda path: path.write_bytes(bytes(range(256)) * 9), "noise.flac"),
    "text.wav": (lambda path: path.write_text("no sound, only words\n" * 50), "text.wav can't be decoded"),
    "cut.flac": (lambda path: cut(encode(path, "flac", 16_000), 60), "cut.flac"),
    "silent.mp4": (lambda path: film(path, sound=False), "silent.mp4 holds no audio"),
    "headers.wav": (lambda path: path.write_bytes(wav_header()), "headers.wav holds an audio track without a sample"),
    "folder.wav": (lambda path: path.mkdir(), "folder.wav is not a file"),
    "pipe.wav": (os.mkfifo, "pipe.wav is not a file"),
    "infinite.wav": (infinite, "infinite.wav holds samples that are no numbers"),
    "list.m3u8": (playlist, "list.m3u8"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    make, said = BAD[name]
    make(tmp_path / name)
    with pytest.raises(KpiError) as caught:
        read_audio(tmp_path / name, 3)
    assert said in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_a_recording_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"gone\.wav can't be read: No such file"):
        read_audio(tmp_path / "gone.wav", 3)


def test_without_the_library_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Unavailable, match=r'pip install "kpi-tests\[speech\]"'):
        read_audio(tmp_path / "a.wav", 3)


def test_what_the_model_could_not_hear_to_its_end_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "pcm_s16le", 16_000)
    assert len(read_audio(path, SECONDS)) == SECONDS * RATE
    with pytest.raises(KpiError, match=r"longer than 0.4 s, which is all that the model hears"):
        read_audio(path, 0.4)
