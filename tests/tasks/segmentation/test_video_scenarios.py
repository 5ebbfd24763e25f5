"""A clip played to a session whose service time is known: stages, dropped frames, streams, errors."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError
from harness.measure.media.decoding import read_frames
from harness.measure.media.encoding import Encoder
from harness.measure.records import Proof
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.tasks.segmentation.pipeline import STAGES
from harness.tasks.segmentation.scenarios.segment import Segment
from harness.tasks.segmentation.scenarios.stream import Camera, Stream
from harness.tasks.segmentation.scenarios.streams import Streams, largest
from harness.tasks.segmentation.workload import MASKS, VideoSegmentation
from harness.workloads.base import Settings, Split, TensorSpec

if TYPE_CHECKING:
    import torch

    from harness.measure.runtimes.base import Arrays

FRAMES = 10


class OneAtATime(TensorSession):
    """A device that takes a known time for a frame, however many threads ask."""

    def __init__(self, service_s: float = 0.0, fails_at: int = -1, answer: float = 1.0) -> None:
        self.turn = threading.Lock()
        self.service_s = service_s
        self.came = 0
        self.ways = 1
        self.closed = 0
        self.fails_at = fails_at
        self.answer = answer

    def run(self, feeds: Arrays) -> dict[str, Any]:
        with self.turn:
            self.came += 1
            if self.came == self.fails_at:
                raise KpiError("the device failed")
            time.sleep(self.service_s)
        return {"logits": feeds["brightness"] * self.answer}

    def clone_for_thread(self) -> TensorSession:
        self.ways += 1
        return Way(self)

    def proof(self) -> Proof:
        return Proof(runtime="test", version="1", device="CPU", precision="f32")


class Way(OneAtATime):
    """A way in to the same device."""

    def __init__(self, device: OneAtATime) -> None:
        self.device = device

    def run(self, feeds: Arrays) -> dict[str, Any]:
        return self.device.run(feeds)

    def close(self) -> None:
        self.device.closed += 1


class Bright(VideoSegmentation):
    """The upper half is of class 1, the lower of class 2 in a bright frame, else of class 0."""

    inputs = (TensorSpec("brightness", (1,)),)
    outputs = ("logits",)
    classes = ("dark", "top", "bright")
    palette = ((0, 0, 0), (255, 0, 0), (0, 0, 255))

    def fingerprint(self) -> str:
        return "bright"

    def about(self) -> dict[str, str]:
        return {}

    def own_clip(self) -> Path:
        return self.settings.cache / "clip.mp4"

    def own_masks(self) -> Any:
        return None

    def prepare(self, frame: Any) -> Any:
        return {"brightness": np.array([[frame.mean()]], np.float32)}

    def decide(self, answer: Mapping[str, Any], height: int, width: int) -> Any:
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 1
        mask[height // 2 :] = 2 * (answer["logits"][0, 0] > 100)
        return mask

    def model(self) -> torch.nn.Module:
        raise NotImplementedError

    def split(self, name: str) -> Split:
        raise NotImplementedError(name)


@contextmanager
def unwatched() -> Iterator[None]:
    yield


@pytest.fixture
def stage(tmp_path: Path) -> ScenarioContext:
    """Ten frames, the first five dark and the others bright."""
    with Encoder(tmp_path / "clip.mp4", 32, 32, Fraction(30)) as out:
        for number in range(FRAMES):
            out.write(np.full((32, 32, 3), 40 if number < FRAMES // 2 else 180, np.uint8))
    settings = Settings(
        name="bright", task="video-segmentation", checkpoint=None, checkpoint_sha256=None, model=None, data=None,
        allow_pickle=False, trust_remote_code=False, cache=tmp_path,
    )  # fmt: skip
    return ScenarioContext(
        inputs={"brightness": np.zeros((4, 1), np.float32)}, requests=tmp_path, seconds=0.01, samples=25,
        workload=lambda: Bright(settings), outputs=tmp_path / "out.npz", progress=lambda _: None, watch=unwatched,
    )  # fmt: skip


def play(kind: type[TensorScenario], session: TensorSession, stage: ScenarioContext, **options: Any) -> dict[str, Any]:
    return kind(kind.Options(**options)).run(session, stage)


def test_every_frame_is_timed_stage_by_stage_and_the_first_pass_is_kept(stage: ScenarioContext) -> None:
    seen = play(Stream, OneAtATime(0.004), stage)
    assert seen["completed"] == len(seen["samples_s"]) == 25
    assert set(seen["series"]) == {f"{name}_s" for name in STAGES}
    parts = np.array(list(seen["series"].values()))
    assert parts.shape == (len(STAGES), 25)
    assert (parts > 0).all()
    assert (seen["series"]["segment_s"] >= np.float64(0.004)).all()
    assert parts.sum(0) == pytest.approx(seen["samples_s"])
    assert sum(seen["samples_s"]) <= seen["elapsed_s"]
    assert set(seen["details"]["stages"]) == set(STAGES)
    assert seen["details"]["stages"]["segment"]["p50"] >= 0.004
    kept = list(read_frames(stage.outputs.with_name(seen["outputs"])))
    assert len(kept) == FRAMES
    red, blue = kept[-1][4, 16].astype(int), kept[-1][28, 16].astype(int)
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60


def test_a_slow_device_drops_what_a_newer_frame_overtakes(stage: ScenarioContext) -> None:
    seen = play(Camera, OneAtATime(0.05), stage, fps=50, frames=40)
    details = seen["details"]
    assert details["due"] == 40
    assert seen["completed"] + details["dropped"] == 40
    # A frame takes two and a half of the camera's: of forty at most seventeen can be taken.
    assert 1 <= seen["completed"] <= 17
    assert min(seen["samples_s"]) >= 0.05
    assert seen["elapsed_s"] >= seen["completed"] * 0.05
    assert len(seen["series"]["decode_s"]) == seen["completed"]


def test_a_fast_device_drops_nothing_and_waits_for_each_frame(stage: ScenarioContext) -> None:
    seen = play(Camera, OneAtATime(), dataclasses.replace(stage, samples=1, seconds=2.0), fps=2, frames=3)
    # Two seconds are four frames, more than the three that were asked for; the last one is due after 1.5 s.
    assert seen["details"]["due"] == seen["completed"] == 4
    assert seen["details"]["dropped"] == 0
    assert seen["elapsed_s"] >= 1.5


def test_a_rate_may_be_given_to_the_stream_too(stage: ScenarioContext) -> None:
    seen = play(Stream, OneAtATime(0.05), stage, fps=50)
    assert seen["completed"] + seen["details"]["dropped"] == seen["details"]["due"] == 25
    assert seen["details"]["dropped"] >= 25 - 11


@given(st.integers(0, 100), st.integers(1, 80))
def test_the_search_finds_the_largest_in_few_steps(capacity: int, most: int) -> None:
    tried: list[int] = []

    def held(count: int) -> bool:
        assert 1 <= count <= most
        tried.append(count)
        return count <= capacity

    assert largest(held, most) == min(capacity, most)
    assert len(tried) == len(set(tried)) <= 2 * math.log2(most) + 2


@pytest.mark.suite
@pytest.mark.long
def test_streams_are_held_up_to_the_capacity(stage: ScenarioContext) -> None:
    # Twenty frames a second are five cameras of four; a machine that is busy otherwise holds fewer.
    device = OneAtATime(0.05)
    seen = play(Streams, device, stage, fps=4, trial_s=3, most=16)
    details = seen["details"]
    assert 1 <= details["streams"] <= 6
    failed = [tried["streams"] for tried in details["tried"] if not tried["held"]]
    assert failed
    assert min(failed) == details["streams"] + 1
    assert all((max(tried["dropped"]) > 0) is not tried["held"] for tried in details["tried"])
    assert all(len(tried["dropped"]) == tried["streams"] for tried in details["tried"])
    assert device.ways - 1 == device.closed == sum(tried["streams"] - 1 for tried in details["tried"])


@pytest.mark.suite
def test_a_machine_that_holds_no_stream_says_zero(stage: ScenarioContext) -> None:
    seen = play(Streams, OneAtATime(0.05), stage, fps=50, trial_s=0.5)
    assert seen["details"]["streams"] == 0
    assert len(seen["details"]["tried"]) == 1
    lenient = play(Streams, OneAtATime(0.05), stage, fps=50, trial_s=0.5, dropped=1000, most=3)
    assert lenient["details"]["streams"] == 3


@pytest.mark.parametrize("kind", [Stream, Camera, Streams, Segment])
@pytest.mark.parametrize("fails_at", [1, 8, 30])
def test_a_frame_that_fails_ends_the_run_and_nothing_hangs(
    stage: ScenarioContext, kind: type[TensorScenario], fails_at: int
) -> None:
    fails_at = min(fails_at, FRAMES) if kind is Segment else fails_at
    with pytest.raises(KpiError, match="the device failed"):
        play(kind, OneAtATime(0.002, fails_at), stage, **({"fps": 50} if kind in (Camera, Streams) else {}))
    assert not list(stage.outputs.parent.glob("*.part"))


@pytest.mark.parametrize("kind", [Stream, Camera, Streams, Segment])
def test_a_clip_that_is_no_clip_ends_the_run(stage: ScenarioContext, kind: type[TensorScenario]) -> None:
    (stage.requests / "clip.mp4").write_bytes(b"")
    with pytest.raises(KpiError, match=r"the clip clip.mp4 is empty"):
        play(kind, OneAtATime(), stage)


def test_all_masks_are_kept_and_published_with_the_drawn_clip(stage: ScenarioContext, tmp_path: Path) -> None:
    wanted = np.zeros((FRAMES, 32, 32), np.uint8)
    wanted[:, :16] = 1
    np.savez(stage.requests / MASKS, masks=wanted)
    seen = play(Segment, OneAtATime(), stage)
    assert seen["completed"] == FRAMES
    file = stage.outputs.with_name(seen["outputs"])
    read = Segment.read(file)
    assert read.found.dtype == np.uint8
    assert (read.found[: FRAMES // 2] == wanted[: FRAMES // 2]).all()
    assert (read.found[FRAMES // 2 :, 16:] == 2).all()
    results = tmp_path / "results" / "bright-fp32.json"
    Segment.publish(file, results)
    frames = json.loads(results.read_text())
    assert [frame["frame"] for frame in frames] == list(range(FRAMES))
    assert frames[0] == {"frame": 0, "pixels": {"dark": 512, "top": 512}, "iou": {"dark": 1.0, "top": 1.0}}
    assert frames[-1]["iou"] == {"dark": 0.0, "top": 1.0, "bright": 0.0}
    assert len(list(read_frames(results.with_suffix(".mp4")))) == FRAMES


def test_a_clip_without_masks_is_drawn_all_the_same(stage: ScenarioContext) -> None:
    seen = play(Segment, OneAtATime(), stage)
    assert Segment.read(stage.outputs.with_name(seen["outputs"])).wanted is None


def test_an_answer_that_is_no_number_is_an_error(stage: ScenarioContext) -> None:
    with pytest.raises(KpiError, match="logits with NaN or infinity on 10 of 10 frames, the first is 0"):
        play(Segment, OneAtATime(answer=math.nan), stage)


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Stream, {"fps": 0}), (Camera, {"fps": math.nan}), (Camera, {"frames": 0}), (Streams, {"most": 0}),
     (Streams, {"dropped": -1}), (Streams, {"trial_s": 0}), (Streams, {"fps": 1e9})],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(kind: type[TensorScenario], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        kind.Options(**options)
