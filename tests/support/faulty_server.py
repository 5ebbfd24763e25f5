"""The harness's own server, with the one fault named by FAULT: what a real server may do on a bad day."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.errors import MLServerError

from harness.measure.servers.open_inference import OpenVinoModel, serve

if TYPE_CHECKING:
    from mlserver.types import InferenceRequest, InferenceResponse

FAULT = os.environ.get("FAULT", "")
_ANSWERED: list[bool] = []
_LAST: list[Any] = []
_RANDOM = np.random.default_rng()


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
        return _SPOILT.get(FAULT, lambda right: right)(good)


def _die(good: Any) -> Any:
    del good
    os._exit(7)


def _die_later(good: Any) -> Any:
    if len(_ANSWERED) > 20:
        os._exit(7)
    _ANSWERED.append(True)
    return good


def _raise(good: Any) -> Any:
    del good
    raise MLServerError("the disk is on fire")


def _slow(good: Any) -> Any:
    time.sleep(2)
    return good


def _last(good: Any) -> Any:
    """What the request before was answered, where it was of the same size."""
    _LAST.append(good)
    before = _LAST.pop(0) if len(_LAST) > 1 else good
    return before if before.shape == good.shape else good


def _mixed(good: Any) -> Any:
    """The mean of the answer and of the one before."""
    mixed = good if not _LAST or _LAST[-1].shape != good.shape else (good + _LAST[-1]) / 2
    _LAST[:] = [mixed]
    return mixed


def _huge_at_times(good: Any) -> Any:
    _ANSWERED.append(True)
    return np.full(good.shape, 1e300) if len(_ANSWERED) % 10 == 0 else good


_SPOILT: dict[str, Callable[[Any], Any]] = {
    "shape": lambda good: good[0],
    "integers": lambda good: good.astype(np.int64),
    "small-integers": lambda good: (good / 100).astype(np.int64),
    "nan": lambda good: np.full_like(good, np.nan),
    "huge-at-times": _huge_at_times,
    "huge": lambda good: np.full(good.shape, 1e300),
    "noise": lambda good: good + _RANDOM.normal(0, np.ptp(good) / 4, good.shape).astype(good.dtype),
    "rows": lambda good: good[::-1],
    "last": _last,
    "state": _mixed,
    "slow": _slow,
    "die": _die,
    "die-later": _die_later,
    "raise": _raise,
}


if __name__ == "__main__":
    # The server wants a class that it can import by its module's name.
    from tests.support import faulty_server

    sys.exit(serve(sys.argv[1:], faulty_server.Faulty))
