"""The harness's own server, with the one fault named by FAULT: what a real server may do on a bad day."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.errors import MLServerError

from harness.servers.open_inference import OpenVinoModel, serve

if TYPE_CHECKING:
    from mlserver.types import InferenceRequest, InferenceResponse

FAULT = os.environ.get("FAULT", "")
_ANSWERED: list[bool] = []


class Faulty(OpenVinoModel):
    async def load(self) -> bool:
        if FAULT == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return await super().load()

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        answer = await super().predict(payload)
        spoilt = {output.name: self.spoilt(NumpyCodec.decode_output(output)) for output in answer.outputs}
        answer.outputs = [NumpyCodec.encode_output(name, array) for name, array in spoilt.items()]
        return answer

    def spoilt(self, good: Any) -> Any:
        match FAULT:
            case "shape":
                return good[0]
            case "integers":
                return good.astype(np.int64)
            case "nan":
                return np.full_like(good, np.nan)
            case "huge":
                return np.full(good.shape, 1e300)
            case "slow":
                time.sleep(2)
            case "die":
                os._exit(7)
            case "die-later":
                if len(_ANSWERED) > 20:
                    os._exit(7)
                _ANSWERED.append(True)
            case "raise":
                raise MLServerError("the disk is on fire")
        return good


if __name__ == "__main__":
    # The server wants a class that it can import by its module's name.
    from tests import faulty_server

    sys.exit(serve(sys.argv[1:], faulty_server.Faulty))
