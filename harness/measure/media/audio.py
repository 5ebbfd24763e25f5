"""Reads the sound of a file: anything that FFmpeg decodes, as one channel at the rate that speech models hear."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable
from harness.core.libraries import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE = 16_000
"""Samples a second: Whisper's."""


def read_audio(path: Path, longest_s: float) -> npt.NDArray[np.float32]:
    """The first sound of a file, its channels mixed to one, 16,000 samples a second from -1 to 1.

    Raises Unavailable when the file or the library is not here, KpiError when the file holds no sound, one that can't
    be decoded, or more than ``longest_s`` seconds: reading stops there, however long it is.
    """
    av = require("av", '"kpi-tests[speech]"', "PyAV")
    _check_file(path)
    try:
        # A list of files (HLS, concat) may name others: nothing but files is opened.
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise KpiError(f"{path.name} holds no audio", "name a file that has sound")
            return _decoded(container, path.name, longest_s)
    except av.FFmpegError as error:
        raise KpiError(f"{path.name} can't be decoded: {error.strerror}", "is it damaged, or no sound?") from error


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Unavailable(f"the recording {path} can't be read: {error.strerror}", "check the path") from None
    if not path.is_file():
        # Opening a pipe would wait for a writer for ever.
        raise KpiError(f"{path.name} is not a file", "name a recording")
    if size == 0:
        raise KpiError(f"{path.name} is empty: 0 bytes", "record it again")


def _decoded(container: Any, name: str, longest_s: float) -> npt.NDArray[np.float32]:
    import av
    import numpy as np

    # FFmpeg's own mix of two channels is louder than either: the mean is taken here.
    resampler = av.AudioResampler(format="fltp", rate=RATE)
    parts: list[npt.NDArray[np.float32]] = []
    count = 0
    for frame in chain(container.decode(audio=0), [None]):  # None: what the resampler still holds
        for made in resampler.resample(frame):
            parts.append(made.to_ndarray().mean(axis=0, dtype=np.float32))
            count += len(parts[-1])
        if count > longest_s * RATE:
            raise KpiError(f"{name} is longer than {longest_s:g} s, which is all that the model hears", "cut it")
    if not count:
        raise KpiError(f"{name} holds an audio track without a sample", "record it again")
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        raise KpiError(f"{name} holds samples that are no numbers", "record it again")
    return samples
