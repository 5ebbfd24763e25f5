"""Releases in an OCI registry, through ``oras``: a tag is the pointer, a second tag holds the history."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.evidence.package.contents import Contents
from harness.evidence.package.pushing import oras_command, oras_options
from harness.evidence.package.writing import suffix_of, write
from harness.evidence.releases.base import NoRelease, Place
from harness.evidence.releases.moves import Move, move_of, parsed, written

_REFERENCE = re.compile(r"//([A-Za-z0-9.:-]+(?:/[a-z0-9._-]+)+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,100})")
_LABEL = "kpi.release"
_HISTORY = "moves.json"
_TIMEOUT_S = 3600.0
_SHORT = 12


class Oci(Place):
    """``oci://REGISTRY/REPOSITORY:TAG``; each package has a tag of its own, the first digits of its digest."""

    name = "oci"

    def __init__(self, reference: str, root: Path) -> None:
        super().__init__(reference, root)
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise KpiError(f'"{self}" names no tag of a repository', "write oci://REGISTRY/REPOSITORY:TAG")
        self.repository, self.tag = found.groups()
        self.tool = shutil.which("oras") or ""
        if not self.tool:
            raise Unavailable("oras is not installed", "go install oras.land/oras/cmd/oras@v1.3.0")

    def current(self) -> Move:
        done = self._call("manifest", "fetch", self._at(self.tag))
        if done.returncode and _is_absent(done):
            raise NoRelease(f"nothing was released at {self} yet")
        self._check(done, "read")
        try:
            return move_of(json.loads(json.loads(done.stdout)["annotations"][_LABEL]))
        except (KeyError, TypeError, ValueError) as error:
            raise KpiError(f"{self} is nothing that `kpi release` pushed", "let the tag name what it pushed") from error

    def fixed(self, move: Move) -> str:
        return f"{self.name}://{self.repository}:{move.place}"

    def package(self, digest: str, scratch: Path) -> Path:
        del digest  # what comes is held against it
        folder = scratch / "oci"
        folder.mkdir()
        self._check(self._call("pull", "--output", str(folder), self._at(self.tag)), "pull")
        archives = [path for path in sorted(folder.rglob("*")) if path.is_file() and suffix_of(path)]
        if len(archives) != 1:
            raise KpiError(f"{self} holds {len(archives)} archives, where a package is one")
        return archives[0]

    def moves(self) -> Sequence[Move]:
        done = self._call("blob", "fetch", "--output", "-", self._history()) if self._history() else None
        if done is None:
            return []
        self._check(done, "read")
        return parsed(f"the history of {self}", done.stdout)

    def put(self, contents: Contents, move: Move, scratch: Path) -> Move:
        archive = scratch / f"{contents.name}.tar.gz"
        write(contents, archive)
        placed = replace(move, place=contents.digest[:_SHORT])
        label = {_LABEL: json.dumps(asdict(placed))}
        command, _ = oras_command(self.tool, f"//{self.repository}:{placed.place}", contents, archive, label)
        self._check(_run(command, scratch), "push")
        return placed

    def move(self, before: Move | None, after: Move) -> None:
        # A registry moves a tag unconditionally: what is asked before and behind leaves a moment, and tells of it.
        now = self.now()
        if (now and now.digest) != (before and before.digest):
            raise self.moved_meanwhile(before, now)
        history = written([*self.moves(), after])
        self._check(self._call("tag", self._at(after.place), self.tag), "tag")
        if (now := self.now()) is None or now.digest != after.digest:
            raise self.moved_meanwhile(after, now)
        self._keep(history)

    def _keep(self, history: str) -> None:
        """Pushes the history under its own tag."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="kpi-release-") as scratch:
            folder = Path(scratch)
            (folder / _HISTORY).write_text(history, encoding="utf-8")
            options = oras_options(self.repository)
            command = [self.tool, "push", *options, "--artifact-type", "application/vnd.kpi.releases.v1", "--"]
            command += [self._at(f"{self.tag}.moves"), f"{_HISTORY}:application/json"]
            self._check(_run(command, folder), "push")

    def _history(self) -> str:
        """The reference of the blob that holds the history; empty where there is none yet."""
        done = self._call("manifest", "fetch", self._at(f"{self.tag}.moves"))
        if done.returncode and _is_absent(done):
            return ""
        self._check(done, "read")
        return f"{self.repository}@{json.loads(done.stdout)['layers'][0]['digest']}"

    def _at(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        # The subcommand comes first, its options behind it.
        head = 2 if words[0] in ("manifest", "blob") else 1
        return _run([self.tool, *words[:head], *oras_options(self.repository), *words[head:]], None)

    def _check(self, done: subprocess.CompletedProcess[str], what: str) -> None:
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it does not say why"]
            raise KpiError(f"oras could not {what} {self}: {said[0]}", "is `oras login` needed?")


def _is_absent(done: subprocess.CompletedProcess[str]) -> bool:
    return "not found" in done.stderr.lower() or "name unknown" in done.stderr.lower()


def _run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
