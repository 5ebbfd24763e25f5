"""A model server that speaks the Open Inference Protocol (KServe v2) over gRPC or HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.core.registry import options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime, Session, TensorSession
from harness.measure.runtimes.server_process import ServerProcess, free_ports, listens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays

_BRIEF_S = 5.0


class KServe(Runtime):
    """The harness is the client; the server is one that runs (``url``), or one that it is told how to start."""

    name = "kserve"
    title = "model server"
    formats = frozenset({"openvino", "onnx"})
    devices = frozenset({"cpu", "gpu", "npu"})
    distributions = ("tritonclient",)
    profiles = False

    @options_table
    class Options:
        """Where the server is, or the command that starts it.

        ``url``: "host:port"; what it serves is then the operator's word. ``command``: the program with its arguments,
        in which {artifact}, {device}, {model}, {http_port}, {grpc_port} and {python} are filled in; ``model``: the
        model's name there; ``protocol``; ``binary``: tensors travel as bytes over HTTP, an extension that Triton and
        OpenVINO Model Server know (over gRPC they always do); ``ready_s``: how long the server may take until it is
        ready; ``timeout_s``: how long a request may take.
        """

        url: str | None = None
        command: tuple[str, ...] = ()
        model: str = "model"
        protocol: Literal["grpc", "http"] = "grpc"
        binary: bool = False
        ready_s: float = 60.0
        timeout_s: float = 30.0

        def __post_init__(self) -> None:
            if (self.url is None) == (not self.command):
                raise ValueError("give either url or command")
            if self.url is not None and not re.fullmatch(r"[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", self.url):
                raise ValueError(f'url = {self.url!r}: write "host:port", without http://')
            if min(self.ready_s, self.timeout_s) <= 0:
                raise ValueError("ready_s and timeout_s must be above 0")

    @classmethod
    def available_devices(cls) -> str:
        import tritonclient.grpc
        import tritonclient.http  # noqa: F401 - a broken installation shows here

        return "whatever server it is pointed at"

    def import_library(self) -> None:
        # Its memory and import time are not the artifact's.
        require(f"tritonclient.{self.options.protocol}", "tritonclient[all]")

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        del batch, profile
        chosen, server = self.options, None
        url = chosen.url
        if url is None:
            http, grpc = free_ports(2)
            places = {"artifact": artifact, "device": device, "model": chosen.model, "http_port": http}
            server = ServerProcess(chosen.command, {**places, "grpc_port": grpc})
            port = grpc if chosen.protocol == "grpc" else http
            url = f"127.0.0.1:{port}"
        client: Client | None = None
        try:
            client = Client(url, chosen)
            if server is None:
                client.require()
            else:
                # gRPC waits a second before it tries again: it shall not be asked before somebody listens.
                server.wait(lambda: listens(port) and client.ready(), chosen.ready_s)
            return _KServeSession(client, server, device, owns=True)
        except BaseException:
            if client is not None:
                client.close()
            if server is not None:
                server.stop()
            raise


class Client:
    """One connection. Every error of the wire is a KpiError of one line."""

    def __init__(self, url: str, options: KServe.Options) -> None:
        self.url = url
        self.options = options
        self.model = options.model
        if options.protocol == "grpc":
            import tritonclient.grpc as triton

            self._client = triton.InferenceServerClient(url)
            self._limits: dict[str, Any] = {"client_timeout": options.timeout_s}
            # Whether it is there, it must say at once: who accepts a connection and is silent is not a server.
            self._brief: dict[str, Any] = {"client_timeout": min(_BRIEF_S, options.timeout_s)}
        else:
            import tritonclient.http as triton

            limits = {"connection_timeout": options.timeout_s, "network_timeout": options.timeout_s}
            self._client = triton.InferenceServerClient(url, **limits)
            self._limits = self._brief = {}
        self._triton = triton
        # As plain JSON, the answer's tensors have to be asked for by name.
        self._json = options.protocol == "http" and not options.binary
        self._outputs: list[Any] | None = None

    def ready(self) -> bool:
        """Whether the server is up with the model; False while there is no answer."""
        try:
            return bool(self._client.is_server_ready(**self._brief) and self._model_ready())
        except Exception:  # noqa: BLE001 - refused, reset, not yet speaking: all of them mean "not yet"
            return False

    def _model_ready(self) -> bool:
        return bool(self._client.is_model_ready(self.model, **self._brief))

    def require(self) -> None:
        """Unavailable when no server answers, or not with the model."""
        try:
            up = self._client.is_server_ready(**self._brief)
        except Exception as error:
            raise Unavailable(
                f"no model server answers at {self.url}: {reason(error)}", "start it, or check url"
            ) from error
        if not up or not self.ready():
            raise Unavailable(f"the server at {self.url} has no model {self.model!r} ready", "load it, or check model")

    def infer(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """One request; the outputs by name."""
        from tritonclient.utils import np_to_triton_dtype

        inputs = []
        for name, array in feeds.items():
            tensor = self._triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array, **({"binary_data": False} if self._json else {}))
            inputs.append(tensor)
        if self._json and self._outputs is None:
            self._outputs = self._named_outputs()
        try:
            answer = self._client.infer(self.model, inputs, outputs=self._outputs, **self._limits)
            as_json = {"as_json": True} if self.options.protocol == "grpc" else {}
            names = [output["name"] for output in answer.get_response(**as_json).get("outputs", [])]
            found = {name: answer.as_numpy(name) for name in names}
        except Exception as error:
            raise self._explain(error) from error
        if empty := [name for name, array in found.items() if array is None]:
            raise KpiError(f"the server at {self.url} answered {', '.join(empty)} without data")
        return found

    def _named_outputs(self) -> list[Any]:
        _, _, model = self.about()
        names = [output["name"] for output in model.get("outputs", [])]
        if not names:
            raise KpiError(
                f"the server at {self.url} does not say what {self.model} gives", "use gRPC, or set binary = true"
            )
        return [self._triton.InferRequestedOutput(name, binary_data=False) for name in names]

    def about(self) -> tuple[str, str, dict[str, Any]]:
        """The server's own name and version, and what it says of the model."""
        as_json = {"as_json": True} if self.options.protocol == "grpc" else {}
        try:
            server = self._client.get_server_metadata(**as_json, **self._brief)
            model = self._client.get_model_metadata(self.model, **as_json, **self._brief)
        except Exception as error:
            raise self._explain(error) from error
        return str(server.get("name", "")), str(server.get("version", "")), dict(model)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def _explain(self, error: Exception) -> KpiError:
        said = reason(error)
        if any(word in said.lower() for word in ("deadline exceeded", "timed out", "timeout")):
            return KpiError(
                f"the server at {self.url} took longer than {self.options.timeout_s:g} s", "raise timeout_s"
            )
        return KpiError(f"the server at {self.url} failed: {said}", "see its log")


