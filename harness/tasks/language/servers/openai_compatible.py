"""Serves a language model's artifact over OpenAI's HTTP protocol, many requests in one batch, with OpenVINO GenAI.

``python -m harness.tasks.language.servers.openai_compatible --artifact DIR --port N [--device cpu] [--model model]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as AnyHttpException

from harness.core.errors import KpiError, reason
from harness.core.protocol import leave
from harness.tasks.language.servers.batching import Answer, Delta, Engine
from harness.workloads.chat_template import check_names

_GRACE_S = 2


class _Asked(BaseModel):
    """What both kinds of request share. What this server does not do is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")

    model: str
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)
    stream: bool = False
    stream_options: dict[str, bool] | None = None
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    n: Literal[1] = 1
    user: str | None = None
    ignore_eos: bool = False

    @property
    def most(self) -> int:
        """The most tokens of an answer."""
        return self.max_tokens or 128


class Message(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(_Asked):
    """``POST /v1/chat/completions``."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=100_000)
    chat_template_kwargs: dict[str, str | bool | int | float] = Field(default_factory=dict)

    @property
    def most(self) -> int:
        """The most tokens of an answer."""
        return self.max_completion_tokens or super().most


class CompletionRequest(_Asked):
    """``POST /v1/completions``."""

    prompt: str = Field(min_length=1)


def make_app(engine: Engine, model: str) -> FastAPI:  # noqa: C901 - a list of routes
    """The routes of a server of one model."""
    app = FastAPI(title="OpenVINO GenAI behind OpenAI's protocol", openapi_url=None)
    started = int(time.time())

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part != "body")
        return _error(400, f"{where}: {first['msg']}" if where else str(first["msg"]), where or None)

    @app.exception_handler(AnyHttpException)
    async def failed(_: Request, error: AnyHttpException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.get("/health")
    async def health() -> Response:
        return _error(503, engine.failure) if engine.failure else Response()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        meta = {"device": engine.device, **engine.properties}
        entry = {"id": model, "object": "model", "created": started, "owned_by": "kpi-tests", "meta": meta}
        return {"object": "list", "data": [entry]}

    @app.post("/v1/chat/completions")
    async def chat(asked: ChatRequest) -> Response:
        try:
            check_names(asked.chat_template_kwargs)
            written = engine.written([message.model_dump() for message in asked.messages], asked.chat_template_kwargs)
        except (KpiError, ValueError) as error:
            raise HTTPException(400, f"chat_template_kwargs: {error}") from error
        return await answered(asked, engine.encode(written, special=False), chat=True)

    @app.post("/v1/completions")
    async def complete(asked: CompletionRequest) -> Response:
        return await answered(asked, engine.encode(asked.prompt, special=True), chat=False)

    async def answered(asked: _Asked, ids: Any, *, chat: bool) -> Response:
        if asked.model != model:
            raise HTTPException(404, f"the model {asked.model!r} does not exist, this server has {model!r}")
        prompt_tokens = int(ids.shape[1])
        if engine.context is not None and prompt_tokens + asked.most > engine.context:
            wanted = f"{prompt_tokens} tokens of the prompt and {asked.most} of the answer"
            raise HTTPException(400, f"this model takes {engine.context} tokens, not {wanted}")
        config = engine.config(
            asked.most, exactly=asked.ignore_eos, temperature=asked.temperature, top_p=asked.top_p, seed=asked.seed
        )
        try:
            answer = engine.submit(ids, config)
        except RuntimeError as error:
            raise HTTPException(500, " ".join(str(error).split())[:500]) from error
        form = _Form(model, prompt_tokens, chat=chat)
        if asked.stream:
            usage = bool((asked.stream_options or {}).get("include_usage"))
            return StreamingResponse(_events(answer, form, usage=usage), media_type="text/event-stream")
        return await _whole(answer, form)

    return app


class _Form:
    """How an answer is written, in either of the two kinds."""

    def __init__(self, model: str, prompt_tokens: int, *, chat: bool) -> None:
        self._chat = chat
        self._prompt_tokens = prompt_tokens
        name = "chat.completion" if chat else "text_completion"
        self._head = {"id": f"cmpl-{uuid4().hex}", "created": int(time.time()), "model": model}
        self._names = {True: f"{name}.chunk" if chat else name, False: name}

    def written(self, text: str, reason: str, *, chunk: bool) -> dict[str, Any]:
        """A chunk of a stream, or a whole answer."""
        said: dict[str, Any] = {"text": text}
        if self._chat:
            said = {"delta" if chunk else "message": {"role": "assistant", "content": text}}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": reason or None}
        return {**self._head, "object": self._names[chunk], "choices": [choice]}

    def usage(self, tokens: int) -> dict[str, int]:
        """How many tokens came and went."""
        sent = self._prompt_tokens
        return {"prompt_tokens": sent, "completion_tokens": tokens, "total_tokens": sent + tokens}

    def last(self, tokens: int) -> dict[str, Any]:
        """The chunk after the last, which only counts."""
        return {**self._head, "object": self._names[True], "choices": [], "usage": self.usage(tokens)}


async def _events(answer: Answer, form: _Form, *, usage: bool) -> AsyncIterator[bytes]:
    tokens = 0
    async for delta in answer.pieces():
        if delta.error:
            yield _event(_problem(500, delta.error))
            return
        tokens += delta.tokens
        yield _event(form.written(delta.text, delta.reason, chunk=True))
    if usage:
        yield _event(form.last(tokens))
    yield b"data: [DONE]\n\n"


async def _whole(answer: Answer, form: _Form) -> JSONResponse:
    deltas: list[Delta] = [delta async for delta in answer.pieces()]
    if deltas[-1].error:
        return _error(500, deltas[-1].error)
    written = form.written("".join(delta.text for delta in deltas), deltas[-1].reason, chunk=False)
    return JSONResponse({**written, "usage": form.usage(sum(delta.tokens for delta in deltas))})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _problem(status: int, message: str, parameter: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP's own border
    return {"error": {"message": message, "type": kind, "param": parameter, "code": status}}


def _error(status: int, message: str, parameter: str | None = None) -> JSONResponse:
    return JSONResponse(_problem(status, message, parameter), status_code=status)


def main(arguments: Sequence[str]) -> int:
    """Runs until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="model")
    parser.add_argument("--precision", default="f32", help="of the inference: f32, bf16, f16")
    parser.add_argument("--cache-gb", type=int, default=1, help="memory for the keys and values of all answers")
    chosen = parser.parse_args(arguments)
    try:
        engine = Engine(chosen.artifact, chosen.device, precision=chosen.precision, cache_gb=chosen.cache_gb)
    except RuntimeError as error:
        sys.stderr.write(f"{chosen.artifact} can't be served: {reason(error)}\n")
        return 1
    settings = uvicorn.Config(
        make_app(engine, chosen.model),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    asyncio.run(uvicorn.Server(settings).serve())
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    leave(main(sys.argv[1:]))
