"""Several files are one; each mistake names its file and its line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SpecError
from harness.reports.annotations import annotate
from harness.spec.reader import read_spec
from harness.spec.toml_lines import Place, line_of, table_lines, target_lines
from tests.support.made_runs import Made, evidence
from tests.support.project import SHIPPED

INCLUDE = 'include = ["fixtures/*/kpis.toml"]\n'
OTHER = """\
# a second workload
[workload.other]
task = "image-classification"
fixture = "fixtures.other"
checkpoint = "weights.bin"

[workload.other.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[[kpi]]
name = "other"
workload = "other"
recipe = "fp32"
machine = "here"
targets = { "size" = "< 5 MB" }
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, valid: str) -> Write:
    """Writes a valid main file with an include, and the included file; returns the main file."""

    def written(other: str = OTHER, main: str = "") -> Path:
        for name in ("tiny", "other"):
            (tmp_path / "fixtures" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "fixtures" / name / "__init__.py").touch()
        (tmp_path / "kpis.toml").write_text(main or INCLUDE + valid, encoding="utf-8")
        (tmp_path / "fixtures/other/kpis.toml").write_text(other, encoding="utf-8")
        return tmp_path / "kpis.toml"

    return written


def mistakes(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    return list(caught.value.problems)


def test_an_included_file_is_read_as_if_it_were_in_the_main_one(write: Write, tmp_path: Path) -> None:
    spec = read_spec(write())
    assert list(spec.workloads) == ["other", "tiny"] or list(spec.workloads) == ["tiny", "other"]
    assert [kpi.name for kpi in spec.kpis][-1] == "other"
    assert spec.files == (tmp_path / "kpis.toml", tmp_path / "fixtures/other/kpis.toml")
    assert spec.workload_files["other"] == tmp_path / "fixtures/other/kpis.toml"
    # Paths are meant from the file that they are written in, fixtures from the main one.
    assert spec.workloads["other"].checkpoint == str(tmp_path / "fixtures/other/weights.bin")
    assert spec.workloads["other"].fixture == "fixtures.other"


def test_the_digest_is_of_all_files(write: Write) -> None:
    digests = [read_spec(write()).digest, read_spec(write(OTHER + "# a comment\n")).digest]
    assert len(set(digests)) == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('runtime = "onnxruntime"', 'runtime = "onnxrumtime"', 8, "[workload.other.recipe.fp32]: runtime: "),
        ('"size" = "< 5 MB"', '"size" = "< 5 ms"', 16, '[[kpi]] "other": size: '),
        ('machine = "here"', 'machine = "there"', 15, '[[kpi]] "other": machine: unknown machine "there"'),
        ('task = "image-classification"', 'taks = "image-classification"', 3, '[workload.other]: unknown key "taks"'),
        ('recipe = "fp32"', 'recipe = "fp23"', 14, '[[kpi]] "other": recipe: unknown recipe "fp23"'),
        ("# a second workload", "[measure]", 1, "measure is for kpis.toml alone"),
        ("# a second workload", "[machine.here]\ndevice = 'cpu'", 1, "[machine.here] is in kpis.toml:"),
        ("# a second workload", "machine = 3", 1, "machine must be a table"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_and_the_line(write: Write, old: str, new: str, line: int, said: str) -> None:
    assert old in OTHER
    (told,) = mistakes(write(OTHER.replace(old, new)))
    assert told.startswith(f"fixtures/other/kpis.toml:{line}: {said}")


def test_a_pattern_without_a_file_is_a_mistake(write: Write, valid: str) -> None:
    (told,) = mistakes(write(main='include = ["fixtures/*/kpis.toml", "nothing/*.toml"]\n' + valid))
    assert told == "kpis.toml:1: include: 'nothing/*.toml' matches no file"
    for odd in ('["/etc/*.toml"]', '[""]', "[3]", '"kpis.toml"', "3"):
        assert all(line.startswith("kpis.toml:1: ") for line in mistakes(write(main=f"include = {odd}\n" + valid)))


def test_an_included_file_that_is_no_toml_is_named(write: Write) -> None:
    (told,) = mistakes(write("[workload"))
    assert told.startswith("fixtures/other/kpis.toml: not valid TOML: ")


def test_the_main_file_has_lines_too(write: Write, valid: str) -> None:
    text = INCLUDE + valid.replace('"size" = "< 5 MB"', '"size" = "< 5 ms"')
    (told,) = mistakes(write(main=text))
    number = text[: text.index('"size"')].count("\n") + 1
    assert told.startswith(f'kpis.toml:{number}: [[kpi]] "tiny-fast": size: ')


def test_annotations_point_into_the_included_file(write: Write) -> None:
    path = write()
    made = evidence([Made("other", size=6e6, bounds={"size": "< 5 MB"})])
    (remark,) = annotate(made, path)
    assert remark.file.endswith("fixtures/other/kpis.toml") or remark.file == "kpis.toml"
    assert remark.line == 16


@pytest.mark.parametrize("file", SHIPPED[1:], ids=lambda file: file.parent.name)
def test_lines_of_a_shipped_file_are_those_of_its_text(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    rows = text.split("\n")
    data, lines = tomllib.loads(text), table_lines(text)
    for index, kpi in enumerate(data["kpi"]):
        assert rows[lines["kpi", index] - 1].strip() == "[[kpi]]"
        assert f'"{kpi["name"]}"' in rows[lines["kpi", index, "name"] - 1]
        for metric in kpi["targets"]:
            line = target_lines(text)[kpi["name"], metric]
            assert metric in rows[line - 1]
    for name in data["workload"]:
        assert rows[lines["workload", name] - 1].startswith(f"[workload.{name}]")


def places(data: object, place: Place = ()) -> Iterator[Place]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*place, key)
            yield from places(value, (*place, key))


ODD = """
"a.b" = '''
[not.a.table]
x = 1
'''   # [nor.this]
list = [ # [[kpi]]
  "]", '[', { x = "}" },
  [1, 2]
]
[t."u v".'w']
k = \"\"\"
q = 1 \\\"\"\" still
\"\"\"
a.b.c = 3
  [[rows]]
  n = 1
  [rows.inner]
  m = 2
  [[rows.deep]]
  d = 1
[[rows]]
n = 2
[rows.inner]
m = 3
"""


def test_what_only_looks_like_a_table_is_none() -> None:
    lines = table_lines(ODD)
    assert lines[("a.b",)] == 2
    assert lines[("list",)] == 6
    assert lines["t", "u v", "w"] == 10
    assert lines["t", "u v", "w", "k"] == 11
    assert lines["t", "u v", "w", "a", "b", "c"] == 14
    assert lines["rows", 0] == 15
    assert lines["rows", 0, "inner", "m"] == 18
    assert lines["rows", 0, "deep", 0, "d"] == 20
    assert lines["rows", 1] == 21
    assert lines["rows", 1, "inner", "m"] == 24
    assert not [place for place in lines if "not" in place or "nor" in place or "q" in place or "x" in place]
    assert line_of(lines, ("rows", 1, "inner", "nothing", "more")) == 23
    assert line_of(lines, ("nothing",)) is None


@given(st.text(max_size=200))
def test_any_text_is_read_to_its_end(text: str) -> None:
    lines = table_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
