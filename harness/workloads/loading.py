"""Makes the workload of a table of ``kpis.toml``: a fixture's own class, or the one for files."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from harness.core import imports, registry
from harness.core.errors import KpiError, Unavailable
from harness.core.imports import closure
from harness.workloads.base import Settings, Workload
from harness.workloads.errors import located


def load_workload(root: Path, fixture: str, settings: Settings) -> Workload:
    """Imports ``fixture`` from below ``root`` and makes its workload; KpiError when it does not define one.

    Without a fixture the workload is made of the files that the settings name.
    """
    if not fixture:
        registry.load_all()
        return _of_files(settings)
    try:
        registry.load_all()
        module = _import_below(root, fixture)
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:
        told = located(error, root) or KpiError(f"{type(error).__name__}: {error}")
        raise KpiError(f"fixture {fixture} can't be imported: {told.message}", told.remedy) from error
    own = [
        member
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, Workload) and member.__module__.startswith(module.__name__)
    ]
    found = [member for member in own if not inspect.isabstract(member)]
    if own and not found:
        lacking = ", ".join(sorted(own[0].__abstractmethods__))
        raise KpiError(f"fixture {fixture}: {own[0].__name__} is abstract, it lacks {lacking}", "write these methods")
    if len(found) != 1:
        raise KpiError(
            f"fixture {fixture} defines {len(found)} workloads, expected exactly one",
            "derive one class from TensorWorkload or Workload",
        )
    made: Workload = found[0](settings)
    return made


def _of_files(settings: Settings) -> Workload:
    # Most workloads have code of their own and need none of this.
    from harness.workloads.files.workload import FileWorkload

    return FileWorkload(settings)


def _import_below(root: Path, dotted: str) -> ModuleType:
    """Imports ``dotted`` from below ``root`` and nowhere else: another project's ``fixtures`` may be importable too."""
    top = dotted.partition(".")[0]
    if top not in sys.modules:
        folder, single = root / top, root / f"{top}.py"
        if folder.is_dir():
            init = folder / "__init__.py"
            found = ModuleSpec(top, None, is_package=True)
            if init.is_file():
                found = spec_from_file_location(top, init, submodule_search_locations=[str(folder)]) or found
            else:
                found.submodule_search_locations = [str(folder)]
        else:
            found = spec_from_file_location(top, single) or ModuleSpec(top, None)
        module = module_from_spec(found)
        sys.modules[top] = module
        if found.loader is not None:
            found.loader.exec_module(module)
    return importlib.import_module(dotted)


def code_digest(root: Path, fixture: str) -> str:
    """SHA-256 over the code of a fixture and of what it imports below ``root``, the harness left out.

    Where it changes, comments and docstrings aside, it is another workload. Without a fixture it is the harness's own
    code that reads files.
    """
    home = Path(__file__).resolve().parent.parent
    if not fixture:
        return imports.code_digest(home, (home / "workloads" / "files").glob("*.py"))
    folder, root = root.resolve().joinpath(*fixture.split(".")), root.resolve()
    own = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    imported = closure(root, own, lambda path: not path.resolve().is_relative_to(home))
    return imports.code_digest(root, {*own, *imported})
