"""Numbers that choose rows of a table in the model: one that it does not have is found, whatever the runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError
from harness.workloads.files.signature import table_rows
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings, save


def model(file: Path) -> Path:
    """Ids by way of Cast and Unsqueeze into a table of 9 rows, kinds into it too, and into one of 4 along axis 1."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["wide"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["wide", "last"], ["column"]),
        helper.make_node("Gather", ["words", "column"], ["some"]),
        helper.make_node("Gather", ["words", "kinds"], ["more"]),
        helper.make_node("Gather", ["across", "kinds"], ["others"], axis=1),
        helper.make_node("Gather", ["kinds", "ids"], ["unused"]),
        helper.make_node("ReduceSum", ["some"], ["one"], keepdims=0),
        helper.make_node("ReduceSum", ["others"], ["two"], keepdims=0),
        helper.make_node("Cast", ["kinds"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "one"], ["y"]),
    ]
    chance = np.random.default_rng(0)
    weights = {
        "last": np.array([-1]),
        "words": chance.random((9, 2), np.float32),
        "across": chance.random((3, 4), np.float32),
    }
    return save(file, nodes, {"ids": ["n", 5], "kinds": ["n", 5]}, {"y": ["n", 5]}, weights, dtype=TensorProto.INT64)


def workload(folder: Path, ids: np.ndarray, kinds: np.ndarray) -> FileWorkload:
    np.savez(folder / "d.npz", ids=ids, kinds=kinds)
    data = DataFiles(splits={"evaluation": folder / "d.npz"})
    return FileWorkload(file_settings("tensors", model(folder / "m.onnx"), data, folder / "cache"))


def test_the_smallest_table_counts(tmp_path: Path) -> None:
    assert table_rows(model(tmp_path / "m.onnx")) == {"ids": 9, "kinds": 4}


def test_the_first_number_beyond_is_named(tmp_path: Path) -> None:
    ids, kinds = np.full((200, 5), 8), np.full((200, 5), -4)
    workload(tmp_path, ids, kinds).fingerprint()
    ids[150, 3] = 9
    with pytest.raises(KpiError, match=r'd\.npz: sample 150: "ids" holds 9, the model has rows for 0 to 8'):
        workload(tmp_path, ids, kinds).fingerprint()
    ids[150, 3], kinds[7, 0] = 0, -5
    with pytest.raises(KpiError, match=r'sample 7: "kinds" holds -5, the model has rows for 0 to 3'):
        workload(tmp_path, ids, kinds).fingerprint()
