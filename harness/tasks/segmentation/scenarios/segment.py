"""Segments every frame of the clip once, for the scores of the masks, and keeps the drawn clip."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.measure.media.decoding import look_at, read_frames
from harness.measure.media.encoding import Encoder
from harness.measure.media.overlay import draw
from harness.measure.scenarios.base import ProducesOutputs, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import Checked, replay, spreads
from harness.tasks.segmentation.masks import ious
from harness.tasks.segmentation.pipeline import video
from harness.tasks.segmentation.workload import MASKS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import TensorSession

    Masks = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Segmented:
    """The classes found in each pixel, (frames, height, width), and the right ones; None where there are no masks."""

    found: Masks
    wanted: Masks | None
    classes: tuple[str, ...]


class Segment(TensorScenario, ProducesOutputs):
    """Every frame once, in order; the masks go to a file, the drawn clip next to ``results/*.json``."""

    name = "segment"
    title = "every frame of the clip"
    reads_workload = True
    timed = False

    @classmethod
    def read(cls, file: Path) -> Segmented:
        import numpy as np

        with np.load(file) as arrays:
            wanted = arrays["wanted"] if "wanted" in arrays.files else None
            return Segmented(arrays["found"], wanted, tuple(map(str, arrays["classes"])))

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``results.json`` of a recipe: for each frame the IoU of each class; next to it the drawn clip."""
        import numpy as np

        seen = cls.read(file)
        frames: list[dict[str, Any]] = []
        for number, found in enumerate(seen.found):
            frames.append({"frame": number, "pixels": _counted(found, seen.classes)})
            if seen.wanted is not None:
                fit = ious(found, seen.wanted[number], len(seen.classes))
                frames[-1]["iou"] = {
                    name: round(float(value), 6)
                    for name, value in zip(seen.classes, fit, strict=True)
                    if np.isfinite(value)
                }
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(frames, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(file.with_suffix(".mp4"), results.with_suffix(".mp4"))

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        import numpy as np

        fixture, clip = video(stage)
        wanted = None
        if (stage.requests / MASKS).exists():
            with np.load(stage.requests / MASKS) as arrays:
                wanted = arrays["masks"]
        found: list[Masks] = []
        checked = Checked((), "frames")
        info = look_at(clip)
        with Encoder(stage.outputs.with_suffix(".mp4"), info.width, info.height, info.rate) as out, stage.scored():
            for frame in read_frames(clip):
                feeds = fixture.prepare(frame)
                answer = session.run(feeds)
                checked.add(answer, 1, 1)
                if not found:
                    replay(session.run, feeds, answer, spreads(answer))
                found.append(fixture.decide(answer, *frame.shape[:2]))
                out.write(draw(frame, found[-1], fixture.palette))
                if len(found) % 50 == 0:
                    stage.progress(f"{len(found)} frames")
            checked.finish()
        more = {} if wanted is None else {"wanted": wanted}
        np.savez_compressed(stage.outputs, found=np.stack(found), classes=np.array(fixture.classes), **more)
        return {"completed": len(found), "batch": 1, "outputs": stage.outputs.name}


def _counted(mask: Masks, classes: tuple[str, ...]) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(mask.ravel(), minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, counts, strict=True) if count}
