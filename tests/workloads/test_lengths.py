"""Samples of several shapes: who is in a batch with whom, what requests become, the same answers in the same order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.measure.requests import alone, evenly, read_requests, together
from harness.workloads.base import ArraySplit, TensorSpec
from harness.workloads.batches import alike, batches, even, joined, taken
from harness.workloads.checks import CheckedSplit
from tests.support.small_models import Stripes


class Ragged(ArraySplit):
    """Sample n has 2 or 4 numbers, all of them n."""

    sizes = (2, 4, 4, 2, 4, 4, 2)

    def __init__(self) -> None:
        super().__init__({}, np.arange(7))

    @property
    def shapes(self) -> Sequence[Hashable]:
        return self.sizes

    def inputs(self, start: int, stop: int) -> dict[str, Any]:
        (size,) = set(self.sizes[start:stop])
        return {"x": np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], size, axis=1)}


class Workload(Stripes):
    """Its samples are ragged."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("x", (4,), varies=(0,)),)

    def split(self, name: str) -> ArraySplit:
        del name
        return Ragged()


def test_only_samples_of_one_shape_are_in_a_batch() -> None:
    split = Ragged()
    assert alike(split, range(7)) == [[1, 2, 4, 5], [0, 3, 6]]
    assert list(batches(split, 7, 3)) == [[1, 2, 4], [5], [0, 3, 6]]
    # Of the first samples alone, not of the short ones first.
    assert list(batches(split, 3, 3)) == [[1, 2], [0]]
    assert taken(split, [1, 4])["x"].tolist() == [[1] * 4, [4] * 4]
    plain = ArraySplit({"x": np.arange(7)}, np.arange(7))
    assert list(batches(plain, 7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert taken(plain, [5, 2])["x"].tolist() == [5, 2]
    assert even(7, 3) == [0, 3, 6]
    assert even(2, 3) == [0, 1]
    assert even(0, 3) == []


def test_answers_of_several_lengths_are_filled_up() -> None:
    made = joined([np.ones((2, 3)), np.zeros((1, 2))])
    assert made.shape == (3, 3)
    assert np.isnan(made).sum() == 1
    assert np.isnan(made[2, 2])
    assert joined([np.ones((2, 3), np.int64)] * 2).dtype == np.int64


def test_requests_keep_their_own_length(tmp_path: Path) -> None:
    Workload().write_samples(tmp_path, 64)
    parts = read_requests(tmp_path)
    assert [part["x"].shape for part in parts] == [(4, 4), (3, 2)]
    singles = alone(parts)
    assert sorted(float(one["x"][0, 0]) for one in singles) == list(range(7))
    # The shapes are mixed as evenly as they can be, so that each part of a process has its share of both.
    assert [one["x"].shape[1] for one in singles] == [4, 2, 4, 2, 4, 2, 4]
    mixed = together(parts, 2)
    assert [one["x"].shape for one in mixed] == [(2, size) for size in (4, 2, 4, 2, 4, 2, 4)]
    assert [one["x"][:, 0].tolist() for one in mixed[:3]] == [[1, 2], [0, 3], [4, 5]]
    assert evenly([2, 1]) == [(0, 0), (1, 0), (0, 1)]


def test_samples_of_a_pass_are_of_one_length() -> None:
    workload = Workload()
    assert workload.some("training", 3)["x"].tolist() == [[1] * 4, [2] * 4, [5] * 4]
    assert workload.probes(2)["x"].shape == (2, 4)


def test_shapes_are_held_against_what_is_declared(tmp_path: Path) -> None:
    workload = Workload()
    checked = CheckedSplit(Ragged(), "evaluation", workload, tmp_path)
    assert checked.shapes == list(Ragged.sizes)
    assert checked.inputs(0, 1)["x"].shape == (1, 2)

    class Long(Ragged):
        def inputs(self, start: int, stop: int) -> dict[str, Any]:
            return {"x": np.zeros((stop - start, 5), np.float32)}

    class Few(Ragged):
        sizes = (2, 4)

        def __len__(self) -> int:
            return 7

    with pytest.raises(KpiError, match=r"has the shape \(1, 5\), expected \(1, 4\)"):
        CheckedSplit(Long(), "evaluation", workload, tmp_path).inputs(0, 1)
    with pytest.raises(KpiError, match="there are 2 shapes for 7 samples"):
        _ = CheckedSplit(Few(), "evaluation", workload, tmp_path).shapes
