"""The space of a search: what may be written, what is drawn from it, what is told of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.build.passes import passes
from harness.core.errors import SpecError
from harness.measure.runtimes import runtimes
from harness.search.candidates import name_of
from harness.spec.reader import read_recipe, read_spec
from harness.spec.search_space import ABSENT, Choice, Range, covering, every, parse, with_picked
from harness.spec.tasks import tasks
from tests.support.project import ROOT

Problems = Callable[[str], tuple[str, ...]]
SPACE = """
[workload.tiny.search.wide]
passes = ["onnx", "openvino", { choice = [[{ pass = "nncf", calibration = { choice = [8, 16] } }], []] }]

[workload.tiny.search.wide.runtime]
name = "openvino"
threads = { low = 1, high = 2 }
hint = { choice = ["latency", "throughput"], optional = true }

[workload.tiny.search.wide.scenario.offline]
batch = { choice = [8, 32] }
"""


def parsed(data: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    return parse(data, "", lambda place, what: said.append(f"{place}: {what}")), said


def test_a_space_is_no_mistake(problems: Problems, valid: str) -> None:
    assert problems(valid + SPACE) == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ('name = "openvino"', 'name = "openvinno"', "[workload.tiny.search.wide]: runtime", 'did you mean "openvino"'),
        ("high = 2", "high = 0", "search.wide] runtime.threads", "low = 1 is above high = 0"),
        ("low = 1, high = 2", "low = 0, high = 2", "search.wide] runtime", "threads must be at least 1"),
        ("high = 2 }", 'high = "2" }', "runtime.threads", "high = '2': must be a number"),
        (", high = 2", "", "runtime.threads", '"high" is missing'),
        ("high = 2 }", "high = 2, stepp = 1 }", "runtime.threads", 'did you mean "step"'),
        ("high = 2 }", "high = 2, step = 0 }", "runtime.threads", "step = 0: must be above 0"),
        ('"throughput"]', '"thruput"]', "search.wide] runtime", "hint = 'thruput'"),
        ("[8, 16]", "[]", "calibration", "must be a list of at least one value"),
        ("[8, 16]", "[8, 8]", "calibration", "8 is there twice"),
        ("[8, 16]", "[8, 0]", "search.wide] passes[2] (nncf)", "calibration must be at least 1"),
        ('pass = "nncf"', 'pass = "ncnf"', "search.wide] passes[2]", 'did you mean "nncf"'),
        (", []] }", ', ["torch"]] }', "search.wide] passes[2]", 'pass "torch" reads'),
        ("[8, 32]", "[8, 0]", "scenario.offline", "batch must be from 1"),
        ("passes =", "passses =", "search.wide]", 'did you mean "passes"'),
        ("optional = true", "optional = 1", "runtime.hint", "optional = 1: must be true or false"),
        ("\npasses", '\nreference = "fp16"\npasses', "search.wide]: reference", 'unknown recipe "fp16"'),
    ],
)
def test_mistakes_are_told_where_they_stand(
    problems: Problems, valid: str, old: str, new: str, place: str, said: str
) -> None:
    assert old in SPACE
    told = problems(valid + SPACE.replace(old, new, 1))
    assert any(place in line and said in line for line in told), told


def test_all_mistakes_are_told_at_once(problems: Problems, valid: str) -> None:
    wrong = SPACE.replace("[8, 16]", "[8, 0]").replace("[8, 32]", "[0, 32]").replace('"throughput"]', '"thruput"]')
    assert len(problems(valid + wrong)) == 3
    assert len(set(problems(valid + wrong))) == 3


def test_what_is_drawn() -> None:
    table, said = parsed(
        {
            "a": {"choice": [1, 2], "optional": True},
            "passes": [
                "first",
                {"choice": [["x", "y"], []]},
                {"choice": ["z", {"pass": "w", "n": {"low": 1, "high": 3}}]},
            ],
        }
    )
    assert said == []
    found = every(table)
    assert found is not None
    made = [with_picked(table, picked) for picked in found]
    assert len(made) == 3 * 2 * 4
    assert {"a": 1, "passes": ["first", "x", "y", "z"]} in made
    assert {"passes": ["first", {"pass": "w", "n": 3}]} in made


def test_every_alternative_is_seen_when_it_is_checked() -> None:
    table, _ = parsed({"a": {"choice": [1, {"b": {"choice": [2, 3, 4]}}]}, "c": {"low": 0.5, "high": 1.0}})
    seen = list(covering(table))
    assert {str(made["a"]) for made in seen} == {"1", "{'b': 2}", "{'b': 3}", "{'b': 4}"}
    assert {made["c"] for made in seen} == {0.5, 1.0}


def test_a_space_without_end_is_known_as_one() -> None:
    assert every(parsed({"a": {"low": 0.0, "high": 1.0}})[0]) is None
    assert every(parsed({"a": {"low": 1, "high": 10**9}})[0]) is None
    assert len(every(parsed({"a": {"low": 0.0, "high": 1.0, "step": 0.25}})[0]) or ()) == 5


@given(low=st.integers(-50, 50), wide=st.integers(0, 60), step=st.integers(1, 9))
def test_a_range_of_integers(low: int, wide: int, step: int) -> None:
    table, said = parsed({"a": {"low": low, "high": low + wide, "step": step}})
    assert said == []
    assert [with_picked(table, picked)["a"] for picked in every(table) or ()] == list(range(low, low + wide + 1, step))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["choice", "low", "high", "step", "log", "optional", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_nonsense_is_told_never_raised(data: Any) -> None:
    table, said = parsed(data)
    if not said:
        for _ in covering(table):
            pass


def test_nodes_keep_what_was_written() -> None:
    assert parsed({"choice": ["a", 2]})[0] == Choice({"a": "a", "2": 2})
    assert parsed({"low": 1, "high": 8, "log": True})[0] == Range(1, 8, None, log=True)
    made = parsed({"low": 1, "high": 2, "optional": True})[0]
    assert made.labels == ("given", ABSENT)


def test_names_can_be_written_anywhere() -> None:
    for template in ("a b", "<script>", "../../x", "\u202e", "é" * 300, "-", "."):
        name = name_of(template, {"x": 1})
        assert name.isascii()
        assert not set(name) & set(" /<>\"'")
        assert len(name) < 60
        assert name != name_of(template, {"x": 2})


@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("task", tasks())
def test_every_task_has_a_space_of_its_own(task: str, cores: int, kpis_file: Path) -> None:
    space = tasks()[task].space
    assert space
    made = space(cores)
    for name, template in made.items():
        table, said = parsed(template)
        assert said == []
        for plain in covering(table):
            recipe = read_recipe(kpis_file, "w", name, plain)
            assert recipe.runtime in runtimes()
            assert all(step.name in passes() for step in recipe.passes)


def test_a_recipe_with_mistakes_is_refused(kpis_file: Path) -> None:
    with pytest.raises(SpecError, match="did you mean"):
        read_recipe(kpis_file, "w", "r", {"runtime": "onnxrumtime", "passes": ["onnx"]})


def test_the_shipped_space_has_candidates() -> None:
    spec = read_spec(ROOT / "kpis.toml")
    spaces = {name: workload.search for name, workload in spec.workloads.items() if workload.search}
    assert "food11" in spaces
    for templates in spaces.values():
        for template in templates.values():
            table, said = parsed(template)
            assert said == []
            assert len(list(covering(table))) > 1
