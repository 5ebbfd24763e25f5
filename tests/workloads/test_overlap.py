"""Samples that are in two splits are found by their content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.workloads.base import ArraySplit
from harness.workloads.overlap import TRAINING, Recorder, digests, keep_training, shared
from tests.support.small_models import Stripes

RANDOM = np.random.default_rng(4)
IMAGES = RANDOM.normal(size=(10, 3, 4)).astype(np.float32)


class Workload:
    def split(self, name: str) -> ArraySplit:
        return ArraySplit({"x": IMAGES if name == "training" else IMAGES + 1}, np.zeros(10, np.int64))


def test_a_digest_is_of_the_content_alone() -> None:
    assert digests({"x": IMAGES[2:4]}) == digests({"x": np.asfortranarray(IMAGES)})[2:4]
    assert len(set(digests({"x": IMAGES}))) == 10
    changed = IMAGES.copy()
    changed[7, 1, 1] += 1e-3
    assert shared(digests({"x": IMAGES}), digests({"x": changed})) == 9


def test_all_inputs_count() -> None:
    ids = np.arange(10)
    assert shared(digests({"x": IMAGES, "id": ids}), digests({"x": IMAGES, "id": ids + 1})) == 0


def test_what_a_pass_reads_is_remembered_by_split() -> None:
    fixture = Workload()
    with Recorder(fixture) as recorder:
        training = fixture.split("training")
        training.inputs(0, 3)
        training.take([2, 8])
        fixture.split("validation")
    # What is read later, as for a comparison, was no part of the pass.
    fixture.split("training").inputs(4, 6)
    assert len(training) == 10
    assert len(training.labels) == 10
    assert set(recorder.seen) == {"training"}
    assert shared(digests({"x": IMAGES}), recorder.seen["training"]) == 4


def test_some_training_samples_are_kept_beside_the_request_samples(tmp_path: Path) -> None:
    workload = Stripes()
    keep_training(workload, tmp_path)
    kept = [digest.decode() for digest in np.load(tmp_path / TRAINING).tolist()]
    assert kept == digests(workload.split("training").inputs(0, 40))


@pytest.mark.parametrize("error", [KeyError("training"), RuntimeError("no data"), OSError("gone")])
def test_a_fixture_without_a_training_split_keeps_none(tmp_path: Path, error: Exception) -> None:
    class Evaluated(Stripes):
        def split(self, name: str) -> ArraySplit:
            if name != "evaluation":
                raise error
            return ArraySplit(self.arrays, self.labels)

    keep_training(Evaluated(), tmp_path)
    assert not (tmp_path / TRAINING).exists()
    assert len(Evaluated().probes(4)["image"]) == 4


def test_a_split_of_ones_own_keeps_what_else_it_has() -> None:
    class Named(ArraySplit):
        origin = "a paper"

    class Own:
        def split(self, name: str) -> Named:
            del name
            return Named({"x": IMAGES}, np.zeros(10, np.int64))

    own = Own()
    with Recorder(own):
        assert own.split("training").origin == "a paper"


def test_rows_that_are_read_again_are_one_sample() -> None:
    fixture = Workload()
    with Recorder(fixture) as recorder:
        for _ in range(3):
            fixture.split("training").inputs(0, 4)
            fixture.split("training").take([3, 4, 3])
    assert len(recorder.seen["training"]) == 5
