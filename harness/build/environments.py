"""Environments: other interpreters for libraries that can't be installed next to the main ones."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import harness
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable, suggest
from harness.spec.catalog import environments

_LEAST = re.compile(r"^# python >= 3\.(\d+)$", re.MULTILINE)
_NEWEST = 20


def least_minor(requirements: str) -> int | None:
    """The 12 of the line ``# python >= 3.12`` in a requirement file; None where it has no such line."""
    found = _LEAST.search(requirements)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to run a worker under; ``environment`` are the variables it needs to find the harness."""

    python: Path
    environment: dict[str, str]
    name: str | None = None

    def version(self, distribution: str) -> str | None:
        """The installed version of a distribution there, None when it is not installed."""
        if self.name is None:
            path = None
        else:
            home = self.python.parent.parent
            path = [str(p) for p in (*home.glob("lib/python*/site-packages"), home / "Lib/site-packages")]
        try:
            if path is None:
                return metadata.version(distribution)
            found = next(iter(metadata.distributions(name=distribution, path=path)), None)
        except metadata.PackageNotFoundError:
            return None
        return found.version if found else None


class Environments:
    """Pinned requirement files in the repository, made into virtual environments under the store, by content.

    A file with the line ``# python >= 3.12`` is for an interpreter of that version or later: this one, else the first
    that is found on the PATH.
    """

    def __init__(self, store: Store, root: Path, *, install: bool = False) -> None:
        self.store = store
        self.root = root
        self.install = install

    def names(self) -> dict[str, Path]:
        """Every environment that can be made, with its requirement file."""
        return environments(self.root)

    def path(self, name: str) -> Path:
        """Where the environment is, or will be: keyed by the content of its requirement file and the interpreter."""
        file = self.names().get(name)
        if file is None:
            raise KpiError(suggest(name, self.names(), "environment"))
        content = file.read_bytes()
        _, version = _base(content.decode("utf-8")) or ("", "")
        key = hashlib.sha256(content + version.encode()).hexdigest()[:16]
        return self.store.root / "env" / f"{name}-{key}"

    def exists(self, name: str) -> bool:
        """Whether the environment is complete."""
        return (self.path(name) / "complete").exists()

    def interpreter(self, name: str | None) -> Interpreter:
        """The interpreter for a recipe; Unavailable, with the command that helps, when it was not made yet."""
        if name is None:
            return Interpreter(Path(sys.executable), {})
        if not self.exists(name):
            if not self.install:
                raise Unavailable(f'the environment "{name}" is not installed', f"kpi env create {name}")
            self.create(name, lambda _: None)
        return Interpreter(_python(self.path(name)), {"PYTHONPATH": str(self._shim())}, name)

    def create(self, name: str, say: Callable[[str], None]) -> Path:
        """Makes the environment; KpiError holds pip's last line when that fails."""
        target = self.path(name)
        with self.store.lock(f"env-{target.name}"):
            if self.exists(name):
                return target
            shutil.rmtree(target, ignore_errors=True)
            say(f"creating {name}")
            self._create(name, target)
            say(f"installing {self.names()[name].name}")
            # A requirement file pins every package: pip must not look further than the file says.
            done = subprocess.run(
                [_python(target), "-m", "pip", "install", "--quiet", "-r", self.names()[name]],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                shutil.rmtree(target, ignore_errors=True)
                lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip failed"]
                raise KpiError(f'environment "{name}" could not be installed: {lines[-1][:300]}')
            (target / "complete").touch()
        return target

    def _create(self, name: str, target: Path) -> None:
        found = _base(text := self.names()[name].read_text(encoding="utf-8"))
        if found is None:
            raise Unavailable(
                f'environment "{name}" needs Python 3.{least_minor(text)} or later, this one is '
                f"{sys.version.partition(' ')[0]}",
                "install such a Python, so that it is on the PATH as python3.N",
            )
        if found[0] == sys.executable:
            venv.create(target, with_pip=True, symlinks=sys.platform != "win32")
            return
        command = [found[0], "-m", "venv", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            said = " ".join((done.stdout + done.stderr).split())[:300]
            raise KpiError(f'environment "{name}": {found[0]} can\'t make one: {said}')

    def _shim(self) -> Path:
        """A folder that holds the harness alone, so that the main environment's packages are not found through it."""
        home = Path(harness.__file__).resolve().parent
        shim = self.store.root / "env" / f"shim-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
        link = shim / "harness"
        with self.store.lock(shim.name):
            if not link.exists():
                shim.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                try:
                    link.symlink_to(home, target_is_directory=True)
                except OSError:
                    shutil.copytree(home, link)  # where links need a privilege
        return shim


@cache
def _base(text: str) -> tuple[str, str] | None:
    """The interpreter that a requirement file is for, and its version; None where there is none."""
    least = least_minor(text)
    if least is None or sys.version_info >= (3, least):
        return sys.executable, sys.version
    for minor in range(least, _NEWEST):
        # A name on the PATH may lead to nothing, as those of version managers do.
        if program := shutil.which(f"python3.{minor}"):
            command = [program, "-c", "import sys; print(sys.version)"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return program, done.stdout.strip()
    return None


def _python(target: Path) -> Path:
    return target / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
