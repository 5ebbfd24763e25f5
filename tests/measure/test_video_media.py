"""Clips that can be decoded, clips that can't, frames that come back as they were written."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.media.decoding import look_at, read_frames
from harness.measure.media.encoding import Encoder
from harness.measure.media.overlay import draw

COUNT = 40


def frames(height: int = 48, width: int = 64, count: int = COUNT) -> list[np.ndarray]:
    """Smooth frames, each with a brightness of its own, so that order and number can be told."""
    ramp = np.linspace(0, 60, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    return [(np.repeat(ramp, 3, 2) + 3 * number).astype(np.uint8) for number in range(count)]


def clip(path: Path, **size: int) -> Path:
    made = frames(**size)
    with Encoder(path, made[0].shape[1], made[0].shape[0], Fraction(25)) as out:
        for frame in made:
            out.write(frame)
    return path


@pytest.mark.parametrize("size", [{}, {"height": 47, "width": 63}, {"count": 1}])
def test_what_is_written_is_read(tmp_path: Path, size: dict[str, int]) -> None:
    path = clip(tmp_path / "made.mp4", **size)
    wanted, found = frames(**size), list(read_frames(path))
    assert len(found) == len(wanted)
    height, width, _ = wanted[0].shape
    for ours, theirs in zip(wanted, found, strict=True):
        seen = theirs[:height, :width].astype(int)
        assert abs(seen.mean() - ours.mean()) < 1.5
        assert np.abs(seen - ours).mean() < 4
    info = look_at(path)
    assert (info.width, info.height) == (width + width % 2, height + height % 2)
    assert (info.rate, info.frames) == (25, len(wanted))
    assert [p.name for p in tmp_path.iterdir()] == ["made.mp4"]


def sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 16000
        container.mux(stream.encode(tone))
        container.mux(stream.encode(None))


def cut(path: Path) -> None:
    whole = clip(path.with_name("whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "the clip bad.mp4 is empty"),
    "text": (lambda path: path.write_text("no clip\n" * 100), "the clip bad.mp4 can't be read as video: Invalid data"),
    "zeros": (lambda path: path.write_bytes(bytes(100_000)), "the clip bad.mp4 can't be read as video"),
    "cut": (cut, "the clip bad.mp4 can't be read as video"),
    "sound": (sound, "the clip bad.mp4 holds no video, only audio"),
    "folder": (lambda path: path.mkdir(), "the clip bad.mp4 is not a file"),
    "pipe": (os.mkfifo, "the clip bad.mp4 is not a file"),
    "no frames": (lambda path: path.write_text("YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420\n"), "holds no frame"),
    "playlist": (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"), "can't be read"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_clip_that_is_none_is_an_error_of_one_line(tmp_path: Path, kind: str) -> None:
    make, said = UNREADABLE[kind]
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(KpiError) as caught:
        list(read_frames(path))
    assert said in caught.value.message
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, Unavailable)


def test_a_clip_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"the clip .*none.mp4 is not here"):
        list(read_frames(tmp_path / "none.mp4"))


def noisy(path: Path) -> Path:
    """A clip whose frames take many bytes, so that there is something to damage."""
    random = np.random.default_rng(1)
    with Encoder(path, 64, 48, Fraction(25)) as out:
        for _ in range(COUNT):
            out.write(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return path


def count(path: Path) -> tuple[int, KpiError]:
    """How many frames a damaged clip gives before the error."""
    read = 0
    try:
        for _ in read_frames(path):
            read += 1
    except KpiError as error:
        return read, error
    pytest.fail(f"{read} frames and no error")


def test_damage_in_the_middle_says_how_many_frames_could_be_read(tmp_path: Path) -> None:
    path = noisy(tmp_path / "mine.mp4")
    raw = bytearray(path.read_bytes())
    begin = len(raw) // 2
    raw[begin : begin + len(raw) // 8] = bytes(len(raw) // 8)
    path.write_bytes(raw)
    read, error = count(path)
    assert error.message.startswith(f"the clip mine.mp4 is damaged: {read} frames could be read, then: ")
    assert 0 < read < COUNT


@pytest.mark.parametrize(("bytes_short", "whole_frames"), [(0, 30), (5, 29)])
def test_an_end_that_is_missing_is_noticed(tmp_path: Path, bytes_short: int, whole_frames: int) -> None:
    whole, path = noisy(tmp_path / "whole.mp4"), tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(path)) as container:
        positions = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    raw = path.read_bytes()
    path.write_bytes(raw[: positions[30] - bytes_short])
    read, error = count(path)
    assert read == whole_frames
    assert f"is damaged: {read} frames could be read" in error.message


def test_a_clip_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "made.mp4"
    two_sizes = [frames()[0], frames(height=32)[0]]

    def write() -> None:
        with Encoder(path, 64, 48, Fraction(25)) as out:
            for frame in two_sizes:
                out.write(frame)

    with pytest.raises(KpiError, match="a frame of shape"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r"the clip made.mp4 can't be encoded: No such file"):
        clip(tmp_path / "missing" / "made.mp4")


def test_a_mask_is_drawn_half_over_the_frame_with_its_outline() -> None:
    frame = np.full((6, 8, 3), 100, np.uint8)
    mask = np.zeros((6, 8), np.uint8)
    mask[1:5, 2:6] = 2
    kept = frame.copy()
    drawn = draw(frame, mask, ((0, 0, 0), (9, 9, 9), (200, 0, 50)))
    assert (frame == kept).all()
    assert (drawn[mask == 0] == 100).all()
    assert (drawn[1, 2:6] == (200, 0, 50)).all()
    assert (drawn[1:5, 2] == (200, 0, 50)).all()
    assert (drawn[2:5, 3:6] == (150, 50, 75)).all()
