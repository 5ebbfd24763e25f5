"""``kpis.toml`` is read whole, or refused with every mistake that it holds, one line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.bounds import Relation
from harness.core.errors import SpecError
from harness.spec.model import MeasureSettings, Spec
from harness.spec.reader import read_spec

SHIPPED = Path(__file__).resolve().parents[2] / "kpis.toml"
Read = Callable[[str], Spec]
Edit = Callable[..., str]
Problems = Callable[[str], tuple[str, ...]]


def test_a_valid_file_is_read_whole(read: Read, valid: str, kpis_file: Path) -> None:
    spec = read(valid)
    assert spec.root == kpis_file.parent
    assert spec.measure == MeasureSettings(
        confidence=0.97, looks=(6, 9), drift=0.02, seconds=0.5, samples=50, budget_s=180.0
    )
    assert spec.machines["here"].device == "cpu"
    assert [(p.op, p.limit) for p in (spec.machines["here"].cores, spec.machines["here"].memory) if p] == [
        (">=", 2.0),
        (">=", 1e9),
    ]
    int8 = spec.recipe("tiny", "int8")
    assert (int8.key, int8.format, int8.runtime) == ("tiny/int8", "openvino", "openvino")
    assert [step.name for step in int8.passes] == ["onnx", "openvino", "nncf"]
    assert int8.passes[-1].options["calibration"] == 8
    assert int8.passes[-1].options["preset"] == "mixed"  # a default, filled in
    assert int8.runtime_options["hint"] == "latency"
    assert int8.scenarios["offline"]["batch"] == 8
    assert int8.scenario_runtime["offline"]["hint"] == "throughput"
    assert spec.workloads["tiny"].published[0].values == {"latency.p50": (0.001, 0.002)}
    assert [(t.metric_name, t.bound.relation, t.label) for t in spec.targets] == [
        ("latency.p50", Relation.VALUE, "p50"),
        ("latency.p50", Relation.RATIO, "p50-ratio-fp32"),
        ("accuracy.top1", Relation.DROP, "top1-drop-fp32"),
        ("size", Relation.VALUE, "size"),
    ]
    assert len({target.key for target in spec.targets}) == 4
    assert [recipe.name for recipe in spec.recipes_of(spec.targets[1])] == ["int8", "fp32"]
    assert [target.gates_everywhere for target in spec.targets] == [False, False, True, True]


def test_what_a_scenario_of_a_given_length_takes_is_known_before(read: Read, edit: Edit) -> None:
    targets = (
        '"latency.p50" = "< 3 ms"\n"sustained.latency.p50" = ["< 3 ms", "<= 2 x fp32", "< 9 ms in 70 % of processes"]'
    )
    table = "[workload.tiny.recipe.int8.scenario.sustained]\nminutes = 2\n"
    spec = read(
        edit(
            ('"latency.p50" = ["< 3 ms", "<= 0.5 x fp32"]', targets),
            ("[workload.tiny.recipe.int8.scenario.offline]", f"{table}[workload.tiny.recipe.int8.scenario.offline]"),
            ("looks = [6, 9]", "looks = [6, 9, 12]"),
        )
    )
    found = [spec.least_time(target) for target in spec.targets]
    # Two minutes, or with the five of the other recipe seven; the share of processes takes the look at 12.
    assert [(one.processes, one.seconds) for one in found] == [
        (0, 0), (6, 720), (6, 6 * 420), (12, 12 * 120), (0, 0), (0, 0)
    ]  # fmt: skip


def test_a_machine_has_its_own_temperature_or_that_of_all(read: Read, edit: Edit) -> None:
    assert read(edit()).cool_to("here") is None
    everywhere = ("samples = 50", 'samples = 50\ncool_to = "45.5 °C"')
    assert read(edit(everywhere)).cool_to("here") == 45.5
    assert read(edit(everywhere, ('device = "cpu"', 'device = "cpu"\ncool_to = "60 C"'))).cool_to("here") == 60


def test_the_shipped_file_is_valid() -> None:
    spec = read_spec(SHIPPED)
    assert {"food11-server-cpu", "food11-int8"} <= {kpi.name for kpi in spec.kpis}
    assert len({target.id for target in spec.targets}) == len(spec.targets)


def test_a_byte_order_mark_is_no_mistake(kpis_file: Path, valid: str) -> None:
    kpis_file.write_bytes(b"\xef\xbb\xbf" + valid.encode())
    assert len(read_spec(kpis_file).targets) == 4


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file; name one with --kpis FILE"):
        read_spec(tmp_path / "kpis.toml")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="can't be read"):
        read_spec(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[machine.here", "not valid TOML"),
        (b"a = 1\na = 2", "not valid TOML"),
        (b"[measure]\nsamples = ", "not valid TOML"),
        ('[machine."Büro"]'.encode("latin-1"), "not UTF-8 text (byte 11)"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (b"", "nothing is promised"),
        (b"[measure]\nsamples = " + b"9" * 5000, "not valid TOML"),
    ],
    ids=["open table", "key twice", "no value", "latin-1", "deep", "empty", "huge number"],
)
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "kpis.toml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    assert len(caught.value.problems) == 1
    assert "kpis.toml" in str(caught.value)
    assert said in str(caught.value)


def test_parity_needs_a_reference(problems: Problems, edit: Edit) -> None:
    parity = ("[kpi.targets]", '[kpi.targets]\n"parity.agreement" = ">= 99 %"')
    assert problems(edit(parity)) == ()
    told = problems(edit(parity, ('reference = "fp32"\n', "")))
    assert len(told) == 1
    assert 'needs a reference; set reference = "RECIPE" in [workload.tiny]' in told[0]
    told = problems(edit(parity, ('reference = "fp32"', 'reference = "int8"')))
    assert len(told) == 1
    assert "compares the reference recipe 'int8' with itself" in told[0]
    own = ('hint = "latency" }', 'hint = "latency" }\nreference = "fp32"')
    assert problems(edit(parity, own, ('reference = "fp32"\n\n', 'reference = "int8"\n\n'))) == ()


def test_two_kpis_need_two_names(problems: Problems, valid: str) -> None:
    again = valid[valid.index("[[kpi]]") :]
    told = problems(valid + again)
    assert len(told) == 1
    assert told[0].startswith('kpis.toml: [[kpi]] "tiny-fast": duplicate KPI name')
    assert problems(valid + again.replace('"tiny-fast"', '"tiny-too"')) == ()


def test_zero_broken_properties_may_be_asked_for_but_not_fewer(problems: Problems, edit: Edit) -> None:
    assert problems(edit(("[kpi.targets]", '[kpi.targets]\n"parity.adversarial" = "<= 0"'))) == ()
    assert len(problems(edit(("[kpi.targets]", '[kpi.targets]\n"parity.adversarial" = "< 0"')))) == 1


def test_all_mistakes_are_told_at_once(problems: Problems, edit: Edit) -> None:
    told = problems(
        edit(
            ('device = "cpu"', 'device = "tpu"'),
            ('budget = "3 min"', 'budget = "3 MB"'),
            ('passes = ["onnx"]', 'passes = ["onx"]'),
            ("calibration = 8", "calibration = 0"),
            ("source =", "sauce ="),
            ('"< 3 ms"', '"< 0 ms"'),
            ("0.5 x fp32", "0.5 x int8"),
            ("drop <= 1 pp", "drop <= 1 ms"),
            ('"< 5 MB"', '"5 MB"'),
        )
    )
    for where in (
        "[machine.here]: device = 'tpu'",
        "[measure]: budget",
        '[workload.tiny.recipe.fp32] passes[0]: unknown pass "onx"',
        "[workload.tiny.recipe.int8] passes[2] (nncf)",
        'published[0]: unknown key "sauce"',
        "latency.p50: '< 0 ms' can never hold",
        "latency.p50: '<= 0.5 x int8': compares the recipe with itself",
        "accuracy.top1: unit 'ms' does not fit",
        "size: '5 MB' is not a target",
    ):
        assert sum(where in line for line in told) == 1, where
    assert len(told) == 9


@pytest.mark.parametrize(
    "change",
    [("[measure]", "[mesure]"), ("task =", "tsk = 1\ntask ="), ('machine = "here"', 'machin = 1\nmachine = "here"')],
    ids=["root", "workload", "kpi"],
)
def test_a_misspelled_key_hides_no_other_mistake(problems: Problems, edit: Edit, change: tuple[str, str]) -> None:
    told = problems(edit(change, ('"< 5 MB"', '"< 5 ms"'), ("calibration = 8", "calibration = 0")))
    assert any("unknown key" in line for line in told)
    assert any("calibration must be at least 1" in line for line in told)
    assert any("unit 'ms' does not fit" in line for line in told)


@pytest.mark.parametrize(
    "change",
    [
        ("task =", "note = 1\ntask ="),  # the workload's recipes are known by name all the same
        ("image-classification", "image-clasification"),
        ('hint = "latency"', 'hnt = "latency"'),  # a scenario inherits the runtime's options
        ('"< 5 MB"', "5"),
        ('runtime = "onnxruntime"', "runtime = 5"),
        ('passes = ["onnx"]', "passes = [{}]"),
    ],
    ids=["workload key", "task", "runtime option", "target type", "runtime type", "nameless pass"],
)
def test_one_mistake_is_told_once(problems: Problems, edit: Edit, change: tuple[str, str]) -> None:
    assert len(problems(edit(change))) == 1


def test_a_problem_is_one_line_whatever_the_name_holds(read: Read, edit: Edit) -> None:
    with pytest.raises(SpecError) as caught:
        read(edit(('"size" =', '"si\\nze\\u001b[31m" =')))
    assert len(caught.value.problems) == 1
    assert str(caught.value).isprintable()
