"""The light environment of a machine that is reached: pinned by architecture, its wheels fetched here and sent."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.build.environments import least_minor
from harness.core.errors import KpiError, Unavailable, suggest
from harness.measure.reach.link import PYTHONS, Link, Say
from harness.measure.reach.sending import Parcel, of_files
from harness.spec.catalog import environments

_OWN = Path(__file__).resolve().parent / "requirements"
_OLDEST_LIBC = 17
"""manylinux2014: glibc 2.17."""


def requirement_file(arch: str, root: Path) -> Path:
    """The pinned requirements of an architecture: ``environments/reach-ARCH.txt`` next to the TOML, or ours."""
    own = root / "environments" / f"reach-{arch}.txt"
    file = own if own.is_file() else _OWN / f"{arch}.txt"
    if not file.is_file():
        known = [path.stem for path in _OWN.glob("*.txt")]
        raise Unavailable(
            suggest(arch, known, "architecture"),
            f"install a 64-bit system there, or write environments/{own.name} next to kpis.toml",
        )
    return file


def running_file(arch: str, root: Path, name: str) -> Path:
    """The pinned requirements of what a recipe's environment needs to run there, where nothing is built.

    ``environments/reach-ARCH-NAME.txt`` next to the TOML, or ours, or else the environment's own file.
    """
    own, ours = root / "environments" / f"reach-{arch}-{name}.txt", _OWN / "environments" / f"{name}.txt"
    if found := next((file for file in (own, ours) if file.is_file()), environments(root).get(name)):
        return found
    raise KpiError(suggest(name, environments(root), "environment"))


def python_for(requirements: Path, pythons: Mapping[str, str], where: str) -> tuple[str, str]:
    """Of the Pythons there, by version with their paths, the first that a requirement file is for; both of it."""
    least = least_minor(requirements.read_text(encoding="utf-8")) or 0
    for version, path in pythons.items():
        if int(version.split(".")[1]) >= least:
            return version, path
    raise Unavailable(
        f"{requirements.stem} needs Python 3.{least} or later, {where} has {', '.join(pythons)}",
        "install such a Python there, so that it is on the PATH of a login as python3.N",
    )


def environment_key(requirements: Path, arch: str, python: str) -> str:
    """The name of the environment's folder there; ``python`` is a version, of which the first two numbers count."""
    minor = ".".join(python.split(".")[:2])
    return hashlib.sha256(f"{arch} {minor}\n".encode() + requirements.read_bytes()).hexdigest()[:16]


def environment_keys(root: Path) -> list[str]:
    """The names that an environment may have there, before it is known what is there."""
    own = {path.stem.removeprefix("reach-") for path in (root / "environments").glob("reach-*.txt")}
    own = {arch for arch in own if "-" not in arch}
    known = sorted(own | {path.stem for path in _OWN.glob("*.txt")})
    return [environment_key(requirement_file(arch, root), arch, python) for arch in known for python in PYTHONS]


def make(
    link: Link, requirements: Path, root: Path, store: Path, say: Say, python: tuple[str, str] | None = None
) -> str:
    """Makes the environment there, of wheels that this machine fetches: the machine needs no network.

    ``python`` is its version and path there, where it is not the one that answers. Returns the environment's path
    there. Raises KpiError with pip's last line where a wheel can't be had, or does not install.
    """
    version, program = python or (link.hello["python"], None)
    key = environment_key(requirements, link.hello["arch"], version)
    light = requirement_file(link.hello["arch"], root).read_text(encoding="utf-8")
    pip = next((line for line in light.splitlines() if line.startswith("pip==")), "pip")
    told = {**link.hello, "python": version}
    wheels = _wheels(requirements, pip, told, store / "data" / f"reach-{key}", say)
    folder = wheels.send(link, say)
    path: str = link.call("environment", key=key, wheels=folder, python=program, progress=say)
    return path


def _wheels(requirements: Path, pip: str, hello: Mapping[str, Any], folder: Path, say: Say) -> Parcel:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # two setups fetch them once
        if not folder.exists():
            say(f"fetching the wheels of {requirements.name}")
            _fetch(requirements, pip, hello, folder)
    return of_files({file.name: file for file in sorted(folder.iterdir())})


def _fetch(requirements: Path, pip: str, hello: Mapping[str, Any], folder: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix="reach-", dir=folder.parent))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", *_tags(hello), "--dest", str(aside), "-r", str(requirements), pip],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
            lines = [line for line in said if line.startswith("ERROR")] or said or ["pip failed"]
            raise KpiError(f"the wheels of {requirements.name} can't be fetched: {lines[-1][:300]}")
        shutil.copy2(requirements, aside / "requirements.txt")
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _tags(hello: Mapping[str, Any]) -> list[str]:
    """What pip must be told to fetch for another machine than this one."""
    name, version = hello["libc"]
    if name != "glibc":
        raise Unavailable(
            f"its C library is {name or 'not known'}: wheels are made for glibc", "install another system"
        )
    minor = ".".join(str(hello["python"]).split(".")[:2])
    newest, abi = int(str(version).split(".")[1]), f"cp{minor.replace('.', '')}"
    platforms = [f"manylinux_2_{number}_{hello['arch']}" for number in range(newest, _OLDEST_LIBC - 1, -1)]
    chosen = [*platforms, f"manylinux2014_{hello['arch']}", f"linux_{hello['arch']}"]
    tags = [word for name in chosen for word in ("--platform", name)]
    return [*tags, "--python-version", minor, "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
