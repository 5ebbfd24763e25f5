"""Evaluation samples: the same alone and in a batch, repeats counted once, labels and clusters as they can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import FixtureMistake, KpiError
from harness.measure.scenarios.splits import clustered, require_alone
from harness.workloads.base import ArraySplit, Split
from harness.workloads.checks import CheckedSplit
from harness.workloads.loading import code_digest

IMAGES = {"image": np.arange(48, dtype=np.float32).reshape(12, 4)}
LABELS = np.arange(12) % 3


class Centred(Split):
    """It takes the mean of what is read together off each sample."""

    @property
    def labels(self) -> Any:
        return LABELS

    def inputs(self, start: int, stop: int) -> dict[str, Any]:
        rows = IMAGES["image"][start:stop]
        return {"image": rows - rows.mean(axis=0)}


def test_a_sample_must_be_the_same_alone_and_in_a_batch() -> None:
    whole = ArraySplit(IMAGES, LABELS)
    require_alone(whole, whole.inputs(0, 8))
    with pytest.raises(KpiError, match='evaluation sample 7: "image" is another one alone than in a batch of 8'):
        require_alone(Centred(), Centred().inputs(0, 8))


def test_repeats_are_one_cluster_where_nothing_else_is_said() -> None:
    assert clustered(None, ["a", "b", "c"]) == {}
    assert clustered(None, ["a", "b", "a"]) == {"clusters": [0, 1, 0]}
    assert clustered(["x", "y", "y"], ["a", "b", "a"]) == {"clusters": [0, 1, 1]}
    assert clustered(["x", "y", "z"], ["a", "b", "a"]) == {}


def test_one_cluster_is_named_for_each_sample() -> None:
    assert ArraySplit(IMAGES, LABELS, list("abcabcabcabc")).clusters == list("abcabcabcabc")
    with pytest.raises(FixtureMistake, match="there are 2 clusters for 12 samples"):
        ArraySplit(IMAGES, LABELS, ["a", "b"])


class Declared:
    """As much of a workload as a checked split needs."""

    inputs = ()

    def split(self, name: str) -> None:
        """Only its place is asked for."""


def checked(split: Split) -> CheckedSplit:
    return CheckedSplit(split, "evaluation", Declared(), Path(__file__).parent)  # type: ignore[arg-type]


def test_a_cluster_without_a_name_is_a_sample_of_its_own() -> None:
    names = ["a", None, float("nan"), "a", *[None] * 8]
    found = checked(ArraySplit(IMAGES, LABELS, names)).clusters
    assert found is not None
    assert len(set(found)) == 11
    assert found[0] == found[3] == "a"


def test_labels_of_no_number_are_one_line() -> None:
    class Odd(ArraySplit):
        @property
        def labels(self) -> Any:
            return np.array([0, "x", None] * 4, dtype=object)

    with pytest.raises(KpiError, match="labels are of type object") as error:
        _ = checked(Odd(IMAGES, LABELS)).labels
    assert "whole numbers" in error.value.remedy


def test_code_beside_a_fixture_that_it_imports_belongs_to_it(tmp_path: Path) -> None:
    fixture = tmp_path / "fixtures/one"
    fixture.mkdir(parents=True)
    (tmp_path / "fixtures/__init__.py").write_text("", encoding="utf-8")
    (fixture / "__init__.py").write_text("def model():\n    from fixtures.helper import weights\n", encoding="utf-8")
    helper, other = tmp_path / "fixtures/helper.py", tmp_path / "fixtures/other.py"
    helper.write_text("from fixtures import deeper\nweights = 1\n", encoding="utf-8")
    (tmp_path / "fixtures/deeper.py").write_text("x = 1\n", encoding="utf-8")
    other.write_text("y = 1\n", encoding="utf-8")
    before = code_digest(tmp_path, "fixtures.one")
    other.write_text("y = 2\n", encoding="utf-8")
    assert code_digest(tmp_path, "fixtures.one") == before
    for file in (helper, tmp_path / "fixtures/deeper.py"):
        file.write_text(file.read_text(encoding="utf-8").replace("= 1", "= -1"), encoding="utf-8")
        assert code_digest(tmp_path, "fixtures.one") != before
        before = code_digest(tmp_path, "fixtures.one")
