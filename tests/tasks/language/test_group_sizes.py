"""INT4 in groups that do not divide a layer's width: an error that helps, or a fall-back that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import KpiError
from harness.tasks.language.passes.group_sizes import Layer, fallen_back, layers_of, unfit
from harness.tasks.language.random_llama import RandomLlama, Shape
from harness.tasks.language.workload import Prompt
from harness.workloads.base import Settings
from tests.support.project import ROOT
from tests.support.small_models import apply

# Artifacts are exported and quantized, for seconds each.
pytestmark = pytest.mark.suite

WIDTHS = {"a": 576, "b": 1536, "c": 576}


def layers(kind: str = "f16", group: int = 0) -> dict[str, Layer]:
    return {name: Layer(name, width, kind, group) for name, width in WIDTHS.items()}


def test_the_error_names_layers_widths_and_sizes_that_fit() -> None:
    error = unfit(layers(), 128)
    assert error.message == "group_size = 128 does not divide the width of 2 of 3 layers: a (576), c (576)"
    assert "group_size = 192 or 96 or 64 or 48 or 32 or 24 or 16 fits all layers" in error.remedy
    assert 'group_size_fallback = "adjust"' in error.remedy


def test_no_size_is_promised_where_none_fits() -> None:
    error = unfit({"a": Layer("a", 30, "f16", 0), "b": Layer("b", 64, "f16", 0)}, 32)
    assert error.remedy.startswith("group_size_fallback")


def test_what_was_adjusted_is_read_from_what_was_written() -> None:
    assert fallen_back(layers(), layers("u4", 64), 128) == [
        "a: width 576, u4 in groups of 64",
        "c: width 576, u4 in groups of 64",
    ]
    assert fallen_back(layers(), layers("f16"), 64) == []


class Narrow(RandomLlama):
    """A Llama of one layer, 192 wide: a group of 128 fits its last product alone."""

    shape = Shape(seed=1, vocabulary=4096, hidden=192, layers=1, heads=3, key_value_heads=3, intermediate=256)
    tokenizer = ROOT / "fixtures/translation/model"
    prompts_are = "one word"

    def own_prompts(self, split: str) -> list[Prompt]:
        del split
        return [Prompt("cat", "Katze")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Narrow]:
    folder = tmp_path_factory.mktemp("llama")
    workload = Narrow(Settings("narrow", "text-generation", *[None] * 4, *[False] * 2, folder / "cache"))
    return apply("optimum-openvino", folder / "exported", workload)[0], workload


def compress(exported: tuple[Path, Narrow], out: Path, **options: object) -> tuple[Path, dict[str, object]]:
    source, workload = exported
    return apply("openvino-weights", out, workload, source, mode="int4", **options)


@pytest.mark.long
def test_a_group_that_does_not_fit_is_an_error(exported: tuple[Path, Narrow], tmp_path: Path) -> None:
    with pytest.raises(
        KpiError, match=r"group_size = 128 does not divide the width of \d of \d layers: .*192"
    ) as caught:
        compress(exported, tmp_path / "default")
    assert "64 or 32 or 16 fits all layers" in caught.value.remedy
    compress(exported, tmp_path / "fitting", group_size=64)


@pytest.mark.long
@pytest.mark.parametrize(("fallback", "kind"), [("adjust", "in groups of 64"), ("ignore", "f16")])
def test_a_fall_back_is_said_layer_by_layer(
    exported: tuple[Path, Narrow], tmp_path: Path, fallback: str, kind: str
) -> None:
    made, notes = compress(exported, tmp_path, group_size_fallback=fallback)
    lines = notes["fallen_back"]
    assert isinstance(lines, list)
    assert len(lines) >= 6
    assert sum(kind in line for line in lines) >= 6
    (fits,) = (layer for layer in layers_of(made / "openvino_model.xml").values() if layer.width == 256)
    assert fits.group == 128


@pytest.mark.long
def test_ignored_weights_stay_as_they_are(exported: tuple[Path, Narrow], tmp_path: Path) -> None:
    made, notes = compress(exported, tmp_path / "made", group_size=64, ignored={"patterns": [".*down_proj.*MatMul.*"]})
    assert notes["ignored"]
    found = {layer.width: layer for layer in layers_of(made / "openvino_model.xml").values()}
    assert found[256].kind in ("f16", "f32")
    with pytest.raises(KpiError, match='unknown type of operator "Linear"'):
        compress(exported, tmp_path / "wrong", group_size=64, ignored={"types": ["Linear"]})
