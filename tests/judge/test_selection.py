"""Which targets a test judges, by which markers they are selected, in which order they run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.judge.order import build_effort, in_order, is_timed, needed
from harness.judge.selection import Selection, judges_targets, kinds, send_deselected, sent_deselected
from harness.measure.machine.detect import detect
from harness.options import part_of
from harness.spec.model import Spec
from harness.spec.reader import read_spec

ROOT = Path(__file__).resolve().parents[2]
MORE = """
[machine.npu]
device = "npu"

[[kpi]]
name = "small"
workload = "tiny"
recipe = "fp32"
machine = "here"
marks = ["nightly", "team_a", "nightly"]
targets = { "latency.p50" = "< 1 s", "size" = "< 1 MB" }

[[kpi]]
name = "elsewhere"
workload = "tiny"
recipe = "fp32"
machine = "npu"
targets = { "latency.p50" = "< 1 s" }
"""


@pytest.fixture
def spec(read: Callable[[str], Spec], valid: str) -> Spec:
    return read(valid + MORE)


@pytest.fixture(scope="module")
def shipped() -> Spec:
    return read_spec(ROOT / "kpis.toml")


def test_a_target_carries_its_kind_its_device_and_the_kpis_own_marks(spec: Spec) -> None:
    selection = Selection(spec)
    by_id = {target.id: selection.markers(target) for target in spec.targets}
    assert by_id["small:size"] == ("size", "cpu", "nightly", "team_a")
    assert by_id["elsewhere:p50"] == ("latency", "npu")
    assert selection.own_markers == ["nightly", "team_a"]


def test_a_test_judges_the_kind_that_it_is_marked_with(spec: Spec) -> None:
    found = Selection(spec).targets(["slow", "latency"], ROOT / "kpi_tests")
    assert {target.metric.kind() for target in found} == {"latency"}
    assert len(found) == 4


def test_a_test_without_a_kind_judges_the_kinds_that_have_no_file(spec: Spec, tmp_path: Path) -> None:
    selection = Selection(spec)
    assert selection.targets([], ROOT / "kpi_tests") == []
    (tmp_path / "test_latency.py").touch()
    left = selection.targets(["slow"], tmp_path)
    assert {target.metric.kind() for target in left} == {"size", "accuracy"}
    (tmp_path / "test_latency.py").unlink()
    assert set(selection.targets([], tmp_path)) == set(spec.targets)


def test_every_kind_has_its_file_or_the_general_test() -> None:
    files = {file.stem.removeprefix("test_") for file in (ROOT / "kpi_tests").glob("test_*.py")}
    assert files - {"other"} <= set(kinds())
    assert "other" in files


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["target", "measured", "judge"], True),
        (["target", "judge"], True),
        (["target"], False),
        (["judge"], False),
        ([], False),
    ],
)
def test_only_a_test_that_asks_for_a_target_and_a_judge_is_ours(arguments: list[str], *, ours: bool) -> None:
    assert judges_targets(arguments) is ours


def test_what_is_cheap_runs_first_and_what_is_timed_last(spec: Spec) -> None:
    ids = [target.id for target in in_order(spec, spec.targets)]
    # The figure of files before that of answers, FP32 before INT8, whose passes take longer.
    assert ids[:3] == ["small:size", "tiny-fast:size", "tiny-fast:top1-drop-fp32"]
    # Pairs before what their processes answer along the way.
    assert ids[3:] == ["tiny-fast:p50-ratio-fp32", "tiny-fast:p50", "small:p50", "elsewhere:p50"]
    assert all(is_timed(spec, target) == (target.id in ids[3:]) for target in spec.targets)
    assert set(ids) == {target.id for target in spec.targets}


def test_the_shipped_order_keeps_every_target_and_the_timed_ones_for_last(shipped: Spec) -> None:
    ordered = in_order(shipped, shipped.targets)
    assert sorted(target.id for target in ordered) == sorted(target.id for target in shipped.targets)
    timed = [is_timed(shipped, target) for target in ordered]
    assert timed == sorted(timed)
    first, last = ordered[0], ordered[timed.index(True) - 1]
    assert build_effort(shipped.recipes_of(first)[0]) < build_effort(shipped.recipes_of(last)[0])


def test_only_what_this_machine_needs_is_built_ahead(spec: Spec) -> None:
    recipes = {target.id: [r.name for r in needed(spec, [target], detect())] for target in spec.targets}
    assert recipes["elsewhere:p50"] == []
    assert recipes["small:p50"] == ["fp32"]
    assert sorted(recipes["tiny-fast:p50-ratio-fp32"]) == ["fp32", "int8"]


def test_the_workload_that_takes_longest_is_built_first(shipped: Spec) -> None:
    recipes = needed(shipped, shipped.targets, detect())
    efforts: dict[str, float] = {}
    for recipe in recipes:
        efforts[recipe.workload] = max(efforts.get(recipe.workload, 0), build_effort(recipe))
    # In the order in which each workload first comes.
    assert list(efforts.values()) == sorted(efforts.values(), reverse=True)
    assert {"travel", "question_answering"} <= set(list(efforts)[:3])


def test_the_parts_together_hold_every_kpi_once(shipped: Spec) -> None:
    selection = Selection(shipped)
    parts = [{t.kpi for t in shipped.targets if selection.in_part(t, (number, 7))} for number in range(1, 8)]
    assert sorted(kpi for part in parts for kpi in part) == sorted(kpi.name for kpi in shipped.kpis)
    assert min(map(len, parts)) > 0


@pytest.mark.parametrize("text", ["0/7", "8/7", "3", "a/b", "1/", "-1/7", ""])
def test_a_part_that_does_not_exist_is_a_mistake(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a part such as 3/7"):
        part_of(text)
    assert part_of("3/7") == (3, 7)


def test_what_a_worker_left_out_reaches_the_ledger_as_it_was() -> None:
    config, keys = SimpleNamespace(workeroutput={}), [("a", "size", "< 1 MB"), ("a", "latency.p50", "< 3 ms")]
    for key in keys:
        send_deselected(config, [key])  # type: ignore[arg-type]
    plain = json.loads(json.dumps(config.workeroutput))  # what goes from process to process
    assert sent_deselected(SimpleNamespace(workeroutput=plain)) == set(keys)
    assert sent_deselected(SimpleNamespace()) == set()  # it died
