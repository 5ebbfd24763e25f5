"""Video segmentation on the whole way: promised, built, played, scored; clips of one's own, bad ones among them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.measure.media.decoding import read_frames
from harness.measure.media.encoding import Encoder
from harness.tasks.segmentation.pipeline import STAGES
from tests.support.project import ROOT, Project, copied_project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite

FRAMES = 24


@pytest.fixture
def clips(tmp_path: Path, shared_store: Path) -> Project:
    return copied_project("clips", tmp_path, shared_store)


def targets(project: Project) -> dict[str, dict[str, Any]]:
    return {target["id"]: target for target in project.evidence()["targets"]}


@pytest.mark.long
def test_a_clip_is_segmented_timed_and_scored(clips: Project) -> None:
    done = clips.pytest()
    assert done.returncode == 0, done.stdout
    assert set(clips.verdicts().values()) == {"PASS"}, done.stdout
    found = targets(clips)
    assert found["plain:miou"]["n"] == FRAMES
    assert 0.9 < found["plain:miou"]["value"] <= 1
    assert found["other:streams"]["value"] in (1, 2)
    measured = {(m["recipe"], m["scenario"]): m for m in clips.evidence()["measurements"]}
    stream = measured["clips/fp32", "stream"]["processes"][-1]
    assert {name: len(times) for name, times in stream["series"].items()} == {
        f"{name}_s": stream["completed"] for name in STAGES
    }
    camera = measured["clips/onnx", "camera"]["processes"][0]
    assert camera["details"]["due"] == camera["completed"] + camera["details"]["dropped"] == 20
    assert measured["clips/onnx", "streams"]["processes"][0]["details"]["tried"][0]["streams"] == 1
    run = clips.folder / ".kpi/latest"
    # What was drawn can be looked at.
    (outputs,) = clips.folder.glob(".kpi/runs/*/outputs")
    assert len(list(read_frames(outputs / stream["outputs"]))) == min(FRAMES, stream["completed"])
    for recipe in ("fp32", "onnx"):
        drawn = list(read_frames(run / f"results/clips-{recipe}.mp4"))
        assert len(drawn) == FRAMES
        red = drawn[5][12, 13].astype(int)
        assert red[0] > red[2] + 100
        results = json.loads((run / f"results/clips-{recipe}.json").read_text())
        assert [len(frame["iou"]) for frame in results] == [2 + bool(n % 4) for n in range(FRAMES)]


@pytest.mark.long
def test_ones_own_clip_is_timed_without_masks_and_scored_with_them(clips: Project) -> None:
    folder = clips.folder / "mine"
    folder.mkdir()
    with Encoder(folder / "clip.mp4", 64, 48, Fraction(30)) as out:
        for number in range(FRAMES):
            frame = np.full((48, 64, 3), 40, np.uint8)
            frame[4:20, number : number + 16] = (220, 30, 30)
            out.write(frame)
    clips.change('reference = "fp32"\n', 'reference = "fp32"\ndata = "mine"\n')
    done = clips.pytest("-k", "plain and (miou or p50) or pixels")
    found = targets(clips)
    assert found["plain:p50"]["verdict"] == "PASS", done.stdout
    assert found["other:pixels"]["verdict"] == "PASS"
    assert found["plain:miou"]["verdict"] == "UNAVAILABLE"
    assert "masks/*.png" in found["plain:miou"]["remedy"]
    (folder / "masks").mkdir()
    for number in range(FRAMES):
        mask = np.zeros((48, 64), np.uint8)
        mask[4:20, number : number + 16] = 1
        # Every other one says blue of what is red: the IoU of both is zero there.
        Image.fromarray(mask * (1 + number % 2)).save(folder / "masks" / f"{number:04}.png")
    done = clips.pytest("-k", "plain and miou")
    assert targets(clips)["plain:miou"]["verdict"] == "FAIL", done.stdout
    assert 0.6 < targets(clips)["plain:miou"]["value"] < 0.7


@pytest.mark.parametrize(
    ("content", "verdict", "said"),
    [
        (None, "UNAVAILABLE", "is not here"),
        (b"no clip at all" * 50, "ERROR", "the clip mine.mp4 can't be read as video"),
    ],
)
def test_a_clip_that_is_none_is_one_line_and_every_target_is_counted(
    clips: Project, content: bytes | None, verdict: str, said: str
) -> None:
    clips.change('reference = "fp32"\n', 'reference = "fp32"\ndata = "mine.mp4"\n')
    if content is not None:
        (clips.folder / "mine.mp4").write_bytes(content)
    done = clips.pytest("-k", "plain")
    verdicts = clips.verdicts()
    assert {verdicts[f"plain:{name}"] for name in ("miou", "p50", "stream")} == {verdict}, done.stdout
    assert len(verdicts) == 8
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_without_pyav_there_is_nothing_to_prove(clips: Project) -> None:
    blocked = clips.folder / "blocked"
    blocked.mkdir()
    (blocked / "av.py").write_text('raise ImportError("No module named av")\n')
    clips.environment["PYTHONPATH"] = f"{blocked}:{ROOT}"
    done = clips.pytest("-k", "plain")
    found = targets(clips)
    for name in ("miou", "p50", "stream"):
        assert found[f"plain:{name}"]["verdict"] == "UNAVAILABLE", done.stdout
        assert found[f"plain:{name}"]["remedy"] == 'pip install "kpi-tests[video]"'
