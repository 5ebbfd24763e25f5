"""The rules of the house, read from the source: which way imports run, what loads when, how long a file is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.spec.catalog import metrics, runtimes, scenarios
from harness.spec.tasks import tasks

ROOT = Path(__file__).resolve().parents[2]
HARNESS = sorted((ROOT / "harness").rglob("*.py"))
OURS = [*HARNESS, *sorted((ROOT / "kpi_tests").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
HEAVY = {"torch", "torchvision", "transformers", "openvino", "onnxruntime", "nncf", "onnx"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The packages, by their first name, that import statements among the nodes name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import stays in the package: "." is never one of the names that are looked for.
            found.add((node.module or "").partition(".")[0] if node.level == 0 else ".")
    return found


def run_when_imported(node: ast.AST) -> Iterator[ast.AST]:
    """Everything that runs when a module is imported: not what is in a function, not what only a type checker sees."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        children = iter(node.orelse)
    for child in children:
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from run_when_imported(child)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name(path))


def test_the_rules_see_what_they_forbid() -> None:
    module = ast.parse(
        "import torch.nn\nif True:\n  from onnx import x\n"
        "if TYPE_CHECKING:\n  import nncf\nelse:\n  import openvino\n"
        "class A:\n  import torchvision\n  def f(self):\n    import transformers\n"
        "try:\n  import onnxruntime\nexcept ImportError:\n  from . import pytest\n"
    )
    assert imported(run_when_imported(module)) == {
        "torch", "onnx", "openvino", "torchvision", "onnxruntime", ".",
    }  # fmt: skip
    assert imported(ast.walk(module)) == {*HEAVY, "."}
    assert len(HARNESS) > 40


@pytest.mark.parametrize("path", HARNESS, ids=name)
def test_the_harness_knows_no_fixture_and_no_test(path: Path) -> None:
    assert not imported(ast.walk(tree(path))) & {"fixtures", "kpi_tests", "tests", "conftest"}


def test_only_the_plugin_imports_pytest() -> None:
    users = [name(path) for path in HARNESS if imported(ast.walk(tree(path))) & {"pytest", "_pytest"}]
    inside = ["benchmark.py", "junit.py"]
    types_alone = ["harness/options.py", "harness/judge/selection.py", *(f"harness/reports/{file}" for file in inside)]
    assert users == sorted(["harness/pytest_plugin.py", *types_alone])
    for path in types_alone:
        assert not imported(run_when_imported(tree(ROOT / path))) & {"pytest"}


@pytest.mark.parametrize("path", HARNESS, ids=name)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    assert not imported(run_when_imported(tree(path))) & HEAVY


@pytest.mark.parametrize("path", OURS, ids=name)
def test_every_file_opens_with_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))
    assert docstring is not None
    sentence = docstring.split("\n\n")[0].replace("\n", " ")
    assert re.search(r"[.?:]$", sentence), sentence
    assert not re.search(r"[a-z)`\"]\. [A-Z]", sentence), sentence


@pytest.mark.parametrize("path", OURS, ids=name)
def test_no_file_is_longer_than_can_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_generic_module_names_what_a_plug_in_may_bring() -> None:
    """A list of names would drift unseen; words of one part, such as "load", mean other things as well."""
    brought = {*tasks(), *scenarios(), *runtimes(), *metrics()}
    own = ("harness/tasks/", "harness/judge/metrics/", "harness/measure/scenarios/", "harness/measure/runtimes/")
    modules = [path for path in HARNESS if not name(path).startswith(own)]
    assert len(modules) > 200
    named = [
        f"{name(path)}:{node.lineno} {node.value}"
        for path in modules
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and node.value in brought and re.search(r"[._-]", str(node.value))
    ]
    assert named == []


def test_git_ignores_no_module() -> None:
    # An ignored one would be missing from every clone, and ruff passes over it too.
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    given = "\n".join(name(path) for path in OURS)
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        pytest.skip(f"git does not say: {done.stderr.strip()}")
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["harness.pytest_plugin", "harness.spec.reader", "harness.measure.worker"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    # In a process of its own: this one may have loaded anything by now.
    heavy = sorted({*HEAVY, "scipy"})
    program = f"import sys, {module}\nprint(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