class _KServeSession(TensorSession):
    def __init__(self, client: Client, server: ServerProcess | None, device: str, *, owns: bool) -> None:
        self._client = client
        self._server = server
        self._device = device
        self._owns = owns

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        try:
            answer = self._client.infer(feeds)
        except KpiError:
            # A server that dies breaks the connection first.
            if self._server is not None and (ended := self._server.ended(wait_s=1.0)):
                raise KpiError(f"the model server {ended}", "see measure.log") from None
            raise
        wanted = len(next(iter(feeds.values())))
        for name, array in answer.items():
            if array.ndim == 0 or len(array) != wanted:
                raise KpiError(f"the server answered {name} of shape {array.shape} to a batch of {wanted}")
            if array.dtype.kind != "f":
                raise KpiError(f"the server answered {name} as {array.dtype}, expected floating point")
        return answer

    def clone_for_thread(self) -> TensorSession:
        return _KServeSession(Client(self._client.url, self._client.options), self._server, self._device, owns=False)

    def proof(self) -> Proof:
        name, version, model = self._client.about()
        return Proof(
            runtime=f"{name or 'unnamed server'} over {self._client.options.protocol}",
            version=version or "not said",
            device=self._device,
            precision="not said by the protocol",
            details={
                "url": self._client.url if self._server is None else "started by the harness",
                "command": list(self._server.command) if self._server else [],
                "model": self._client.model,
                "platform": str(model.get("platform", "")),
                "artifact": "given to the server" if self._server else "the operator's word",
            },
        )

    def close(self) -> None:
        self._client.close()
        if self._server is not None and self._owns:
            self._server.stop()
