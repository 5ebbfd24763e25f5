"""ncnn with files that nothing but these tests wrote: what it answers, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ncnn")

from harness.core.errors import KpiError, Unavailable
from harness.measure.runtimes.base import TensorSession
from harness.measure.runtimes.ncnn import NcnnRuntime
from tests.support.ncnn_files import dense

WEIGHT = np.random.default_rng(0).normal(0, 0.3, (5, 16)).astype(np.float32)
IMAGES = np.random.default_rng(1).uniform(-1, 1, (3, 16)).astype(np.float32)


def session(folder: Path, *, profile: bool = True, **options: object) -> TensorSession:
    runtime = NcnnRuntime(NcnnRuntime.Options(**options))
    runtime.import_library()
    loaded = runtime.load(folder, "cpu", None, profile=profile)
    assert isinstance(loaded, TensorSession)
    return loaded


@pytest.mark.parametrize(("integer", "apart"), [(False, 1e-5), (True, 0.03)])
def test_it_answers_what_the_layer_gives(tmp_path: Path, apart: float, *, integer: bool) -> None:
    dense(tmp_path / "model.param", WEIGHT, integer=integer)
    loaded = session(tmp_path)
    answer = loaded.run({"image": IMAGES})["scores"]
    assert answer.shape == (3, 5)
    error = np.abs(answer - IMAGES @ WEIGHT.T).max()
    assert error < apart
    assert bool(error > 1e-4) is integer
    # Another thread's way in, and samples alone.
    again = loaded.clone_for_thread()
    for row in range(3):
        assert np.allclose(again.run({"image": IMAGES[row : row + 1]})["scores"], answer[row], atol=1e-6)


@pytest.mark.parametrize(("integer", "precision", "work"), [(False, "fp32", 0), (True, "int8+fp32", 80)])
def test_its_proof_weighs_integers(tmp_path: Path, precision: str, work: int, *, integer: bool) -> None:
    dense(tmp_path / "model.param", WEIGHT, integer=integer)
    loaded = session(tmp_path, threads=2)
    loaded.run({"image": IMAGES[:1]})
    proof = loaded.proof()
    assert (proof.heavy_ops, proof.heavy_work, proof.integer_work) == (1, 80, work)
    assert (proof.precision, proof.threads, proof.device) == (precision, 2, "CPU")
    assert proof.details["threads_chosen_by"] == "the recipe"


def test_half_precision_is_told_where_it_is_permitted(tmp_path: Path) -> None:
    dense(tmp_path / "model.param", WEIGHT)
    loaded = session(tmp_path, precision="device")
    assert np.allclose(loaded.run({"image": IMAGES})["scores"], IMAGES @ WEIGHT.T, atol=0.01)
    assert loaded.proof().precision == "fp16 or fp32"


def test_a_look_inside_is_not_taken_where_times_count(tmp_path: Path) -> None:
    dense(tmp_path / "model.param", WEIGHT, integer=True)
    loaded = session(tmp_path, profile=False)
    loaded.run({"image": IMAGES[:1]})
    proof = loaded.proof()
    assert (proof.integer, proof.heavy_work, proof.integer_work) == (True, None, None)


def test_a_device_that_it_does_not_run_on(tmp_path: Path) -> None:
    dense(tmp_path / "model.param", WEIGHT)
    with pytest.raises(Unavailable, match="not on a npu"):
        NcnnRuntime(NcnnRuntime.Options()).load(tmp_path, "npu", 1, profile=False)


def test_weights_that_are_cut_off_are_one_line(tmp_path: Path) -> None:
    weights = dense(tmp_path / "model.param", WEIGHT).with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(KpiError, match=r"model\.param can't be loaded with model\.bin: they do not belong") as caught:
        session(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_layer_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    file = dense(tmp_path / "model.param", WEIGHT)
    file.write_text(file.read_text().replace("InnerProduct", "Sparkle"))
    with pytest.raises(KpiError, match="has layers that ncnn does not know: Sparkle"):
        session(tmp_path)
