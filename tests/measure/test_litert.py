"""LiteRT with files that nothing but these tests wrote: what it answers, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from harness.core.errors import KpiError, Unavailable
from harness.measure.runtimes.base import TensorSession
from harness.measure.runtimes.litert import LiteRtRuntime
from tests.support.tflite_files import dense, opened

WEIGHT = np.random.default_rng(0).normal(0, 0.3, (5, 16)).astype(np.float32)
IMAGES = np.random.default_rng(1).uniform(-1, 1, (3, 16)).astype(np.float32)


def session(folder: Path, *, batch: int | None = 1, profile: bool = True, **options: object) -> TensorSession:
    runtime = LiteRtRuntime(LiteRtRuntime.Options(**options))
    runtime.import_library()
    loaded = runtime.load(folder, "cpu", batch, profile=profile)
    assert isinstance(loaded, TensorSession)
    return loaded


@pytest.mark.parametrize(("kind", "apart"), [("float", 1e-6), ("hybrid", 0.02), ("int8", 0.05)])
@pytest.mark.parametrize("xnnpack", [True, False])
def test_it_answers_what_the_layer_gives(tmp_path: Path, kind: str, apart: float, *, xnnpack: bool) -> None:
    dense(tmp_path / "model.tflite", WEIGHT, kind=kind)
    loaded = session(tmp_path, batch=3, xnnpack=xnnpack)
    answer = loaded.run({"image": IMAGES})["scores"]
    assert answer.dtype == np.float32
    assert np.abs(answer - IMAGES @ WEIGHT.T).max() < apart
    assert (loaded.proof().details["delegate"] == "XNNPACK") is xnnpack


def test_batches_of_another_size_and_other_threads(tmp_path: Path) -> None:
    dense(tmp_path / "model.tflite", WEIGHT)
    loaded = session(tmp_path, batch=1)
    together = loaded.run({"image": IMAGES})["scores"]
    again = loaded.clone_for_thread()
    for row in range(3):
        assert np.allclose(loaded.run({"image": IMAGES[row : row + 1]})["scores"], together[row], atol=1e-6)
        assert np.allclose(again.run({"image": IMAGES[row : row + 1]})["scores"], together[row], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "integers", "precision", "said"),
    [("float", 0, "fp32", {}), ("hybrid", 80, "int8", {"dynamic_ranges": 1}), ("int8", 80, "int8", {})],
)
def test_its_proof_weighs_integers(
    tmp_path: Path, kind: str, integers: int, precision: str, said: dict[str, int]
) -> None:
    dense(tmp_path / "model.tflite", WEIGHT, kind=kind)
    loaded = session(tmp_path, threads=2)
    loaded.run({"image": IMAGES[:1]})
    proof = loaded.proof()
    assert (proof.heavy_ops, proof.heavy_work, proof.integer_work) == (1, 80, integers)
    assert (proof.precision, proof.threads, proof.device) == (precision, 2, "CPU")
    assert {key: proof.details.get(key) for key in said} == said
    assert ("quantized_by_the_host" in proof.details) is (kind == "int8")


@pytest.mark.parametrize("xnnpack", [True, False])
def test_weights_in_integers_alone_round_activations_too(tmp_path: Path, *, xnnpack: bool) -> None:
    """Why such a layer counts as one in integers: in floating point it would be exact but for the weights."""
    dense(tmp_path / "model.tflite", WEIGHT, kind="hybrid")
    step = np.abs(WEIGHT).max() / 127
    exact = IMAGES @ (np.rint(WEIGHT / step) * step).T
    apart = np.abs(session(tmp_path, batch=3, xnnpack=xnnpack).run({"image": IMAGES})["scores"] - exact).max()
    assert 1e-4 < apart < 0.02


def test_a_look_inside_is_not_taken_where_times_count(tmp_path: Path) -> None:
    """Whether there are integers is known anyway: what is proven on one class of processors counts for it alone."""
    dense(tmp_path / "model.tflite", WEIGHT, kind="int8")
    loaded = session(tmp_path, profile=False)
    loaded.run({"image": IMAGES[:1]})
    proof = loaded.proof()
    assert (proof.integer, proof.heavy_work, proof.integer_work) == (True, None, None)
    assert proof.details["delegated"] == "1 of 1 operators"


def test_integers_of_its_own_type_are_taken_as_they_are(tmp_path: Path) -> None:
    dense(tmp_path / "model.tflite", WEIGHT, kind="int8")
    whole = np.rint(IMAGES * 127).astype(np.int8)
    loaded = session(tmp_path, batch=3)
    assert np.array_equal(loaded.run({"image": whole})["scores"], loaded.run({"image": IMAGES})["scores"])


@pytest.mark.parametrize(
    ("operator", "remedy"),
    [("FlexErf", "FlexErf is an operator of TensorFlow: convert with built-in"), ("Sparkle", "Sparkle is not one of")],
)
def test_an_operator_that_it_lacks_is_named(tmp_path: Path, operator: str, remedy: str) -> None:
    made = opened()
    x, y = made.tensor("x", (None, 3)), made.tensor("y", (None, 3))
    made.operator(operator, (x,), y)
    made.save(tmp_path / "model.tflite", (x,), (y,))
    with pytest.raises(KpiError, match="LiteRT can't load the artifact") as caught:
        session(tmp_path)
    assert caught.value.remedy.startswith(remedy)


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    file = dense(tmp_path / "model.tflite", WEIGHT)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(KpiError, match=r"can't load the artifact: .* or a truncated one") as caught:
        session(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_device_that_it_does_not_run_on(tmp_path: Path) -> None:
    dense(tmp_path / "model.tflite", WEIGHT)
    runtime = LiteRtRuntime(LiteRtRuntime.Options())
    with pytest.raises(Unavailable, match="not on a npu"):
        runtime.load(tmp_path, "npu", 1, profile=False)


def test_a_fixed_batch_is_the_only_one(tmp_path: Path) -> None:
    dense(tmp_path / "model.tflite", WEIGHT, batch=1)
    loaded = session(tmp_path)
    assert loaded.run({"image": IMAGES[:1]})["scores"].shape == (1, 5)
    with pytest.raises(ValueError, match="Dimension mismatch"):
        loaded.run({"image": IMAGES})
