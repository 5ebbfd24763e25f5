"""Models that are files of torch networks: exported programs and Hugging Face folders, judged without any code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.core.data_files import DataFiles
from harness.core.errors import KpiError, SpecError, Unavailable
from harness.spec.reader import read_spec
from harness.workloads.base import Settings
from harness.workloads.files.networks import network_file
from harness.workloads.torchvision_compat import before_transformers
from tests.support.model_files import file_settings
from tests.support.project import Project

TOML = """\
[machine.any-cpu]
device = "cpu"

[workload.net]
task = "{task}"
model = "{model}"
data = "data.npz"
reference = "fp32"
{more}

[workload.net.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[workload.net.recipe.openvino]
runtime = "openvino"
passes = ["onnx", "openvino"]

[[kpi]]
name = "net"
workload = "net"
recipe = "openvino"
machine = "any-cpu"

[kpi.targets]
"accuracy.top1" = ">= 99 %"
"parity.cosine" = ">= 0.999"
"""


def settings(model: Path, folder: Path, *, allow_pickle: bool = False) -> Settings:
    """As a table without a fixture gives them."""
    data = DataFiles(folder / "data.npz")
    return replace(file_settings("text-classification", model, data, folder / "cache"), allow_pickle=allow_pickle)


class Half(torch.nn.Module):
    """Four numbers in, two scores out, as a mapping."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.linear(pixels)}


def program(file: Path) -> Path:
    batch = torch.export.Dim("batch")
    made = torch.export.export(Half().eval(), (torch.zeros(2, 4),), dynamic_shapes={"pixels": {0: batch}})
    torch.export.save(made, file)
    return file


def bert(folder: Path) -> torch.nn.Module:
    before_transformers()
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    network = BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=16, **sizes)).eval()
    network.save_pretrained(folder)
    return network


def test_the_signature_of_an_exported_program(tmp_path: Path) -> None:
    file = program(tmp_path / "half.pt2")
    found = network_file(settings(file, tmp_path, allow_pickle=True))
    assert found is not None
    signature = found.signature()
    assert [str(port) for port in signature.inputs] == ["pixels (float32 ?x4)"]
    assert [port.name for port in signature.outputs] == ["scores"]
    assert found.load()(torch.ones(3, 4))["scores"].shape == (3, 2)


def test_the_signature_is_remembered(tmp_path: Path) -> None:
    """Processes that only read data know it without loading a network."""
    kept = settings(program(tmp_path / "half.pt2"), tmp_path, allow_pickle=True)
    first, second = network_file(kept), network_file(kept)
    assert first is not None
    assert second is not None
    wanted = first.signature()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.export, "load", lambda *_: pytest.fail("the network was loaded again"))
        assert second.signature() == wanted


def test_a_pickle_is_not_read_unless_it_is_allowed(tmp_path: Path) -> None:
    found = network_file(settings(program(tmp_path / "half.pt2"), tmp_path))
    assert found is not None
    with pytest.raises(KpiError, match="may hold pickles") as caught:
        found.signature()
    assert "allow_pickle = true" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "not an exported program"), (b"PK\x03\x04 cut", "not an exported program")]
)
def test_what_is_no_program_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "half.pt2").write_bytes(content)
    found = network_file(settings(tmp_path / "half.pt2", tmp_path, allow_pickle=True))
    assert found is not None
    with pytest.raises(KpiError, match=said):
        found.signature()


