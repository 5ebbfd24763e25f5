"""A served language model behind an HTTP endpoint: OpenAI-compatible, Text Generation Inference or KServe."""

from __future__ import annotations

import json
import os
import re
from dataclasses import field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.core.registry import options_table
from harness.measure.loadgen.client import Client
from harness.measure.loadgen.dialects import DIALECTS
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.machine.system import adopt, listeners
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime, Session
from harness.measure.runtimes.container import Container
from harness.measure.runtimes.server_process import ServerProcess, free_ports
from harness.tasks.language.runtimes.language import Variables
from harness.workloads.chat_template import check_names

_BRIEF_S = 5.0
_URL = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?(/[\w./~-]*)?")
_OK = 200


class HttpEndpoint(Runtime):
    """The harness is the client; the server runs (``url``), or is started: a ``command``, or an ``image``."""

    name = "http-endpoint"
    title = "HTTP endpoint of a language model"
    formats = frozenset({"openvino-llm", "huggingface"})
    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = ("aiohttp",)
    profiles = False

    @options_table
    class Options:
        """Where the server is, or what starts it.

        ``protocol``: openai-chat, openai (completions), tgi, kserve. ``url``: "http://host:port"; what it serves is
        then the operator's word. ``command``: the program with its arguments, in which {artifact}, {device}, {model},
        {port} and {python} are filled in. ``image``: of a container, with its ``arguments``, {artifact} and {port}
        among them. ``model``: its name there; ``ready``: the path that answers 200 once the server is up, in place of
        the protocol's; ``ready_s``: how long that may take; ``timeout_s``: how long a request may take;
        ``token_variable``: the environment variable that holds a bearer token; ``chat_template_kwargs``: variables of
        the chat template, sent along with each request (vLLM, SGLang, our own server).
        """

        protocol: Literal["openai-chat", "openai", "tgi", "kserve"] = "openai-chat"
        url: str | None = None
        command: tuple[str, ...] = ()
        image: str | None = None
        arguments: tuple[str, ...] = ()
        model: str = "model"
        ready: str | None = None
        ready_s: float = 120.0
        timeout_s: float = 30.0
        token_variable: str | None = None
        chat_template_kwargs: Variables = field(default_factory=dict)

        def __post_init__(self) -> None:
            if sum((self.url is not None, bool(self.command), self.image is not None)) != 1:
                raise ValueError("give one of url, command and image")
            if self.url is not None and not _URL.fullmatch(self.url):
                raise ValueError('write url as "http://host:port", a token into the variable that token_variable names')
            if self.arguments and self.image is None:
                raise ValueError("arguments are those of an image; a command has its own")
            if self.ready is not None and not self.ready.startswith("/"):
                raise ValueError('write ready as a path, such as "/health"')
            check_names(self.chat_template_kwargs)
            if self.chat_template_kwargs and self.protocol != "openai-chat":
                raise ValueError('chat_template_kwargs need protocol = "openai-chat": others add no template')
            if min(self.ready_s, self.timeout_s) <= 0:
                raise ValueError("ready_s and timeout_s must be above 0")

    @classmethod
    def available_devices(cls) -> str:
        import aiohttp  # noqa: F401 - a broken installation shows here

        return "whatever server it is pointed at"

    def import_library(self) -> None:
        require("aiohttp")  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        chosen, server, container = self.options, None, None
        url, token = chosen.url, self._token()
        if url is None:
            (port,) = free_ports(1)
            url, command = f"http://127.0.0.1:{port}", chosen.command
            if chosen.image is not None:
                container = Container(chosen.image)
                command = container.command(chosen.arguments, port, device)
            places = {"artifact": artifact, "device": device, "model": chosen.model, "port": port}
            server = ServerProcess(command, places)
        # Clients of OpenAI's own library are given the address with the version at its end.
        base = url.rstrip("/").removesuffix("/v1")
        dialect = DIALECTS[chosen.protocol]
        variables = dict(chosen.chat_template_kwargs)
        extra = {"chat_template_kwargs": variables} if variables else {}
        endpoint = Endpoint(base, dialect, chosen.model, chosen.timeout_s, token, extra)
        session = EndpointSession(endpoint, server, container, device)
        try:
            paths = (chosen.ready,) if chosen.ready else dialect.ready
            if server is None:
                session.require(paths)
            else:
                server.wait(lambda: session.up(paths), chosen.ready_s)
            session.require_model()
            session.adopt()
        except BaseException:
            session.close()
            raise
        return session

    def _token(self) -> str:
        name = self.options.token_variable
        if name is None:
            return ""
        token = os.environ.get(name, "")
        if not token:
            raise Unavailable(f"the environment variable {name} is not set", "put the endpoint's token into it")
        if not token.isascii() or not token.isprintable():
            raise KpiError(f"the environment variable {name} holds no token", "is there a line break in it?")
        return token


