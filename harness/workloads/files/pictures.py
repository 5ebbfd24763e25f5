"""One picture as a model takes it: read, made to fit, numbers of the right kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import Preprocess
from harness.core.errors import KpiError, reason
from harness.workloads.base import TensorSpec
from harness.workloads.checkpoint import file_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as Picture
    from PIL.Image import Resampling

    from harness.core.data_files import AnyPreprocess
    from harness.workloads.files.signature import Signature


_MORE_BITS = ("I", "F")
"""How Pillow's names of whole numbers and of floating point begin."""
_LYING = frozenset({5, 6, 7, 8})
"""The values of EXIF's orientation of pictures that were taken with the camera on its side."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where a picture lies in the input: its size there in pixels, how much larger it became, its first corner."""

    size: tuple[int, int]
    across: float
    down: float
    left: int
    top: int


def fitted(size: tuple[float, float], how: Preprocess) -> Fitted:
    """Where a picture of ``size`` (width, height) lies that is not cut: stretched, or in proportion."""
    height, width = how.size
    if how.fit == "stretch":
        return Fitted((width, height), width / size[0], height / size[1], 0, 0)
    factor = min(width / size[0], height / size[1])
    wide, high = (max(1, round(side * factor)) for side in size)
    left, top = ((width - wide) // 2, (height - high) // 2) if how.fit == "letterbox" else (0, 0)
    return Fitted((wide, high), wide / size[0], high / size[1], left, top)


def as_input(file: Path, how: Preprocess, dtype: str) -> npt.NDArray[Any]:
    """One picture as the model takes it, without the batch axis. Raises KpiError for what is not a picture."""
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            kind = opened.mode
            picture = ImageOps.exif_transpose(opened).convert("L" if how.colour == "L" else "RGB")
    except Exception as error:
        raise KpiError(f"picture {file.name} can't be read: {reason(error)}", "repair it or leave it out") from error
    if kind.startswith(_MORE_BITS):
        raise KpiError(
            f"picture {file.name} has more than 8 bits a channel ({kind}): what is above 255 would be white",
            "save it with 8 bits, as the model was trained on, or give arrays",
        )
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    picture = _framed(picture, how, filters.get(how.interpolation, Image.Resampling.NEAREST), how.fill)
    values = np.asarray(picture)
    values = values[..., None] if values.ndim == 2 else values  # noqa: PLR2004 - grey has no axis of channels
    if how.colour == "BGR":
        values = values[..., ::-1]
    if dtype != "uint8":
        mean, std = (np.array(numbers, dtype=np.float32) for numbers in (how.mean, how.std))
        values = ((values.astype(np.float32) / how.scale - mean) / std).astype(dtype)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if how.layout == "NCHW" else values)


def mask_as_input(mask: npt.NDArray[np.uint8], how: Preprocess, fill: int) -> npt.NDArray[np.uint8]:
    """Classes of pixels (height, width) where the picture lies in the input, by the nearest; ``fill`` around it."""
    import numpy as np
    from PIL import Image

    return np.asarray(_framed(Image.fromarray(mask), how, Image.Resampling.NEAREST, fill))


def _framed(picture: Picture, how: Preprocess, resampling: Resampling, fill: int) -> Picture:
    """A picture with one number or three a pixel, made to fit."""
    from PIL import Image

    height, width = how.size
    if how.resize is not None:
        short = min(picture.size)
        wide, high = (how.resize if side == short else int(how.resize * side / short) for side in picture.size)
        picture = picture.resize((wide, high), resampling)
        left, top = round((wide - width) / 2), round((high - height) / 2)
        return picture.crop((left, top, left + width, top + height))
    where = fitted(picture.size, how)
    picture = picture.resize(where.size, resampling)
    if how.fit == "stretch":
        return picture
    whole = Image.new(picture.mode, (width, height), fill if picture.mode == "L" else (fill,) * 3)
    whole.paste(picture, (where.left, where.top))
    return whole


def upright_size(file: Path) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header. Raises KpiError for what is not a picture."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
    except Exception as error:
        raise KpiError(f"picture {file.name} can't be read: {reason(error)}", "repair it or leave it out") from error
    return (height, width) if turned else (width, height)


class PictureInput:
    """The only input of a model that takes pictures.

    Raises KpiError where the model takes several inputs, nothing says how pictures become inputs, or both do not fit;
    ``source`` is what messages call the data.
    """

    def __init__(self, signature: Signature, model: str, how: AnyPreprocess | None, source: str) -> None:
        if len(signature.inputs) != 1:
            raise KpiError(f"{model} takes {len(signature.inputs)} inputs; a folder of pictures is for one")
        if not isinstance(how, Preprocess):
            raise KpiError(
                f"{source} holds pictures, and nothing says how they become inputs",
                "write [workload.NAME.preprocess] with size, mean, std as the model's card says",
            )
        self.how: Preprocess = how
        self._port = signature.inputs[0]
        expected = f"{model} takes {self._port}"
        if self._port.dtype not in ("float16", "float32", "uint8"):
            raise KpiError(f"{expected}: pictures become float16, float32 or uint8")
        if not self._port.fits((1, *self._shape), 1):
            raise KpiError(
                f"{expected}, preprocess makes {'x'.join(map(str, self._shape))}",
                "correct size, layout or colour in [workload.NAME.preprocess]",
            )

    @property
    def spec(self) -> TensorSpec:
        """The input as pictures are made."""
        return TensorSpec(self._port.name, self._shape, self._port.dtype)

    @property
    def _shape(self) -> tuple[int, ...]:
        channels = 1 if self.how.colour == "L" else 3
        return (channels, *self.how.size) if self.how.layout == "NCHW" else (*self.how.size, channels)

    def take(self, files: Sequence[Path]) -> dict[str, npt.NDArray[Any]]:
        """Pictures by the input's name, (files, ...)."""
        import numpy as np

        made = [as_input(file, self.how, self._port.dtype) for file in files]
        return {self._port.name: np.stack(made) if made else np.zeros((0, *self._shape), self._port.dtype)}

    @staticmethod
    def digest(file: Path) -> str:
        """What is the same for pictures that are the same."""
        return file_digest(file)
