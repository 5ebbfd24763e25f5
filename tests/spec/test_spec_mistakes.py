"""Every kind of mistake in ``kpis.toml`` is told with its table, its key and its value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

INT8 = 'passes = ["onnx", "openvino", { pass = "nncf", calibration = 8 }]'
OFFLINE = 'batch = 8\nruntime = { hint = "throughput" }\n'
ADVERSARIAL = f"{OFFLINE}[workload.tiny.recipe.int8.scenario.adversarial]\n"
Edit = Callable[..., str]
Problems = Callable[[str], tuple[str, ...]]


def minutes(value: str, said: str) -> tuple[str, str, str, str]:
    """Another length of a scenario that has one of its own."""
    table = "[workload.tiny.recipe.int8.scenario.{}]"
    offline, sustained = table.format("offline"), table.format("sustained")
    return offline, f"{sustained}\nminutes = {value}\n{offline}", "scenario.sustained", said


# What is replaced in the valid text, by what, which table or key must be named, what else must be said.
MISTAKES = {
    "unit": ('"< 5 MB"', '"< 5 ms"', '"tiny-fast": size', "unit 'ms' does not fit"),
    "no unit": ('"< 5 MB"', '"< 5"', '"tiny-fast": size', "a unit is missing"),
    "grammar": ('"< 5 MB"', '"5 MB"', '"tiny-fast": size', "'5 MB' is not a target"),
    "negative": ('"< 5 MB"', '"< -5 MB"', '"tiny-fast": size', "can never hold"),
    "never, a share": ('"drop <= 1 pp vs fp32"', '">= 101 %"', "accuracy.top1", "'>= 101 %' can never hold"),
    "never, a time": ('"< 3 ms"', '"< 0 ms"', "latency.p50", "'< 0 ms' can never hold"),
    "never, zero time": ('"< 3 ms"', '"<= 0 ms"', "latency.p50", "can never hold"),
    "never, a ratio": ("<= 0.5 x", "< 0 x", "latency.p50", "can never hold"),
    "always, a share": ('"drop <= 1 pp vs fp32"', '">= 0 %"', "accuracy.top1", "'>= 0 %' always holds"),
    "always, a drop": ("drop <= 1 pp", "drop <= 100 pp", "accuracy.top1", "always holds"),
    "always, a gain": ("drop <= 1 pp", "gain >= -100 pp", "accuracy.top1", "always holds"),
    "direction": ('"< 3 ms"', '"> 3 ms"', "latency.p50", "is better lower; write '<'"),
    "direction, a drop": ("drop <= 1", "drop >= 1", "accuracy.top1", "drop is better lower"),
    "direction, a share": ('"drop <= 1 pp vs fp32"', '"<= 90 %"', "accuracy.top1", "is better higher; write '>'"),
    "against itself": ("0.5 x fp32", "0.5 x int8", "latency.p50", "compares the recipe with itself"),
    "drop of a time": ("<= 0.5 x fp32", "drop <= 1 ms vs fp32", "latency.p50", "no paired samples"),
    "twice": ('"<= 0.5 x fp32"', '"< 3 ms"', "latency.p50", "'< 3 ms' is there twice"),
    "empty list": ('["< 3 ms", "<= 0.5 x fp32"]', "[]", "latency.p50", "promises nothing"),
    "no text": ('"< 5 MB"', "5", '"tiny-fast"', "targets.size"),
    "proof compared": ('"size" =', '"quantized.ops" = ">= 1 x fp32"\n"size" =', "quantized.ops", "can't be compared"),
    "formats": (INT8, 'passes = ["onnx", "torch"]', "recipe.int8] passes[1]", "or the workload's own model"),
    "first pass": ('passes = ["onnx"]', 'passes = ["openvino"]', "fp32] passes[0]", 'comes first; put "onnx" before'),
    "pass after": (INT8, 'passes = ["torch", "nncf"]', "int8] passes[1]", '"torch" before it makes torch; "onnx" or'),
    "a runtime's format": ('runtime = "onnxruntime"', 'runtime = "torch"', "fp32]", 'choose runtime "kserve" or'),
    "a single table": ("[[kpi]]", "[kpi]", "kpi = {", "write [[kpi]] with two brackets"),
    "no quotes": ('seconds = "0.5 s"', "seconds = 5", "seconds = 5", 'must be text in quotes, as in "0.5 s"'),
    "a bound as a number": ('"< 5 MB"', "5", "targets.size = 5", 'must be text in quotes, as in "< 5 MB"'),
    "another device": ('device = "cpu"', 'device = "gpux"', "device = 'gpux'", "did you mean 'gpu'?"),
    "a fraction": ("samples = 50", "samples = 5.5", "samples = 5.5", "must be a whole number"),
    "an option's text": ("calibration = 8", 'calibration = "8"', "calibration = '8'", "must be a whole number"),
    "no list": ('passes = ["onnx"]', 'passes = "onnx"', "passes = 'onnx'", "must be a list"),
    "no table": ('passes = ["onnx"]', 'passes = ["onnx", 3]', "passes.1 = 3", "must be text in quotes or a table"),
    "a recipe's cores": ('passes = ["onnx"]', 'passes = ["onnx"]\ncores = "3-1"', "fp32]", "write a list like"),
    "server": (
        'runtime = "onnxruntime"', 'runtime = { name = "kserve" }', "fp32] runtime", "give either url or command"
    ),
    "runtime": ('passes = ["onnx"]', 'passes = ["torch"]', "fp32]", 'runtime "onnxruntime" runs onnx'),
    "no passes": ('passes = ["onnx"]', "passes = []", "fp32]: passes = []", "name at least one pass"),
    "no pass name": ('passes = ["onnx"]', "passes = [{}]", "fp32] passes[0]", 'needs the key "pass"'),
    "no runtime name": ('runtime = "onnxruntime"', "runtime = {}", "fp32]", 'needs the key "name"'),
    "pass option": ("calibration = 8", "calibration = 0", "(nncf)", "calibration must be at least 1"),
    "pass option type": ("calibration = 8", 'calibration = "all"', "(nncf)", "calibration = 'all'"),
    "pass option unit": ("calibration = 8", 'max_drop = "1 %"', "(nncf)", "'pp'"),
    "runtime option": ('hint = "latency"', 'hint = "fast"', "recipe.int8] runtime", "hint = 'fast'"),
    "scenario option": ("batch = 8", "batch = 0", "scenario.offline", "batch must be from 1"),
    "scenario runtime": ('{ hint = "throughput" }', "3", "scenario.offline", "runtime must be a table"),
    "device": ('device = "cpu"', 'device = "tpu"', "[machine.here]", "device = 'tpu'"),
    "cores": ('">= 2"', '">= 2 GB"', "[machine.here]: cores", "unit 'GB' does not fit"),
    "memory": ('">= 1 GB"', '">= 1"', "[machine.here]: memory", "a unit is missing"),
    "missing key": ('device = "cpu"\n', "", "[machine.here]", 'the key "device" is missing'),
    "missing targets": ('recipe = "int8"\n', "", '"tiny-fast"', 'the key "recipe" is missing'),
    "digest": ("reference =", 'checkpoint_sha256 = "abc"\nreference =', "[workload.tiny]", "checkpoint_sha256 = 'abc'"),
    "fixture name": ('"fixtures.tiny"', '"../tiny"', "[workload.tiny]", "fixture = '../tiny'"),
    "published unit": ("1 ms .. 2 ms", "1 ms .. 2 MB", "published[0]: latency.p50", "unit 'MB' does not fit"),
    "confidence": ('"97 %"', '"40 %"', "[measure]: confidence", "from 50 % to below 100 %"),
    "certainty": ('"97 %"', '"100 %"', "[measure]: confidence", "from 50 % to below 100 %"),
    "no runtime": ('runtime = "onnxruntime"', 'runtime = ""', "[workload.tiny.recipe.fp32]", 'unknown runtime ""'),
    "no pass": ('"openvino", {', '"openvino", "", {', "[workload.tiny.recipe.int8] passes[2]", 'unknown pass ""'),
    "drift": ("samples = 50", 'drift = "80 %"', "[measure]: drift", "from 0 % to 50 %, not 80 %"),
    "drifting unit": ("samples = 50", 'drift = "2 s"', "[measure]: drift", "unit 's' does not fit"),
    "seconds": ('"0.5 s"', '"0 s"', "[measure]: seconds", "above 0 s"),
    "budget": ('"3 min"', '"3 MB"', "[measure]: budget", "unit 'MB' does not fit"),
    "samples": ("samples = 50", "samples = 4", "[measure]: samples = 4", "5"),
    "minutes, none": minutes("0", "from 0.05 to 600"),
    "minutes, negative": minutes("-1", "from 0.05 to 600"),
    "minutes, no number": minutes("nan", "from 0.05 to 600"),
    "minutes, very many": minutes("601", "from 0.05 to 600"),
    "minutes, text": minutes('"5 min"', "must be a number"),
    "cool_to, too warm": ("samples = 50", 'samples = 50\ncool_to = "500 °C"', "cool_to", "from 10 °C"),
    "cool_to, too cold": ("samples = 50", 'samples = 50\ncool_to = "5 C"', "cool_to", "from 10 °C"),
    "cool_to, no number": ("samples = 50", 'samples = 50\ncool_to = "nan °C"', "cool_to", "start with a number"),
    "cool_to, a number": ("samples = 50", "samples = 50\ncool_to = 50", "[measure]: cool_to", "must be text"),
    "cool_to, no unit": ("samples = 50", 'samples = 50\ncool_to = "50"', "[measure]: cool_to", "a unit is missing"),
    "a machine's cool_to": ('">= 2"', '">= 2"\ncool_to = "500 °C"', "[machine.here]: cool_to", "must be from 10 °C"),
    "shrinking looks": ("[6, 9]", "[9, 6]", "[measure]: looks", "must grow"),
    "few looks": ("[6, 9]", "[4]", "[measure]: looks", "can decide nothing"),
    "a device's mark": ('recipe = "int8"', 'recipe = "int8"\nmarks = ["gpu"]', '"tiny-fast": marks', "of a device"),
    "a kind's mark": ('recipe = "int8"', 'recipe = "int8"\nmarks = ["latency"]', '"tiny-fast": marks', "of a kind"),
    "pytest's mark": ('recipe = "int8"', 'recipe = "int8"\nmarks = ["skip"]', '"tiny-fast": marks', "to pytest"),
    "a mark for no -m": ('recipe = "int8"', 'recipe = "int8"\nmarks = ["not"]', '"tiny-fast": marks', "with -m"),
    "a mark of two words": ('recipe = "int8"', 'recipe = "int8"\nmarks = ["by night"]', '"tiny-fast"', "marks.0"),
    "no looks": ("[6, 9]", "[]", "[measure]: looks = []", "name at least one number of processes"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_table_and_value(
    problems: Problems, edit: Edit, old: str, new: str, where: str, said: str
) -> None:
    told = [line for line in problems(edit((old, new))) if where in line and said in line]
    assert told, problems(edit((old, new)))
    assert told[0].startswith("kpis.toml: ")


# Each of these is told in exactly one line, never a traceback, never silence.
ODDITIES = {
    "long fixture": ('"fixtures.tiny"', f'"fixtures.{"a" * 300}"'),
    "long environment": ('passes = ["onnx"]', f'passes = ["onnx"]\nenvironment = "{"é" * 150}"'),
    "environment elsewhere": ('passes = ["onnx"]', 'passes = ["onnx"]\nenvironment = "../onnxruntime-openvino"'),
    "environment by a path": (
        'passes = ["onnx"]',
        'passes = ["onnx"]\nenvironment = "../requirements/onnxruntime-openvino"',
    ),
    "nobody's checkpoint": ("reference =", 'checkpoint = "~nobody-of-that-name/x"\nreference ='),
    "nobody's data": ("reference =", 'data = "~nobody-of-that-name/x"\nreference ='),
    "exponent alone": ('"< 3 ms"', '"< e5 ms"'),
    "exponent alone in an option": ("calibration = 8", 'max_drop = "e5 pp"'),
    "endless measuring": ('seconds = "0.5 s"', 'seconds = "1e308 h"'),
    "deep table": ('cpu = "AMD *"', f"cpu{'.x' * 3000} = 1"),
    "deep option": ("calibration = 8", f"calibration{'.x' * 3000} = 1"),
    "published number": ('values = { "latency.p50" = "1 ms .. 2 ms" }', 'values = { "verdict.p50" = 3 }'),
    "tolerance of nan": (OFFLINE, f"{ADVERSARIAL}tolerance = nan\n"),  # no difference is larger than NaN
    "tolerance of inf": (OFFLINE, f"{ADVERSARIAL}tolerance = inf\n"),
    "cores as a ratio": ('cores = ">= 2"', 'cores = ">= 2 x fp32"'),
    "cores as a drop": ('cores = ">= 2"', 'cores = "drop <= 2 vs fp32"'),
    "memory as a share": ('memory = ">= 1 GB"', 'memory = ">= 50 % of fp32"'),
}


@pytest.mark.parametrize(("old", "new"), ODDITIES.values(), ids=ODDITIES)
def test_what_no_one_should_write_is_a_mistake_like_any_other(
    problems: Problems, edit: Edit, old: str, new: str
) -> None:
    assert len(problems(edit((old, new)))) == 1


FIXED = ('passes = ["onnx"]', 'passes = [{ pass = "onnx", batch = 1 }]')
INT8_FIXED = ('passes = ["onnx", "openvino"', 'passes = [{ pass = "onnx", batch = 1 }, "openvino"')


def test_a_scenario_with_another_batch_size_than_a_fixed_one_is_named(problems: Problems, edit: Edit) -> None:
    """Of the recipe itself and of the one that it is compared with; batches that nothing asks for do no harm."""
    found = problems(edit(FIXED, INT8_FIXED))
    assert len(found) == 2
    for line, recipe in zip(found, ("int8", "fp32"), strict=True):
        assert '[[kpi]] "tiny-fast"' in line
        assert f"accuracy.top1: scenario evaluate sends batches of 16, but recipe {recipe} takes 1" in line
        assert "set scenario.evaluate = { batch = 1 } in the recipe" in line
    one = "[workload.tiny.recipe.{}.scenario.evaluate]\nbatch = 1\n"
    assert problems(edit(FIXED, INT8_FIXED) + one.format("fp32") + one.format("int8")) == ()


def test_a_scenario_with_batches_of_several_sizes_can_not_run_a_fixed_one(problems: Problems, edit: Edit) -> None:
    robust = ('"size" = "< 5 MB"', '"parity.adversarial" = "<= 0.5"')
    (line,) = (line for line in problems(edit(INT8_FIXED, robust)) if "adversarial" in line)
    assert "sends batches of several sizes, but recipe int8 takes 1" in line


def mistakes(said: tuple[str, ...]) -> list[str]:
    """Without the file's name."""
    return [line.removeprefix("kpis.toml: ") for line in said]


