"""Decodes a clip frame by frame, and says in one line what is wrong with one that can't be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INSTALL = '"kpi-tests[video]"'
_WHOLE = "give the whole clip, or encode it again"


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What a clip says of itself: size in pixels, frames a second, codec; ``frames`` is 0 where it does not say."""

    width: int
    height: int
    rate: Fraction
    codec: str
    frames: int


def import_av() -> Any:
    """PyAV; Unavailable when it is not installed or can't be loaded."""
    return require("av", INSTALL, "PyAV")


def look_at(path: Path) -> ClipInfo:
    """What a clip says of itself. Raises as :func:`read_frames` does, without reading frames."""
    with _opened(path) as (_, stream):
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        return ClipInfo(context.width, context.height, Fraction(rate), context.name, stream.frames)


def read_frames(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a clip in the order in which they are shown, RGB, uint8 (height, width, 3).

    The clip is opened at once, frames are decoded as they are asked for. Raises Unavailable when the file is not there,
    KpiError when it is not a clip, holds no video, or is damaged: then it says how many frames could be read. A
    decoder's attempt to hide damage is not taken for a frame.
    """
    frames = _decoded(path)
    next(frames)
    return frames


def _decoded(path: Path) -> Iterator[Any]:
    """None once the clip is open, then its frames."""
    av = import_av()
    count, packets, shape = 0, 0, None
    with _opened(path) as (container, stream):
        context = stream.codec_context
        context.options = {"err_detect": "explode"}
        context.thread_count = 1  # the time of a frame is its own, not that of frames decoded ahead
        yield None
        try:
            for packet in container.demux(stream):
                packets += bool(packet.size)
                if packet.is_corrupt:
                    raise damaged(path, count, "its end is cut off")
                for decoded in packet.decode():
                    if decoded.is_corrupt:
                        raise damaged(path, count, "a frame is incomplete")
                    frame = decoded.to_ndarray(format="rgb24")
                    if shape not in (None, frame.shape):
                        raise KpiError(
                            f"frame {count + 1} of {path.name} has another size than those before",
                            "encode the clip with one frame size",
                        )
                    count, shape = count + 1, frame.shape
                    yield frame
        except av.error.FFmpegError as error:
            raise damaged(path, count, _said(error)) from error
        if not count:
            raise KpiError(f"the clip {path.name} holds no frame", _WHOLE)
        if packets < stream.frames:
            raise damaged(path, count, f"it should hold {stream.frames}")


def damaged(path: Path, count: int, why: str) -> KpiError:
    """The error of a clip that breaks off or breaks in the middle."""
    read = f"{count} frame{'' if count == 1 else 's'} could be read"
    return KpiError(f"the clip {path.name} is damaged: {read}, then: {why}", _WHOLE)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container with its first video stream."""
    av = import_av()
    if not path.exists():
        raise Unavailable(f"the clip {path} is not here", "check the workload's `data` in kpis.toml")
    if not path.is_file():
        raise KpiError(f"the clip {path.name} is not a file", "let `data` name a video file")
    if not path.stat().st_size:
        raise KpiError(f"the clip {path.name} is empty", _WHOLE)
    try:
        # The protocol is named: a playlist must not make FFmpeg read other files or the network.
        container = av.open(str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise KpiError(f"the clip {path.name} can't be read as video: {_said(error)}", _WHOLE) from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise KpiError(f"the clip {path.name} holds no video, only {kinds}", "name a file with a video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None or not stream.codec_context.width:
            raise KpiError(f"the clip {path.name} holds video that can't be decoded here", "encode it as H.264")
        yield container, stream


def _said(error: Exception) -> str:
    """What FFmpeg says, without the path that it repeats."""
    return str(getattr(error, "strerror", None) or reason(error))
