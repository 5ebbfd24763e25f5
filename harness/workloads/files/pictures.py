"""One picture as a model takes it: read, made to fit, numbers of the right kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import Preprocess
from harness.core.errors import KpiError, reason
from harness.workloads.base import TensorSpec
from harness.workloads.checkpoint import file_digest
from harness.workloads.files.samples import Samples

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
    if how.size is None:
        factor = how.shortest / min(size) if how.shortest else 1.0
        factor = min(factor, how.longest / max(size)) if how.longest else factor
        wide, high = (max(1, round(side * factor)) for side in size)
        return Fitted((wide, high), wide / size[0], high / size[1], 0, 0)
    height, width = how.size
    if how.fit == "stretch":
        return Fitted((width, height), width / size[0], height / size[1], 0, 0)
    factor = min(width / size[0], height / size[1])
    wide, high = (max(1, round(side * factor)) for side in size)
    left, top = ((width - wide) // 2, (height - high) // 2) if how.fit == "letterbox" else (0, 0)
    return Fitted((wide, high), wide / size[0], high / size[1], left, top)


def input_size(size: tuple[float, float], how: Preprocess) -> tuple[int, int]:
    """Height and width of the input that a picture of ``size`` (width, height) becomes."""
    if how.size is not None:
        return how.size
    width, height = (-(-side // how.multiple) * how.multiple for side in fitted(size, how).size)
    return height, width


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

    height, width = input_size(picture.size, how)
    if how.resize is not None:
        short = min(picture.size)
        wide, high = (how.resize if side == short else int(how.resize * side / short) for side in picture.size)
        picture = picture.resize((wide, high), resampling)
        left, top = round((wide - width) / 2), round((high - height) / 2)
        return picture.crop((left, top, left + width, top + height))
    where = fitted(picture.size, how)
    picture = picture.resize(where.size, resampling)
    if where.size == (width, height):
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

    def __init__(
        self, signature: Signature, model: str, how: AnyPreprocess | None, source: str, files: Sequence[Path]
    ) -> None:
        if len(signature.inputs) != 1:
            raise KpiError(f"{model} takes {len(signature.inputs)} inputs; a folder of pictures is for one")
        if not isinstance(how, Preprocess):
            raise KpiError(
                f"{source} holds pictures, and nothing says how they become inputs",
                "write [workload.NAME.preprocess] with size, mean, std as the model's card says",
            )
        self.how: Preprocess = how
        self._files = files
        self._port = signature.inputs[0]
        expected = f"{model} takes {self._port}"
        if self._port.dtype not in ("float16", "float32", "uint8"):
            raise KpiError(f"{expected}: pictures become float16, float32 or uint8")
        for size in dict.fromkeys(self._sizes):
            if not self._port.fits((1, *self._shape(size)), 1):
                raise KpiError(
                    f"{expected}, preprocess makes {'x'.join(map(str, self._shape(size)))}",
                    "correct size, layout or colour in [workload.NAME.preprocess]",
                )

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        """Height and width of the input of each picture; one alone where they are all the same."""
        if self.how.size is not None:
            return [self.how.size]
        return [input_size(upright_size(file), self.how) for file in self._files]

    @property
    def shapes(self) -> list[str] | None:
        """A name of each input's shape, where there are several."""
        several = len(set(self._sizes)) > 1
        return [f"{height} x {width}" for height, width in self._sizes] if several else None

    @property
    def one_by_one(self) -> bool:
        """Whether two are rarely of one shape."""
        return 2 * len(set(self._sizes)) > len(self._sizes) > 1

    @property
    def spec(self) -> TensorSpec:
        """The input as pictures are made: the largest of each side."""
        height, width = (max(sides) for sides in zip(*self._sizes, strict=True))
        varies = () if self.how.size else (1, 2) if self.how.layout == "NCHW" else (0, 1)
        return TensorSpec(self._port.name, self._shape((height, width)), self._port.dtype, varies)

    def _shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        channels = 1 if self.how.colour == "L" else 3
        return (channels, *size) if self.how.layout == "NCHW" else (*size, channels)

    def take(self, files: Sequence[Path]) -> dict[str, npt.NDArray[Any]]:
        """Pictures of one shape by the input's name, (files, ...)."""
        import numpy as np

        made = [as_input(file, self.how, self._port.dtype) for file in files]
        return {self._port.name: np.stack(made) if made else np.zeros((0, *self.spec.shape), self._port.dtype)}

    @staticmethod
    def digest(file: Path) -> str:
        """What is the same for pictures that are the same."""
        return file_digest(file)


def stacked(masks: Sequence[npt.NDArray[np.uint8]], fill: int) -> npt.NDArray[np.uint8]:
    """Masks of several sizes, (masks, height, width), filled up on the right and below."""
    import numpy as np

    height, width = (max(sides) for sides in zip(*(mask.shape for mask in masks), strict=True))
    made = np.full((len(masks), height, width), fill, np.uint8)
    for whole, mask in zip(made, masks, strict=True):
        whole[: mask.shape[0], : mask.shape[1]] = mask
    return made


class Pictured(Samples):
    """Samples that are pictures, of which a ``PictureInput`` makes inputs."""

    _input: PictureInput

    def made_by(self, made: PictureInput) -> None:
        """Says what makes inputs of the pictures; called when the files are known."""
        self._input = made
        self.one_by_one = made.one_by_one

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return (self._input.spec,)

    @property
    def shapes(self) -> Sequence[str] | None:
        return self._input.shapes
