"""What is read of ExecuTorch's programs, and both kinds on the whole way where the environment is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.errors import Unavailable
from harness.core.executorch import BUILDING
from harness.core.libraries import version_of
from harness.core.pte import Delegate, Kernel, PteFile, PteTensor, read_pte
from harness.measure.runtimes.executorch import ExecuTorchRuntime
from harness.measure.runtimes.executorch_proof import delegated, inside
from tests.support.model_files import save
from tests.support.project import ROOT, copied_project
from tests.support.pte_files import FLOAT, INT8, unnamed
from tests.support.small_models import Stripes

WORK = 1764 + 900 + 400
"""Multiplications of the recorded files: two convolutions and a linear layer."""


@pytest.mark.parametrize(("file", "integers"), [(FLOAT, 0), (INT8, 3)])
def test_its_proof_weighs_integers(file: Path, integers: int) -> None:
    fields, said = inside(file, read_pte(file))
    assert (fields["heavy_ops"], fields["integer_ops"]) == (3, integers)
    assert (fields["heavy_work"], fields["integer_work"]) == (WORK, WORK if integers else 0)
    assert len(fields["float_layers"]) == 3 - integers
    assert said == {}


def test_an_operator_that_no_delegate_took_is_named() -> None:
    assert delegated(read_pte(INT8)) == {"delegate": "XnnpackBackend", "not_delegated": {"aten::cumsum.out": 1}}


def test_heavy_operators_outside_are_in_floating_point() -> None:
    def tensor(*shape: int) -> PteTensor:
        return PteTensor("", "float32", shape)

    kernels = (
        Kernel("aten::convolution.out", [tensor(1, 3, 8, 8), tensor(4, 3, 3, 3), None, tensor(1, 4, 6, 6)]),
        Kernel("aten::addmm.out", [tensor(5), tensor(1, 16), tensor(16, 5), None, tensor(1, 5)]),
        Kernel("aten::relu.out", [tensor(1, 5), tensor(1, 5)]),
    )
    fields, _ = inside(FLOAT, PteFile("forward", (), (), kernels, read_pte(INT8).delegates[:0]))
    assert (fields["heavy_ops"], fields["integer_ops"], fields["heavy_work"]) == (2, 0, 4 * 36 * 27 + 80)


def test_nothing_is_said_of_what_another_backend_computes_with() -> None:
    other = PteFile("forward", (), (), (), (Delegate("CoreMLBackend", 0, 10),))
    assert inside(FLOAT, other) == ({}, {})
    assert delegated(other)["delegate"] == "CoreMLBackend"


@pytest.mark.skipif(any(map(version_of, ExecuTorchRuntime.distributions)), reason="it is installed here")
def test_without_it_the_environment_is_named(tmp_path: Path) -> None:
    runtime = ExecuTorchRuntime(ExecuTorchRuntime.Options())
    with pytest.raises(Unavailable, match="no runtime of ExecuTorch is installed here") as caught:
        runtime.import_library()
    assert "kpi env create executorch" in caught.value.remedy
    with pytest.raises(Unavailable, match="not on a npu"):
        runtime.load(tmp_path, "npu", 1, profile=False)


RECIPES = """
[workload.gratings.recipe.pte]
runtime = { name = "executorch", threads = 1 }
environment = "executorch"
passes = ["executorch"]
scenario.evaluate = { batch = 1 }

[workload.gratings.recipe.pte-int8]
runtime = "executorch"
environment = "executorch"
passes = [{ pass = "executorch-int8", calibration = 32 }]
scenario.evaluate = { batch = 1 }

[[kpi]]
name = "pte"
workload = "gratings"
recipe = "pte"
machine = "any-cpu"
targets = { "accuracy.top1" = "drop <= 1 pp vs fp32", "parity.relative_error" = "<= 0.01 %", "latency.p50" = "< 1 s" }

[[kpi]]
name = "pte-int8"
workload = "gratings"
recipe = "pte-int8"
machine = "any-cpu"
targets = { "size" = "<= 0.9 x pte", "quantized.ops" = ">= 99 %", "parity.agreement" = ">= 90 %" }

[workload.delivered]
task = "tensors"
model = "small.pte"
data = "small.npz"
reference = "as-delivered"

[workload.delivered.recipe.as-delivered]
runtime = "executorch"
environment = "executorch"

[workload.delivered.recipe.int8]
runtime = "executorch"
environment = "executorch"
model = "small-int8.pte"

[workload.graph]
task = "tensors"
model = "graph.onnx"
data = "small.npz"
reference = "as-delivered"

[workload.graph.recipe.as-delivered]
runtime = "onnxruntime"

[workload.graph.recipe.pte]
runtime = "executorch"
environment = "executorch"
model = "unnamed.pte"
inputs = { input_0 = "pixels" }
outputs = { output_0 = "sums" }

[[kpi]]
name = "pte-of-a-graph"
workload = "graph"
recipe = "pte"
machine = "any-cpu"
targets = { "size" = "< 10 kB", "parity.output_cosine" = ">= -0.999" }

[[kpi]]
name = "pte-delivered"
workload = "delivered"
recipe = "int8"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 5 %", "quantized.ops" = ">= 99 %" }
"""


@pytest.mark.suite
@pytest.mark.long
def test_networks_and_files_on_the_whole_way(tmp_path: Path) -> None:
    made = Environments(Store(), ROOT)
    if not made.exists(BUILDING):
        pytest.skip(f"the environment is not installed: kpi env create {BUILDING}")
    store = tmp_path / "store"
    (store / "env").mkdir(parents=True)
    home = made.path(BUILDING)
    (store / "env" / home.name).symlink_to(home, target_is_directory=True)
    project = copied_project("gratings", tmp_path, store)
    with project.toml.open("a", encoding="utf-8") as toml:
        toml.write(RECIPES)
    for file in (FLOAT, INT8):
        shutil.copy(file, project.toml.parent)
    images = Stripes(samples=60).arrays["image"]
    np.savez(project.toml.parent / "small.npz", image=images, pixels=images)
    unnamed(project.toml.parent / "unnamed.pte")
    # Another model, of the same sizes: what counts here is that each of the two is read where the other is not.
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["sums"])]
    weight = np.ones((256, 4), np.float32)
    save(project.toml.parent / "graph.onnx", nodes, {"pixels": ["N", 1, 16, 16]}, {"sums": ["N", 4]}, {"w": weight})
    done = project.pytest("-k", "pte", timeout=900)
    verdicts = {name: said for name, said in project.verdicts().items() if name.startswith("pte")}
    assert len(verdicts) == 10
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    measured = project.evidence()["measurements"]
    proofs = {one["recipe"]: process["proof"] for one in measured for process in one["processes"]}
    assert proofs["gratings/pte"]["threads"] == 1
    assert proofs["gratings/pte-int8"]["precision"] == "int8"
    assert proofs["delivered/int8"]["details"]["not_delegated"] == {"aten::cumsum.out": 1}