def test_a_missing_fixture_hides_no_other_mistake_and_brings_no_false_one(problems: Problems, edit: Edit) -> None:
    told = mistakes(
        problems(
            edit(
                ('fixture = "fixtures.tiny"\n', ""),
                ("image-classification", "object-tracking"),
                ('passes = ["onnx"]', 'passes = ["onx"]'),
                ('"< 5 MB"', '"< 5 ms"'),
            )
        )
    )
    assert told[0].startswith('[workload.tiny]: task: unknown task "object-tracking" (allowed: audio-classification')
    assert told[1].startswith('[workload.tiny]: the key "fixture" is missing; a workload without a fixture needs')
    assert told[2].startswith('[workload.tiny.recipe.fp32] passes[0]: unknown pass "onx"; did you mean "onnx"?')
    assert told[3].startswith('[[kpi]] "tiny-fast": size: unit')
    assert len(told) == 4


@pytest.mark.parametrize("name", ["kpi", "workload", "machine"])
def test_a_table_in_the_plural_is_one_mistake(problems: Problems, valid: str, name: str) -> None:
    """What it holds is read as what was meant: ``[[kpis]]`` does not make ``[kpi.targets]`` a mistake too."""
    for header in (f"[{name}", f"[[{name}"):
        valid = valid.replace(f"\n{header}.", f"\n{header}s.").replace(f"\n{header}]", f"\n{header}s]")
    first = f'unknown key "{name}s"; did you mean "{name}"?'
    assert [line.startswith(first) for line in mistakes(problems(valid))] == [True]
    own = valid.replace("[kpis.targets]", "[kpi.targets]")
    assert [line.startswith(first) for line in mistakes(problems(own))] == [True]
    told = mistakes(problems(own.replace('"< 5 MB"', '"< 5 ms"').replace("calibration = 8", "calibration = 0")))
    assert len(told) == 3, told


def test_where_toml_itself_gives_up_the_misspelled_table_is_named(problems: Problems, valid: str) -> None:
    twice = valid.replace("[[kpi]]", "[[kpis]]") + '\n[[kpis]]\nname = "b"\n[kpi.targets]\n"size" = "< 5 MB"\n'
    told = mistakes(problems(twice))
    assert [line.partition(";")[0] for line in told[:2]] == [
        'line 37: unknown table "kpis"',
        'line 49: unknown table "kpis"',
    ]
    assert told[2].startswith("not valid TOML: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('device = "cpu"', 'device = "tpu"\nprice = 3'),
        ("[workload.tiny]", "[workload]\ntiny = 5\n[workload.other]"),
        ('machine = "here"\n', ""),
        ('recipe = "int8"\n', ""),
        ('workload = "tiny"\n', ""),
    ],
)
def test_a_broken_table_brings_no_unknown_name_along(problems: Problems, edit: Edit, old: str, new: str) -> None:
    assert not [line for line in problems(edit((old, new))) if "unknown" in line and "other" not in line]
