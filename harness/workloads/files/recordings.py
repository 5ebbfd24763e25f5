"""Recordings in folders, a folder for each class, made into waveforms of one length and rate."""

from __future__ import annotations

import math
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import RecordingPreprocess
from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.workloads.base import TensorSpec
from harness.workloads.files.class_folders import ClassFolders
from harness.workloads.files.samples import Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Port, Signature

    Wave = npt.NDArray[np.float32]

RECORDINGS = frozenset({".flac", ".ogg", ".wav"})
_PACKED = RECORDINGS - {".wav"}


def read_recording(file: Path) -> tuple[int, Wave]:
    """Samples a second, and the samples from -1 to 1, (time, channels).

    Raises KpiError for other files, empty ones, and values that are not numbers; Unavailable where the library for its
    format is not here.
    """
    import numpy as np

    try:
        rate, values = _packed(file) if file.suffix.lower() in _PACKED else _wave(file)
    except Unavailable:
        raise
    except Exception as error:
        raise KpiError(f"recording {file.name} can't be read: {reason(error)}", "repair it or leave it out") from error
    values = values[:, None] if values.ndim == 1 else values
    if not values.size or rate < 1:
        raise KpiError(f"recording {file.name} holds no sound", "record it again or leave it out")
    if not np.isfinite(values).all():
        raise KpiError(f"recording {file.name} holds samples that are not numbers", "record it again or leave it out")
    return rate, values


def _packed(file: Path) -> tuple[int, Wave]:
    library = require("soundfile")
    values, rate = library.read(str(file), dtype="float32", always_2d=True)
    return int(rate), values


def _wave(file: Path) -> tuple[int, Wave]:
    import numpy as np
    from scipy.io import wavfile

    with warnings.catch_warnings():
        # Chunks that it does not know hold titles and the like.
        warnings.simplefilter("ignore", wavfile.WavFileWarning)
        warnings.filterwarnings("error", message="Reached EOF prematurely", category=wavfile.WavFileWarning)
        rate, values = wavfile.read(file)
    if values.dtype.kind == "f":
        return int(rate), values.astype(np.float32)
    # Eight bits have no sign; 24 are given in the upper part of 32.
    middle, full = (128.0, 128.0) if values.dtype == np.uint8 else (0.0, -float(np.iinfo(values.dtype).min))
    return int(rate), ((values.astype(np.float64) - middle) / full).astype(np.float32)


def as_input(file: Path, how: RecordingPreprocess) -> Wave:
    """One recording as the model takes it, (time,): one channel, at the rate, cut or filled up with zeros.

    Another rate is brought to the wanted one by SciPy's polyphase filter (``scipy.signal.resample_poly``). Raises as
    ``read_recording`` does.
    """
    import numpy as np

    rate, channels = read_recording(file)
    values = channels.mean(axis=1, dtype=np.float64)
    if rate != how.rate:
        from scipy.signal import resample_poly

        common = math.gcd(rate, how.rate)
        values = resample_poly(values, how.rate // common, rate // common)
    wanted = length_of(how)
    values = values[:wanted]
    return np.pad(values, (0, wanted - len(values))).astype(np.float32)


def length_of(how: RecordingPreprocess) -> int:
    """How many samples a recording becomes."""
    return max(1, round(how.rate * how.seconds))


class RecordingSamples(ClassFolders):
    """The recordings of a folder; the names of the folders in it are the classes.

    Raises KpiError where they do not fit the model.
    """

    def __init__(self, folder: Path, signature: Signature, model: str, data: DataFiles) -> None:
        super().__init__(folder, RECORDINGS, "recordings", data)
        if len(signature.inputs) != 1:
            raise KpiError(f"{model} takes {len(signature.inputs)} inputs; a folder of recordings is for one")
        if not isinstance(data.preprocess, RecordingPreprocess):
            raise KpiError(
                f"{folder.name} holds recordings, and nothing says how they become inputs",
                "write [workload.NAME.preprocess] with rate = 16000 and seconds = 1.0, as the model's card says",
            )
        self._how = data.preprocess
        self._port = signature.inputs[0]
        self._shape = self._fitting(self._port, model)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(self._port.name, self._shape, self._port.dtype),)

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        made = [as_input(file, self._how).reshape(self._shape) for file in self.chosen(rows)]
        stacked = np.stack(made) if made else np.zeros((0, *self._shape))
        return {self._port.name: stacked.astype(self._port.dtype)}

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """How many recordings have another rate, are cut, are filled up."""
        wanted, other, cut, filled = length_of(self._how) / self._how.rate, 0, 0, 0
        for file in self._files:
            rate, values = read_recording(file)
            seconds = len(values) / rate
            other += rate != self._how.rate
            cut += seconds > wanted + 1 / rate
            filled += seconds < wanted - 1 / rate
        said = {
            f"have another rate than {self._how.rate} and were resampled": other,
            f"are longer than {self._how.seconds:g} s and were cut": cut,
            f"are shorter than {self._how.seconds:g} s and were filled up with zeros": filled,
        }
        where = f"of {self.count} recordings in {self._folder.name}"
        return (*super().remarks, *(f"{where} {count} {what}" for what, count in said.items() if count))

    def _fitting(self, port: Port, model: str) -> tuple[int, ...]:
        """The shape of one sample. Raises KpiError where the model takes no waveform, or one of another length."""
        expected = f"{model} takes {port}"
        if port.dtype not in ("float16", "float32"):
            raise KpiError(f"{expected}: recordings become float16 or float32")
        length = length_of(self._how)
        shapes = ((length,), (1, length))
        for shape in shapes:
            if port.fits((self.count, *shape), 1):
                return shape
        fixed = [size for size in (port.shape or ())[1:] if size is not None and size > 1]
        seconds = f"; seconds = {fixed[-1] / self._how.rate:g} makes {fixed[-1]}" if len(fixed) == 1 else ""
        raise KpiError(
            f"{expected}, preprocess makes {length} samples of one channel{seconds}",
            "a waveform has the axes (batch, time) or (batch, 1, time); correct rate or seconds in "
            "[workload.NAME.preprocess]",
        )
