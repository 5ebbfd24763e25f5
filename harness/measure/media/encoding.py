"""Encodes frames to a clip that players and browsers show."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from harness.core.errors import KpiError, reason
from harness.measure.media.decoding import import_av

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CODECS = ("libx264", "mpeg4")
"""In the order in which they are tried: H.264 where this FFmpeg has it."""
OPTIONS = {"libx264": {"preset": "veryfast", "tune": "zerolatency"}, "mpeg4": {"qscale": "4"}}


class Encoder:
    """Writes RGB frames of one size; an MP4 file at ``path``, or nowhere: encoded, then thrown away.

    The file appears when it is whole, and stays away when an exception ends the block. ``crf`` is H.264's quality: the
    lower, the better and the larger.
    """

    def __init__(self, path: Path | None, width: int, height: int, rate: Fraction, crf: int = 23) -> None:
        av = import_av()
        self._path = path
        self._part = None if path is None else path.with_name(f"{path.name}.part")
        self._size = (height, width)
        self._frame: Any = av.VideoFrame
        self.codec = next((name for name in CODECS if name in av.codecs_available), "")
        if not self.codec:
            raise KpiError(f"this FFmpeg has none of the encoders {', '.join(CODECS)}", "install PyAV's own wheel")
        try:
            if self._part is None:
                self._container = av.open("nowhere", "w", format="null")
            else:
                self._container = av.open(str(self._part), "w", format="mp4")
            options = {**OPTIONS[self.codec], **({"crf": str(crf)} if self.codec == "libx264" else {})}
            stream = self._container.add_stream(self.codec, rate=rate, options=options)
            # Both codecs keep colour at half the resolution: odd sizes lose nothing but are filled up.
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            self._container.start_encoding()  # its time is not that of the first frame
            self._stream = stream
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error
        self._errors = (av.error.FFmpegError, OSError, ValueError)

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Encodes one frame, uint8 (height, width, 3)."""
        import numpy as np

        height, width = self._size
        if frame.shape != (height, width, 3):
            raise KpiError(f"a frame of shape {frame.shape} does not fit a clip of {width} x {height}")
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            picture = self._frame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            self._container.mux(self._stream.encode(picture))
        except self._errors as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except self._errors as failure:
            if kind is None:
                raise self._failed(failure) from failure
        if self._path is not None and self._part is not None:
            if kind is None:
                self._part.replace(self._path)
            else:
                self._part.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> KpiError:
        where = "the frames" if self._path is None else f"the clip {self._path.name}"
        said = getattr(error, "strerror", None) or reason(error)
        return KpiError(f"{where} can't be encoded: {said}", "is the disk full?")