class EndpointSession(Session):
    """A server that is ready; a client opens its own connections to ``endpoint``."""

    def __init__(
        self, endpoint: Endpoint, server: ServerProcess | None, container: Container | None, device: str
    ) -> None:
        self.endpoint = endpoint
        self._server = server
        self._container = container
        self._device = device
        self._client = Client(endpoint)

    def up(self, paths: tuple[str, ...]) -> bool:
        """Whether one of the paths answers 200."""
        return self._state(paths) == ""

    def require(self, paths: tuple[str, ...]) -> None:
        """Unavailable when there is no answer, or not that of a server that is ready."""
        if said := self._state(paths):
            raise Unavailable(f"no server is ready at {self.endpoint.url}: {said}", "start it, or check url and ready")

    def _state(self, paths: tuple[str, ...]) -> str:
        """Empty when a path answers 200, else what happened at the last one."""
        said = ""
        for path in paths:
            try:
                status, _ = self._client.get(path, min(_BRIEF_S, self.endpoint.timeout_s))
            except TimeoutError:
                return f"{path} did not answer"
            except Exception as error:  # noqa: BLE001 - refused, reset, no HTTP: all of them mean "not yet"
                said = reason(error, 200)
                continue
            if status == _OK:
                return ""
            said = f"{path} answered HTTP {status}"
        return said

    def require_model(self) -> None:
        """Unavailable when the server says what it serves, and the model is not among it."""
        found = self.endpoint.dialect.models(self._about())
        if found is not None and self.endpoint.model not in found:
            raise Unavailable(
                f"the server at {self.endpoint.url} has no model {self.endpoint.model!r}, it has {', '.join(found)}",
                "load it, or check model",
            )

    def _about(self) -> dict[str, Any]:
        """What the server says of itself; empty where it says nothing."""
        try:
            status, said = self._client.get(self.endpoint.dialect.about(self.endpoint.model), _BRIEF_S)
            found = json.loads(said) if status == _OK else {}
        except Exception:  # noqa: BLE001 - many servers don't say what they are, and serve well
            return {}
        return found if isinstance(found, dict) else {}

    def adopt(self) -> None:
        """Counts the server's processor time as the artifact's own, where it runs on this machine too."""
        if self._container is not None and (process := self._container.process()):
            adopt(process)
        elif self._server is None:
            found = urlsplit(self.endpoint.url)
            if found.hostname in {"localhost", "127.0.0.1", "::1"}:
                for process in listeners(found.port or (443 if found.scheme == "https" else 80)):
                    adopt(process)

    def check(self, *, failed: bool) -> None:
        """KpiError when the server that was started is gone.

        Where requests have ``failed`` it is given a second: a server that dies breaks its connections first.
        """
        if self._server is not None and (ended := self._server.ended(wait_s=1.0 if failed else 0.0)):
            raise KpiError(f"the model server {ended}", "see measure.log")

    def proof(self) -> Proof:
        said = self._about()
        started = "started by the harness"
        return Proof(
            runtime=f"HTTP endpoint, {self.endpoint.dialect.name}",
            version=str(said.get("version") or "not said"),
            device=self._device,
            precision="not said by the protocol",
            details={
                "url": self.endpoint.url if self._server is None else started,
                "command": list(self._server.command) if self._server else [],
                "model": self.endpoint.model,
                "server": _shortened(said),
                "artifact": "given to the server" if self._server else "the operator's word",
            },
        )

    def close(self) -> None:
        self._client.close()
        if self._container is not None:
            self._container.remove()
        if self._server is not None:
            self._server.stop()


def _shortened(said: dict[str, Any]) -> str:
    return json.dumps(said)[:2000]
