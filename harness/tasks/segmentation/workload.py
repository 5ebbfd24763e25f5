"""What a fixture of video segmentation provides: a clip, its masks, the way from frames to tensors and back."""

from __future__ import annotations

import json
import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import TensorWorkload
from harness.workloads.checkpoint import remembered_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Tensors = dict[str, npt.NDArray[np.generic]]

CLIP = "clip"
"""The clip's name next to the request samples, before its ending."""
MASKS = "masks.npz"
_MOST = 2_000_000_000
_LAYOUT = "a folder with the clip and masks/*.png, one a frame, whose values are classes"


class VideoSegmentation(TensorWorkload):
    """A network that says of each pixel of each frame which class it is of.

    The table's ``data`` replaces the fixture's clip: a video file, or a folder with one and ``masks/*.png``, a class
    in every pixel, one a frame. A clip without masks can be timed, drawn and compared, but not scored.
    """

    classes: ClassVar[tuple[str, ...]]
    palette: ClassVar[tuple[tuple[int, int, int], ...]]

    @abstractmethod
    def own_clip(self) -> Path:
        """The clip that the fixture ships."""

    @abstractmethod
    def own_masks(self) -> Pixels | None:
        """The classes of the pixels of its frames, (frames, height, width); None where there are none."""

    @abstractmethod
    def prepare(self, frame: Pixels) -> Tensors:
        """A decoded frame, RGB (height, width, 3), as the network takes it: a batch of one, by tensor name."""

    @abstractmethod
    def decide(self, answer: Mapping[str, npt.NDArray[np.generic]], height: int, width: int) -> Pixels:
        """The class of each pixel of the frame, (height, width), from the network's answer to it."""

    @property
    def clip(self) -> Path:
        """The file that is decoded. Raises Unavailable when it is not here."""
        data = self.settings.data
        if data is None:
            return self.own_clip()
        if not data.exists():
            raise Unavailable(f"the clip {data} is not here", "check the workload's `data` in kpis.toml")
        if not data.is_dir():
            return data
        files = sorted(p for p in data.iterdir() if p.is_file() and not p.name.startswith("."))
        if len(files) != 1:
            raise KpiError(f"{data.name} holds {len(files)} files, one clip is expected", f"make it {_LAYOUT}")
        return files[0]

    def data_fingerprint(self) -> str:
        """Text that changes when the clip or its masks do. Raises Unavailable when the clip is not here."""
        files = [self.clip, *self._mask_files()]
        if odd := next((path for path in files if not path.is_file()), None):
            raise KpiError(f"the clip {odd.name} is not a file", "let `data` name a video file")
        return json.dumps([[path.name, remembered_digest(path, self.settings.cache)] for path in files])

    def write_samples(self, folder: Path, count: int) -> None:
        """The first frames as tensors; next to them the clip, whole, and its masks. Every frame is decoded once."""
        import numpy as np

        from harness.measure.media.decoding import read_frames

        prepared: list[Tensors] = []
        frames, shape = 0, (0, 0)
        for frame in read_frames(self.clip):
            frames, shape = frames + 1, frame.shape[:2]
            if frames <= count:
                prepared.append(self.prepare(frame))
        for name in prepared[0]:
            np.save(folder / f"{name}.npy", np.concatenate([tensors[name] for tensors in prepared]))
        masks = self.own_masks() if self.settings.data is None else self._read_masks()
        if masks is not None:
            self._check(masks, (frames, *shape))
            np.savez_compressed(folder / MASKS, masks=masks)
        shutil.copyfile(self.clip, folder / f"{CLIP}{self.clip.suffix.lower()}")

    def _mask_files(self) -> list[Path]:
        data = self.settings.data
        return sorted((data / "masks").glob("*.png")) if data is not None and data.is_dir() else []

    def _read_masks(self) -> Pixels | None:
        """The user's masks in the order of their names; None where there are none."""
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        made: list[Any] = []
        for file in self._mask_files():
            try:
                with Image.open(file) as opened:
                    mode, mask = opened.mode, np.asarray(opened)
            except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
                raise KpiError(f"the mask {file.name} can't be read: {error}", "replace it") from error
            if mode not in ("L", "P"):
                raise KpiError(f"the mask {file.name} has the mode {mode}", "save one byte a pixel: its class")
            if made and mask.shape != made[0].shape:
                raise KpiError(f"the mask {file.name} has another size than those before", "save them in one size")
            made.append(mask)
            if sum(m.size for m in made) > _MOST:
                raise KpiError(f"the masks of {self.clip.name} take more than 2 GB", "give a shorter clip")
        return np.stack(made) if made else None

    def _check(self, masks: Pixels, expected: tuple[int, ...]) -> None:
        if masks.shape != expected:
            frames, height, width = expected
            raise KpiError(
                f"{self.clip.name} has {frames} frames of {width} x {height}, its masks are {masks.shape[0]} of "
                f"{masks.shape[2]} x {masks.shape[1]}",
                "give one mask for each frame, of its size",
            )
        if (highest := int(masks.max())) >= len(self.classes):
            raise KpiError(
                f"the masks of {self.clip.name} name class {highest}, the model knows {len(self.classes)}",
                f"0 is {self.classes[0]}, {len(self.classes) - 1} is {self.classes[-1]}",
            )


def nearest(mask: Pixels, height: int, width: int) -> Pixels:
    """A mask in another size, each pixel that of the one nearest to its middle."""
    import numpy as np

    if mask.shape == (height, width):
        return mask
    rows = ((2 * np.arange(height) + 1) * mask.shape[0]) // (2 * height)
    columns = ((2 * np.arange(width) + 1) * mask.shape[1]) // (2 * width)
    resized: Pixels = mask[rows[:, None], columns]
    return resized


def clip_in(folder: Path) -> Path:
    """The clip next to the request samples."""
    found = sorted(folder.glob(f"{CLIP}.*"))
    if not found:
        raise KpiError("the workload gives no clip", "this scenario is for workloads of video segmentation")
    return found[0]
