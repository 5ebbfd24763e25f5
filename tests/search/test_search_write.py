"""What is written into the file of promises: the recipe, and not a byte elsewhere."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError
from harness.search.write import add_recipe, render
from tests.support.project import SHIPPED

TABLE = {
    "runtime": {"name": "openvino", "precision": "f32"},
    "passes": [{"pass": "narrow", "width": 0.5, "pixels": 160}, "onnx", "openvino"],
    "scenario": {"offline": {"batch": 32, "asynchronous": True, "runtime": {"hint": "throughput"}}},
}
TEXT = """\
# title
[workload.a] # of a
task = "t"

[workload.a.recipe.x]   # odd   spaces
passes = [ "onnx" ,
  "openvino" ]
note = '''
[workload.a.recipe.no]
'''

# ---- b ----

# about b
[workload.b]
task = 't'
[[kpi]]
name = "k"
[workload.a.recipe.y]
passes = ["onnx"]
# about z
[workload.b.recipe.z]
passes = []
"""


def written(path: Path, text: str, workload: str = "a", name: str = "new", table: Any = TABLE) -> tuple[str, str]:
    path.write_bytes(text.encode())
    diff = add_recipe(path, workload, name, table, "found")
    return path.read_bytes().decode(), diff


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_all_else_stays(tmp_path: Path, newline: str, mark: str, end: str) -> None:
    text = (mark + TEXT.rstrip("\n") + end).replace("\n", newline)
    after, diff = written(tmp_path / "k.toml", text)
    place = after.index("# found")
    stop = after.index("# about z")
    assert text.startswith(after[:place].rstrip())
    assert text.endswith(after[stop:])
    assert after.count("\n") == after.count(newline)
    made = tomllib.loads(after.removeprefix("\ufeff"))
    assert made["workload"]["a"]["recipe"]["new"] == TABLE
    assert "+[workload.a.recipe.new]" in diff
    assert [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")] == []


def test_it_goes_to_the_end_where_there_is_no_recipe(tmp_path: Path) -> None:
    text = '[workload.c]\ntask = "t"\n\n[machine.m]\ndevice = "cpu"'
    after, _ = written(tmp_path / "k.toml", text, "c")
    assert after.startswith(f"{text}\n\n# found\n[workload.c.recipe.new]\n")


def test_where_it_cannot_stand_it_is_shown(tmp_path: Path) -> None:
    text = 'workload = { a = { task = "t", recipe = { x = { passes = [] } } } }\n'
    with pytest.raises(KpiError, match="no place where the recipe can be added") as caught:
        written(tmp_path / "k.toml", text)
    assert "[workload.a.recipe.new]" in caught.value.remedy
    assert (tmp_path / "k.toml").read_text() == text


def test_twice_is_once_and_another_is_refused(tmp_path: Path) -> None:
    after, _ = written(tmp_path / "k.toml", TEXT)
    assert add_recipe(tmp_path / "k.toml", "a", "new", TABLE, "found") == ""
    with pytest.raises(KpiError, match="is there already"):
        add_recipe(tmp_path / "k.toml", "a", "new", {"passes": ["onnx"]}, "found")
    assert (tmp_path / "k.toml").read_bytes().decode() == after


def test_a_link_and_the_rights_stay(tmp_path: Path) -> None:
    (tmp_path / "k.toml").write_text(TEXT)
    (tmp_path / "k.toml").chmod(0o600)
    (tmp_path / "link.toml").symlink_to(tmp_path / "k.toml")
    assert add_recipe(tmp_path / "link.toml", "a", "new", TABLE, "found")
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "k.toml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("file", SHIPPED[1:], ids=lambda file: file.parent.name)
def test_the_shipped_promises_can_be_written_to(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for workload in tomllib.loads(text)["workload"]:
        after, diff = written(tmp_path / "k.toml", text, workload)
        added = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("+") and line[1:3] != "++")
        assert after.replace(added, "", 1) == text


names = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)
values = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(
    workload=names, name=names, table=st.dictionaries(names.filter(lambda key: key != "scenario"), values, max_size=4)
)
def test_any_name_and_value_comes_back(workload: str, name: str, table: dict[str, Any]) -> None:
    read = tomllib.loads(render(workload, name, table, "found"))
    assert read == {"workload": {workload: {"recipe": {name: table}}}}
