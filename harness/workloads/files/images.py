"""Pictures in folders, a folder for each class, made into inputs as the model's card says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import Preprocess
from harness.core.errors import KpiError, reason
from harness.core.libraries import require
from harness.workloads.base import TensorSpec
from harness.workloads.files.class_folders import ClassFolders, digest_below
from harness.workloads.files.samples import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Port, Signature

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def folder_digest(folder: Path, cache: Path) -> str:
    """SHA-256 over the names and the content of the pictures in a folder."""
    return digest_below(folder, PICTURES, cache)


def as_input(file: Path, how: Preprocess, dtype: str) -> npt.NDArray[Any]:
    """One picture as the model takes it, without the batch axis. Raises KpiError for what is not a picture."""
    import numpy as np
    from PIL import Image, ImageOps

    height, width = how.size
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    chosen = filters.get(how.interpolation, Image.Resampling.NEAREST)
    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L" if how.colour == "L" else "RGB")
    except Exception as error:
        raise KpiError(f"picture {file.name} can't be read: {reason(error)}", "repair it or leave it out") from error
    if how.resize is None:
        picture = picture.resize((width, height), chosen)
    else:
        short = min(picture.size)
        wide, high = (how.resize if side == short else int(how.resize * side / short) for side in picture.size)
        picture = picture.resize((wide, high), chosen)
        left, top = round((wide - width) / 2), round((high - height) / 2)
        picture = picture.crop((left, top, left + width, top + height))
    values = np.asarray(picture)
    values = values[..., None] if values.ndim == 2 else values  # noqa: PLR2004 - grey has no axis of channels
    if how.colour == "BGR":
        values = values[..., ::-1]
    if dtype != "uint8":
        mean, std = (np.array(numbers, dtype=np.float32) for numbers in (how.mean, how.std))
        values = ((values.astype(np.float32) / how.scale - mean) / std).astype(dtype)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if how.layout == "NCHW" else values)


class ImageSamples(ClassFolders):
    """The pictures of a folder; the names of the folders in it are the classes.

    Raises KpiError where they do not fit the model; Unavailable where Pillow is not installed.
    """

    def __init__(self, folder: Path, signature: Signature, model: str, data: DataFiles) -> None:
        require("PIL", "pillow", "Pillow")
        super().__init__(folder, PICTURES, "pictures", data.classes)
        if len(signature.inputs) != 1:
            raise KpiError(f"{model} takes {len(signature.inputs)} inputs; a folder of pictures is for one")
        if not isinstance(data.preprocess, Preprocess):
            raise KpiError(
                f"{folder.name} holds pictures, and nothing says how they become inputs",
                "write [workload.NAME.preprocess] with size, mean, std as the model's card says",
            )
        self._how: Preprocess = data.preprocess
        self._port = signature.inputs[0]
        self._model = model
        self._check(self._port)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(self._port.name, self._shape, self._port.dtype),)

    @property
    def _shape(self) -> tuple[int, ...]:
        channels = 1 if self._how.colour == "L" else 3
        return (channels, *self._how.size) if self._how.layout == "NCHW" else (*self._how.size, channels)

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        made = [as_input(file, self._how, self._port.dtype) for file in self.chosen(rows)]
        return {self._port.name: np.stack(made) if made else np.zeros((0, *self._shape), self._port.dtype)}

    def _check(self, port: Port) -> None:
        expected = f"{self._model} takes {port}"
        if port.dtype not in ("float16", "float32", "uint8"):
            raise KpiError(f"{expected}: pictures become float16, float32 or uint8")
        if not port.fits((self.count, *self._shape), 1):
            raise KpiError(
                f"{expected}, preprocess makes {'x'.join(map(str, self._shape))}",
                "correct size, layout or colour in [workload.NAME.preprocess]",
            )
