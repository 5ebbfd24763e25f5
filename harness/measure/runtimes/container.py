"""A server in a container: the command that starts it with Docker, and what ends it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from uuid import uuid4

from harness.core.errors import Unavailable

_BRIEF_S = 20.0


class Container:
    """One container, by its name. Raises Unavailable where Docker, its daemon or the image is not here.

    An image is never fetched while something is measured: it takes minutes, and may not be wanted.
    """

    def __init__(self, image: str) -> None:
        program = shutil.which("docker")
        if program is None:
            raise Unavailable("Docker is not here", "install Docker, or give the url of a server that runs")
        self._docker = program
        self.image = image
        self.name = f"kpi-{uuid4().hex[:12]}"
        if said := self._asked("version", "--format", "{{.Server.Version}}"):
            raise Unavailable(f"Docker's daemon does not answer: {said}", "start it, or give the url of a server")
        if self._asked("image", "inspect", "--format", "{{.Id}}", image):
            raise Unavailable(f"the image {image} is not here", f"docker pull {image}")

    def command(self, arguments: Sequence[str], port: int, device: str) -> list[str]:
        """What starts it in the foreground: ``{artifact}`` is /model inside, ``{port}`` is ``port`` outside as well.

        The host's network is shared, so that there is no proxy of Docker's between the client and the server.
        """
        gpus = ["--gpus", "all"] if device == "gpu" else []
        inside = [part.replace("{artifact}", "/model").replace("{port}", str(port)) for part in arguments]
        return [
            self._docker, "run", "--rm", "--init", "--name", self.name, "--network", "host", "--ipc", "host", *gpus,
            "--volume", "{artifact}:/model:ro", self.image, *inside,
        ]  # fmt: skip

    def process(self) -> int | None:
        """The number of its first process on this machine; None where Docker runs elsewhere or does not say."""
        done = self._run("inspect", "--format", "{{.State.Pid}}", self.name)
        said = done.stdout.strip() if done else ""
        return int(said) if said.isdigit() and int(said) else None

    def remove(self) -> None:
        """Ends it: a client that is killed leaves its container running."""
        self._asked("rm", "--force", self.name)

    def _asked(self, *arguments: str) -> str:
        """Empty when Docker did it, else the first line of what it said."""
        done = self._run(*arguments)
        if done is None:
            return f"no answer within {_BRIEF_S:g} s"
        if not done.returncode:
            return ""
        return next((line.strip() for line in done.stderr.splitlines() if line.strip()), "failed without a word")[:200]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str] | None:
        """What Docker did; None when it did not answer in time."""
        command = [self._docker, *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=_BRIEF_S, check=False)
        except subprocess.TimeoutExpired:
            return None