def test_the_signature_of_a_hugging_face_folder(tmp_path: Path) -> None:
    network = bert(tmp_path / "bert")
    found = network_file(settings(tmp_path / "bert", tmp_path))
    assert found is not None
    signature = found.signature()
    assert [port.name for port in signature.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    assert [port.name for port in signature.outputs] == ["logits"]
    feeds = [torch.ones(2, 5, dtype=torch.int64) for _ in range(3)]
    with torch.no_grad():
        assert torch.equal(found.load()(*feeds)["logits"], network(*feeds).logits)


def test_a_folder_of_an_unknown_architecture(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/config.json").write_text('{"architectures": ["OddForOdder"]}', encoding="utf-8")
    found = network_file(settings(tmp_path / "odd", tmp_path))
    assert found is not None
    with pytest.raises(KpiError, match="has no OddForOdder"):
        found.signature()


def test_a_name_of_the_hub_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"")
    kpis = tmp_path / "kpis.toml"
    kpis.write_text(TOML.format(task="text-classification", model="nobody/none-such", more=""), encoding="utf-8")
    assert read_spec(kpis).workloads["net"].model == "nobody/none-such"
    found = network_file(settings(Path("nobody/none-such"), tmp_path))
    assert found is not None
    with pytest.raises(Unavailable, match="are not here") as caught:
        found.signature()
    assert "hf download nobody/none-such" in caught.value.remedy


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("model.tflight", "", "not a model file that is known"),
        ("models/net.onx", "", "not a model file that is known"),
        ("net.pt2", "constants = { sr = 1 }", "constants: for a file that a runtime runs"),
    ],
)
def test_mistakes_of_the_table(tmp_path: Path, model: str, more: str, said: str) -> None:
    kpis = tmp_path / "kpis.toml"
    kpis.write_text(TOML.format(task="text-classification", model=model, more=more), encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        read_spec(kpis)


@pytest.mark.suite
def test_an_exported_program_is_judged(tmp_path: Path, shared_store: Path) -> None:
    file = program(tmp_path / "half.pt2")
    pixels = np.random.default_rng(0).normal(0, 1, (200, 4)).astype(np.float32)
    with torch.no_grad():
        label = Half().eval()(torch.from_numpy(pixels))["scores"].argmax(1).numpy()
    np.savez(tmp_path / "data.npz", pixels=pixels, label=label)
    _judged(Project(tmp_path, shared_store), "tabular-classification", file.name, "allow_pickle = true")


@pytest.mark.suite
@pytest.mark.long
def test_a_hugging_face_folder_is_judged(tmp_path: Path, shared_store: Path) -> None:
    network, chance = bert(tmp_path / "bert"), np.random.default_rng(0)
    ids = chance.integers(0, 50, (200, 12))
    mask = (np.arange(12) < chance.integers(4, 13, (200, 1))).astype(np.int64)
    with torch.no_grad():
        logits = network(torch.from_numpy(ids), torch.from_numpy(mask)).logits
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    np.savez(tmp_path / "data.npz", label=logits.argmax(1).numpy(), **arrays)
    _judged(Project(tmp_path, shared_store), "text-classification", "bert", "")


def _judged(project: Project, task: str, model: str, more: str) -> None:
    project.toml.write_text(TOML.format(task=task, model=model, more=more), encoding="utf-8")
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.verdicts().values()) == {"PASS"}
    assert project.recomputed().returncode == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [("{}", "names no class of the model"), ('{"architectures": ["pipeline"]}', "has no pipeline")],
    ids=["none", "no network"],
)
def test_a_folder_that_names_no_network(tmp_path: Path, config: str, said: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/config.json").write_text(config, encoding="utf-8")
    found = network_file(settings(tmp_path / "odd", tmp_path))
    assert found is not None
    with pytest.raises(KpiError, match=said):
        found.signature()


def test_weights_that_the_network_lacks_are_not_drawn_at_random(tmp_path: Path) -> None:
    bert(tmp_path / "bert")
    config = tmp_path / "bert/config.json"
    text = config.read_text(encoding="utf-8")
    layers = re.search(r'"num_hidden_layers": (\d+)', text)
    assert layers is not None
    config.write_text(text.replace(layers[0], f'"num_hidden_layers": {int(layers[1]) + 1}'), encoding="utf-8")
    found = network_file(settings(tmp_path / "bert", tmp_path))
    assert found is not None
    with pytest.raises(KpiError, match=r"its weights lack \d+ that BertFor\w+ has, such as bert.encoder.layer"):
        found.load()
