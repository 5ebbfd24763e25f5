"""The pass that takes a narrower network for smaller pictures: trained by the reference, exported, run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.build.artifact import Artifact
from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.passes.narrow import FORMAT, Narrow, settle
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable
from harness.spec.model import PassSpec, Recipe
from harness.spec.reader import read_spec
from tests.support.project import copied_project


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Builder:
    project = copied_project("gratings", tmp_path_factory.mktemp("narrow"), shared_store)
    spec, store = read_spec(project.toml), Store(shared_store)
    return Builder(spec, store, Environments(store, spec.root), project.folder / "build.log", lambda _: None)


def made(builder: Builder, *more: PassSpec, **options: Any) -> Artifact:
    chosen = Narrow.Options(**options)
    plain = {name: getattr(chosen, name) for name in chosen.__dataclass_fields__}
    steps = (PassSpec("narrow", plain), *more)
    return builder.artifact(Recipe("gratings", f"narrow {options} {len(more)}", "onnxruntime", {}, steps))


@pytest.mark.suite
def test_a_trained_one_is_exported_and_runs(builder: Builder) -> None:
    import onnxruntime as ort
    import torch
    from safetensors.torch import load_file

    options = {"width": 1.0, "pixels": 20, "steps": 150, "learning_rate": 1e-2, "settle": 64}
    trained = made(builder, **options)
    assert trained.format == FORMAT
    assert trained.notes["step"]["notes"]["validation"] > 0.4  # of four classes, noisy as they are
    exported = made(builder, PassSpec("onnx", {"opset": 20}), **options)
    session = ort.InferenceSession(exported.path / "model.onnx")
    assert session.get_inputs()[0].shape[1:] == [1, 24, 24]  # what the reference takes
    images = np.load(builder.samples(builder.spec.workloads["gratings"]).path / "image.npy")[:5]
    network = torch.nn.Sequential(
        torch.nn.Upsample((20, 20), mode="bilinear", align_corners=False),
        torch.nn.Conv2d(1, 16, 5, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 4),
    ).eval()
    network.load_state_dict(load_file(trained.path / "model.safetensors"))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": images})[0], wanted, atol=1e-4)


def test_what_cannot_be_had_is_refused(builder: Builder) -> None:
    with pytest.raises(KpiError, match=r"ships no weights of width 0\.5") as caught:
        made(builder, width=0.5, pixels=12)
    assert "steps = 2000" in caught.value.remedy
    with pytest.raises(Unavailable, match="gratings have 24 pixels, not 99"):
        made(builder, width=0.5, pixels=99)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"width": 0.0}, "width must be"),
        ({"pixels": 4}, "pixels must be"),
        ({"steps": -1}, "at least 0"),
        ({"learning_rate": 1.0}, "learning_rate"),
    ],
)
def test_options_that_make_no_sense(option: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Narrow.Options(**option)


def test_settling_takes_the_averages_of_what_it_is_shown() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    shown = [torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(n)) * 3 + 5 for n in range(6)]
    settle(network, [(picture,) for picture in shown])
    mean = torch.cat(shown).mean(dim=(0, 2, 3))
    assert torch.allclose(network[0].running_mean, mean, atol=1e-4)
    assert network[0].momentum == 0.1
    assert not network.training
