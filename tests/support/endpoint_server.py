"""A language model's endpoint in every protocol, without a model: answers take a known time, some go wrong.

``python -m tests.support.endpoint_server --port N [--service-ms 10] [--at-once 1] [--fault drop --every 10]``
With ``--prompt-ms`` it takes that long to read a prompt whose beginning it has not seen: a cache of prefixes.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

TOKENS = 4
PREFIX = 32
DETAILS = "reasoning_details"
KNOWN = ("/health", "/v1/models", "/info", "/v2/health/ready", "/v2/models/model", "/seen")


class Endpoint:
    """``at_once`` requests are served at a time, each ``service_s``; every ``every``-th has the ``fault``."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.turn = asyncio.Semaphore(chosen.at_once)
        self.came = itertools.count(1)
        self.seen: dict[str, Any] = {"posts": 0, "bodies": [], "authorization": [], "from_cache": 0}
        self.prefixes: set[str] = set()

    async def about(self, request: web.Request) -> web.Response:
        if self.chosen.fault == "never-ready":
            return web.Response(status=503)
        if request.headers.get("Authorization", "Bearer secret") != "Bearer secret":
            return web.Response(status=401)
        body = {
            "/v1/models": {"data": [{"id": "model"}]},
            "/info": {"model_id": "some/model", "version": "3.0"},
            "/v2/models/model": {"name": "model", "platform": "none"},
            "/seen": self.seen,
        }.get(request.path, {})
        return web.json_response(body)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        number = next(self.came)
        asked = await request.json()
        self.seen["posts"] += 1
        self.seen["bodies"] = [*self.seen["bodies"], asked][-3:]
        self.seen["authorization"] = [request.headers.get("Authorization", "")]
        # The first requests are those that look whether anybody is there, and warm up.
        counted = number - self.chosen.after
        fault = self.chosen.fault if counted > 0 and counted % self.chosen.every == 0 else ""
        async with self.turn:
            await self.read_prompt(asked)
            await asyncio.sleep(self.chosen.service_ms / 2e3)
            if fault == "drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if fault == "hang":
                await asyncio.sleep(3600)
            if fault == "status":
                return web.json_response({"error": {"message": "out of memory"}}, status=500)
            if fault == "html":
                return web.Response(text="<html>welcome</html>", content_type="text/html")
            if fault == "die":
                sys.stdout.write("the disk is on fire\n")
                sys.stdout.flush()
                signal.raise_signal(signal.SIGKILL)
            if request.path.endswith("stream") or asked.get("stream"):
                return await self.streamed(request, fault)
            await asyncio.sleep(self.chosen.service_ms / 2e3)
        return web.json_response(whole(request.path, fault), headers={"Connection": "close"} if fault else None)

    async def read_prompt(self, asked: dict[str, Any]) -> None:
        text = asked["messages"][0]["content"] if "messages" in asked else str(asked.get("prompt"))
        if text[:PREFIX] in self.prefixes:
            self.seen["from_cache"] += 1
        elif self.chosen.prompt_ms:
            await asyncio.sleep(self.chosen.prompt_ms / 1e3)
        self.prefixes.add(text[:PREFIX])

    async def streamed(self, request: web.Request, fault: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        # A comment, a field of another name and data without a blank are all good events' neighbours.
        await response.write(b": hello\nevent: message\n")
        async for event in self.events(request.path, fault):
            await response.write(event)
            if fault == "cut" and b"two" in event:
                assert request.transport is not None
                request.transport.close()
                break
        return response

    async def events(self, path: str, fault: str) -> AsyncIterator[bytes]:
        for _ in range(self.chosen.thoughts):
            thought = "hm"
            said = [{"type": "reasoning.text", "text": thought}] if self.chosen.channel == DETAILS else thought
            yield b"data: %s\n\n" % json.dumps({"choices": [{"delta": {self.chosen.channel: said}}]}).encode()
            await asyncio.sleep(self.chosen.thought_ms / 1e3)
        count = 0 if fault in {"empty", "thoughts"} else TOKENS - (fault == "short")
        for number in range(count):
            if number == 1:
                await asyncio.sleep(self.chosen.service_ms / 2e3)
                if fault == "garbage":
                    yield b"data: {not json\n\n"
                if fault == "shape":
                    yield b'data: {"choices": [[]], "token": [], "text_output": 1}\n\n'
                if fault == "failed":
                    yield b'data: {"error": {"message": "no memory left"}}\n\n'
            yield b"data:" + json.dumps(piece(path, number, last=number == count - 1)).encode() + b"\r\n\r\n"
        if path.startswith("/v1"):
            yield b'data: {"choices": [], "usage": {"completion_tokens": %d}}\n\n' % (self.chosen.thoughts + count)
            if fault != "unfinished":
                yield b"data: [DONE]\n\n"


WORDS = ("one", "two", "three", "four")


def piece(path: str, number: int, *, last: bool) -> dict[str, Any]:
    text = WORDS[number]
    if path == "/v1/chat/completions":
        return {"choices": [{"delta": {"content": text}}]}
    if path == "/v1/completions":
        return {"choices": [{"text": text}]}
    if path.startswith("/generate"):
        found: dict[str, Any] = {"token": {"id": number, "text": text, "special": False}, "generated_text": None}
        return found | ({"generated_text": "all", "details": {"generated_tokens": number + 1}} if last else {})
    return {"model_name": "model", "text_output": text}


def whole(path: str, fault: str) -> dict[str, Any]:
    text = "one two three four"
    if fault == "shape":
        return {"answer": text}
    usage = {"completion_tokens": TOKENS}
    if path == "/v1/chat/completions":
        return {"choices": [{"message": {"content": text}}], "usage": usage}
    if path == "/v1/completions":
        return {"choices": [{"text": text}], "usage": usage}
    if path.startswith("/generate"):
        return {"generated_text": text, "details": {"generated_tokens": TOKENS}}
    return {"text_output": text}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service-ms", type=float, default=0)
    parser.add_argument("--prompt-ms", type=float, default=0)
    parser.add_argument("--thoughts", type=int, default=0, help="events that come before the answer")
    parser.add_argument("--thought-ms", type=float, default=0)
    parser.add_argument("--channel", default="reasoning_content", help="the field that the thoughts are in")
    parser.add_argument("--at-once", type=int, default=1000)
    parser.add_argument("--fault", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--after", type=int, default=0)

    async def made() -> web.Application:
        endpoint = Endpoint(parser.parse_args())
        app = web.Application()
        posts = ("/v1/chat/completions", "/v1/completions", "/generate", "/generate_stream")
        app.add_routes([web.post(path, endpoint.answer) for path in posts])
        app.add_routes(
            [web.post(f"/v2/models/model/{path}", endpoint.answer) for path in ("generate", "generate_stream")]
        )
        app.add_routes([web.get(path, endpoint.about) for path in KNOWN])
        return app

    web.run_app(
        made(), host="127.0.0.1", port=parser.parse_args().port, print=None, access_log=None, shutdown_timeout=0.1
    )


if __name__ == "__main__":
    main()
