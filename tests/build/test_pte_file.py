"""A ``.pte`` file read without ExecuTorch: what it says of itself, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, Unavailable
from harness.core.libraries import version_of
from harness.core.pte import read_pte
from harness.spec.catalog import environments, model_files, passes
from harness.workloads.files.signature import read_signature
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings
from tests.support.pte_files import FLOAT, INT8, unnamed
from tests.support.small_models import apply

WITHOUT = not any(map(version_of, ("executorch", "executorch-numpy-runtime")))


@pytest.mark.parametrize("file", [FLOAT, INT8])
def test_names_types_and_sizes_are_in_the_file(file: Path) -> None:
    found = read_signature(file)
    assert [str(port) for port in (*found.inputs, *found.outputs)] == [
        "image (float32 1x1x16x16)",
        "logits (float32 1x4)",
    ]
    assert found.batch == 1
    assert found.about == "ExecuTorch, 1 operators outside of delegates; delegated to XnnpackBackend"


def test_without_names_they_are_numbered(tmp_path: Path) -> None:
    file = unnamed(tmp_path / "m.pte")
    found = read_signature(file)
    assert [port.name for port in (*found.inputs, *found.outputs)] == ["input_0", "output_0"]


def test_a_method_of_another_name_is_taken_where_it_is_the_only_one(tmp_path: Path) -> None:
    file = tmp_path / "m.pte"
    file.write_bytes(FLOAT.read_bytes().replace(b"forward", b"encoder"))
    assert read_pte(file).method == "encoder"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model at all, but longer than a header"])
def test_what_is_no_such_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pte").write_bytes(content)
    with pytest.raises(KpiError, match=r"m\.pte is not an ExecuTorch program: it does not begin with ET12"):
        read_signature(tmp_path / "m.pte")


def test_wherever_it_is_cut_off_is_one_line(tmp_path: Path) -> None:
    content, file = FLOAT.read_bytes(), tmp_path / "m.pte"
    for size in range(8, len(content) - 1024, 61):
        file.write_bytes(content[:size])
        with pytest.raises(KpiError, match="is not an ExecuTorch program, or a truncated one") as caught:
            read_pte(file)
        assert "\n" not in str(caught.value)


def test_damage_is_never_a_traceback(tmp_path: Path) -> None:
    content, chance, refused = bytearray(FLOAT.read_bytes()), np.random.default_rng(0), 0
    for place in chance.integers(0, 2048, 400):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / "m.pte").write_bytes(damaged)
        try:
            read_pte(tmp_path / "m.pte")
        except KpiError:
            refused += 1
    assert refused > 40


def test_data_of_its_size_make_a_workload(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", image=np.zeros((40, 1, 16, 16), np.float32))
    made = FileWorkload(file_settings("tensors", FLOAT, DataFiles(tmp_path / "d.npz"), tmp_path / "cache"))
    assert [(spec.name, spec.shape) for spec in made.inputs] == [("image", (1, 16, 16))]
    np.savez(tmp_path / "d.npz", image=np.zeros((40, 1, 16, 15), np.float32))
    with pytest.raises(KpiError, match="image"):
        _ = FileWorkload(file_settings("tensors", FLOAT, DataFiles(tmp_path / "d.npz"), tmp_path / "cache")).inputs


@pytest.mark.skipif(not WITHOUT, reason="a runtime of ExecuTorch is installed here")
def test_where_no_runtime_is_installed_its_environment_is_named(tmp_path: Path) -> None:
    known = environments(tmp_path)
    needed = {cls.environment for cls in (model_files()[".pte"], passes()["executorch"], passes()["executorch-int8"])}
    assert needed <= known.keys()
    np.savez(tmp_path / "d.npz", image=np.random.default_rng(0).random((40, 1, 16, 16), np.float32))
    made = FileWorkload(file_settings("tensors", FLOAT, DataFiles(tmp_path / "d.npz"), tmp_path / "cache"))
    with pytest.raises((KpiError, Unavailable), match="no runtime of ExecuTorch is installed here"):
        apply("pte-file", tmp_path / "out", made, file=str(FLOAT))
