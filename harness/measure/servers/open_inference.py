"""Serves an artifact with OpenVINO over the Open Inference Protocol (KServe v2), gRPC and HTTP, on MLServer.

``python -m harness.measure.servers.open_inference --artifact DIR --http-port N --grpc-port N
[--device cpu] [--model model]``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

from harness.core.protocol import leave

_DATATYPES = {"i64": "INT64", "i32": "INT32", "f32": "FP32", "f16": "FP16", "u8": "UINT8", "i8": "INT8"}


class OpenVinoModel(MLModel):  # type: ignore[misc]
    """``model.xml`` or ``model.onnx`` of an artifact, in FP32 where nothing is quantized; a request a thread."""

    async def load(self) -> bool:
        """Compiles the network for the device and describes it to clients."""
        import openvino as ov

        folder = Path(self.settings.parameters.uri)
        file = next(path for path in (folder / "model.xml", folder / "model.onnx") if path.exists())
        wanted: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        device = self.settings.parameters.extra["device"].upper()
        if device != "NPU":
            wanted["INFERENCE_PRECISION_HINT"] = "f32"
        self._compiled = ov.Core().compile_model(str(file), device, wanted)
        self._own = threading.local()
        self.inputs = [_described(port) for port in self._compiled.inputs]
        self.outputs = [_described(port) for port in self._compiled.outputs]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers one request; others are answered meanwhile."""
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        answer = await asyncio.to_thread(self._infer, feeds)
        outputs = [NumpyCodec.encode_output(name, array) for name, array in answer.items()]
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=outputs)

    def _infer(self, feeds: dict[str, Any]) -> dict[str, Any]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        answer = self._own.request.infer(feeds, share_inputs=True)
        return {port.get_any_name(): answer[port].copy() for port in self._compiled.outputs}


def _described(port: Any) -> MetadataTensor:
    kind = port.get_element_type().get_type_name()
    shape = [-1 if length.is_dynamic else length.get_length() for length in port.partial_shape]
    return MetadataTensor(name=port.get_any_name(), datatype=_DATATYPES.get(kind, kind.upper()), shape=shape)


def serve(arguments: Sequence[str], implementation: type[MLModel]) -> int:
    """Runs until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="model")
    chosen = parser.parse_args(arguments)
    # Its folder of metrics would be left wherever the server was started.
    settings = Settings(
        host="127.0.0.1",
        http_port=chosen.http_port,
        grpc_port=chosen.grpc_port,
        parallel_workers=0,
        metrics_endpoint=None,
        load_models_at_startup=False,
        debug=False,
    )
    model = ModelSettings(
        name=chosen.model,
        platform="openvino",
        implementation=implementation,
        parameters=ModelParameters(uri=str(chosen.artifact), extra={"device": chosen.device}),
    )

    async def run() -> None:
        await MLServer(settings).start([model])

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    leave(serve(sys.argv[1:], OpenVinoModel))
