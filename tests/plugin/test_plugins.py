"""A plug-in brings a task with all that belongs to it; what is wrong with one is said in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness.core import registry
from harness.core.errors import SpecError
from harness.core.imports import code_digest
from harness.spec.reader import read_spec
from harness.spec.tasks import tasks
from tests.support.project import ROOT, Project, copied_project

EXAMPLE = ROOT / "examples/plugin"
TOML = 'plugins = ["mine"]\n'


@pytest.fixture(autouse=True)
def project_without_plugins() -> Iterator[None]:
    """What a test loads is not known to the next."""
    before = set(sys.modules)
    yield
    registry.use(())
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("mine", "forecasting"):
            del sys.modules[name]


@pytest.fixture
def refused(tmp_path: Path, valid: str) -> Callable[[dict[str, str]], list[str]]:
    """What is said of a valid file whose plug-in consists of these files."""

    def read(files: dict[str, str]) -> list[str]:
        (tmp_path / "kpis.toml").write_text(TOML + valid, encoding="utf-8")
        (tmp_path / "fixtures/tiny").mkdir(parents=True)
        (tmp_path / "fixtures/tiny/__init__.py").touch()
        for name, text in files.items():
            (tmp_path / "mine" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "mine" / name).write_text(text, encoding="utf-8")
        with pytest.raises(SpecError) as caught:
            read_spec(tmp_path / "kpis.toml")
        return list(caught.value.problems)

    return read


def test_every_public_name_is_there() -> None:
    assert {name for name in harness.__all__ if not hasattr(harness, name)} == set()
    assert sorted(harness.__all__) == sorted(harness._MODULE_OF)
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        _ = harness.nothing


def test_a_plug_in_that_is_not_there_is_the_only_mistake_told(refused: Callable[[dict[str, str]], list[str]]) -> None:
    (told,) = refused({})
    assert 'plugins: unknown package "mine"' in told
    assert "a package is a folder with an __init__.py" in told


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"__init__.py": "import no_such_library\n"}, 'plug-in "mine" can\'t be imported: No module named'),
        ({"__init__.py": "TASKS = (\n"}, 'plug-in "mine" can\'t be imported:'),
        ({"__init__.py": "", "metrics.py": "1 / 0\n"}, "mine.metrics can't be imported: division by zero"),
        (
            {"__init__.py": "", "metrics.py": "from harness.judge.metrics.size import Size as S\n\n\nclass Size(S):\n"
             "    name = 'size'\n"},
            "two classes are named 'size': harness.judge.metrics.size.Size and mine.metrics.Size",
        ),
        (
            {"__init__.py": "from harness import Task\n\nTASKS = (Task('translation'),)\n"},
            'two plug-ins declare the task "translation"; the second is mine',
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_plug_in_is_one_line(
    refused: Callable[[dict[str, str]], list[str]], files: dict[str, str], said: str
) -> None:
    (told,) = refused(files)
    assert said in told


@pytest.mark.parametrize("name", ["json", "numpy", "harness"])
def test_a_plug_in_with_the_name_of_a_library_is_refused(tmp_path: Path, valid: str, name: str) -> None:
    for package in (name, "fixtures/tiny"):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "kpis.toml").write_text(f'plugins = ["{name}"]\n{valid}', encoding="utf-8")
    with pytest.raises(SpecError, match=f'plug-in "{name}" has the name of another package'):
        read_spec(tmp_path / "kpis.toml")


def test_the_plug_ins_of_one_file_are_not_those_of_the_next(tmp_path: Path, kpis_file: Path, valid: str) -> None:
    kpis_file.write_text(valid, encoding="utf-8")
    shutil.copytree(EXAMPLE, tmp_path / "example")
    spec = read_spec(tmp_path / "example/kpis.toml")
    assert spec.kpis[0].targets[1].metric.name == "error.mase"
    assert "forecasting" in tasks()
    read_spec(kpis_file)
    assert "forecasting" not in tasks()


def test_comments_do_not_change_code(tmp_path: Path) -> None:
    file = tmp_path / "a.py"

    def digest(text: str) -> str:
        file.write_text(text, encoding="utf-8")
        os.utime(file, ns=(len(seen), len(seen)))
        seen.append(code_digest(tmp_path, [file]))
        return seen[-1]

    seen: list[str] = []
    plain = digest("def f(x):\n    return x + 1\n")
    assert digest('"""What it is."""\n\n# why\ndef f(x):\n  """Adds."""\n  return x + 1  # one\n') == plain
    assert digest("def f(x):\n    return x + 2\n") != plain
    assert digest("def f(x):\n    return 'x' + 1\n") != plain
    assert digest("def f(x):\n    if x:\n        return x\n    return 1\n") != digest(
        "def f(x):\n    if x:\n        return x\n        return 1\n"
    )


@pytest.mark.suite
def test_a_changed_pass_makes_its_artifact_again(tmp_path: Path, shared_store: Path) -> None:
    project = copied_project(EXAMPLE, tmp_path / "p", shared_store)
    assert project.pytest("-k", "size").returncode == 0
    before = {m["artifact"] for m in project.evidence()["targets"]}
    passes = project.folder / "forecasting/passes.py"
    passes.write_text(f"# a comment\n{passes.read_text(encoding='utf-8')}", encoding="utf-8")
    assert project.pytest("-k", "size").returncode == 0
    assert {m["artifact"] for m in project.evidence()["targets"]} == before
    text = passes.read_text(encoding="utf-8")
    assert "astype(np.float16)" in text
    passes.write_text(text.replace("astype(np.float16)", "astype(np.float32)"), encoding="utf-8")
    assert project.pytest("-k", "size").returncode == 1
    assert {m["artifact"] for m in project.evidence()["targets"]} != before


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the harness was installed from a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("harness", "kpi_tests"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    made = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    if subprocess.run([*pip, *made], check=False).returncode:
        pytest.skip("no wheel can be built here: pip install setuptools")
    (file,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(file)], check=True)
    return folder / "site"


@pytest.mark.suite
@pytest.mark.parametrize("installed", [False, True], ids=["next to the file", "installed"])
def test_the_example_works_from_a_wheel_in_another_folder(
    wheel: Path, tmp_path: Path, shared_store: Path, *, installed: bool
) -> None:
    project = copied_project(EXAMPLE, tmp_path / "p", shared_store)
    site = tmp_path / "site"
    if installed:
        shutil.copytree(wheel, site)
        (project.folder / "forecasting").rename(site / "forecasting")
        about = site / "forecasting-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: forecasting\nVersion: 1.0\n", encoding="utf-8")
        points = f"[{registry.ENTRY_POINTS}]\nforecasting = forecasting\n"
        (about / "entry_points.txt").write_text(points, encoding="utf-8")
        project.change('plugins = ["forecasting"]\n', "")
    project.environment["PYTHONPATH"] = str(site if installed else wheel)
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    evidence = project.evidence()
    assert {target["verdict"] for target in evidence["targets"]} == {"PASS"}
    assert list(evidence["plugins"]) == ["forecasting"]
    assert "Warning" not in done.stdout
    listed = json.loads(json.dumps(project.verdicts()))
    assert set(listed) == {"tides:size-ratio-fp64", "tides:mase", "tides:mase-drop-fp64", "tides:p50"}


@pytest.mark.suite
def test_commands_on_evidence_know_the_plug_ins_of_the_project(tmp_path: Path, shared_store: Path) -> None:
    project = copied_project(EXAMPLE, tmp_path / "p", shared_store)
    assert project.pytest().returncode == 0
    file = ".kpi/latest/evidence.json"
    for command in (
        ["explain", "tides"],
        ["merge", file, "--out", "merged"],
        ["compare", file, file],
        ["package", "tides", "--out", "packed"],
    ):
        done = project.cli(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    project.change('plugins = ["forecasting"]\n', "")
    done = project.cli("merge", file, "--out", "merged")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: this version does not know the metric "error.mase" (if a plug-in brings it: ')


@pytest.mark.suite
def test_a_worker_under_another_interpreter_finds_the_plug_ins(project: Project) -> None:
    shutil.copytree(EXAMPLE / "forecasting", project.folder / "forecasting")
    toml = project.toml.read_text(encoding="utf-8")
    project.toml.write_text('plugins = ["forecasting"]\n' + toml, encoding="utf-8")
    read_spec(project.toml)
    program = "from harness.core import registry\nprint([p.name for p in registry.plugins() if p.folder])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"],
        env={**os.environ, **registry.environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['forecasting']"
