"""The protocols in which language models are served over HTTP: how a prompt is asked, how an answer reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: an answer of at most ``tokens``; with ``exactly`` the end token is ignored."""

    tokens: int
    exactly: bool = False
    stream: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of a stream, or a whole answer, says.

    ``text`` is of the answer itself, ``reasoning`` of the thoughts before it, where a protocol tells them apart.
    ``part`` is whether it carries a part of either, ``tokens`` how many the two have, where that is said.
    ``error`` is what a server says when it fails in the middle of an answer.
    """

    text: str = ""
    reasoning: str = ""
    part: bool = False
    tokens: int | None = None
    error: str = ""


class Dialect(ABC):
    """One protocol. ``end`` is whether its streams end with a mark, so that one that was cut off is noticed.

    ``exact`` is whether a server can be told to ignore the end token. ``ready`` are the paths of which one answers 200
    once the server is up.
    """

    name: ClassVar[str]
    ready: ClassVar[tuple[str, ...]]
    end: ClassVar[bool]
    exact: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def path(cls, model: str, wish: Wish) -> str:
        """Where requests are posted, below the server's address."""

    @classmethod
    @abstractmethod
    def body(cls, model: str, prompt: str, wish: Wish) -> dict[str, Any]:
        """The request as JSON."""

    @classmethod
    @abstractmethod
    def piece(cls, data: Mapping[str, Any]) -> Piece:
        """Reads one event or one answer. ValueError when it lacks what the protocol promises."""

    @classmethod
    def ends(cls, data: Mapping[str, Any]) -> bool:
        """Whether an event is the last one."""
        del data
        return False

    @classmethod
    @abstractmethod
    def about(cls, model: str) -> str:
        """The path that says what is served."""

    @classmethod
    def models(cls, said: Mapping[str, Any]) -> list[str] | None:
        """The models that are served, of what ``about`` answered; None where it does not say."""
        del said
        return None


class _OpenAi(Dialect):
    ready = ("/health", "/v1/models")
    end = True

    @classmethod
    def _common(cls, model: str, wish: Wish) -> dict[str, Any]:
        said: dict[str, Any] = {"model": model, "max_tokens": wish.tokens, "temperature": 0, "stream": wish.stream}
        if wish.stream:
            said["stream_options"] = {"include_usage": True}
        if wish.exactly:
            said["ignore_eos"] = True  # an extension that vLLM, OpenVINO Model Server and our own server know
        return said

    @classmethod
    def piece(cls, data: Mapping[str, Any]) -> Piece:
        if error := data.get("error"):
            return Piece(error=_message(error))
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise ValueError('an event without "choices"')  # noqa: TRY004 - what is wrong is the server's text
        usage = data.get("usage") or {}
        tokens = usage.get("completion_tokens")
        if not choices:
            return Piece(tokens=tokens)
        text, reasoning = cls.said(choices[0])
        return Piece(text=text, reasoning=reasoning, part=True, tokens=tokens)

    @classmethod
    @abstractmethod
    def said(cls, choice: Mapping[str, Any]) -> tuple[str, str]:
        """What a choice says: of the answer, of the thoughts before it."""

    @classmethod
    def about(cls, model: str) -> str:
        del model
        return "/v1/models"

    @classmethod
    def models(cls, said: Mapping[str, Any]) -> list[str] | None:
        return [str(entry.get("id")) for entry in said.get("data", []) if isinstance(entry, dict)]


class OpenAiChat(_OpenAi):
    """``/v1/chat/completions``: the server adds the chat template."""

    name = "openai-chat"

    @classmethod
    def path(cls, model: str, wish: Wish) -> str:
        del model, wish
        return "/v1/chat/completions"

    @classmethod
    def body(cls, model: str, prompt: str, wish: Wish) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}], **cls._common(model, wish)}

    @classmethod
    def said(cls, choice: Mapping[str, Any]) -> tuple[str, str]:
        message = choice.get("delta") or choice.get("message") or {}
        return str(message.get("content") or ""), _reasoning(message)


class OpenAiCompletions(_OpenAi):
    """``/v1/completions``: the prompt as it is."""

    name = "openai"

    @classmethod
    def path(cls, model: str, wish: Wish) -> str:
        del model, wish
        return "/v1/completions"

    @classmethod
    def body(cls, model: str, prompt: str, wish: Wish) -> dict[str, Any]:
        return {"prompt": prompt, **cls._common(model, wish)}

    @classmethod
    def said(cls, choice: Mapping[str, Any]) -> tuple[str, str]:
        return str(choice.get("text") or ""), ""


class Tgi(Dialect):
    """Text Generation Inference: ``/generate_stream`` and ``/generate``; an answer may end before ``tokens``."""

    name = "tgi"
    ready = ("/health",)
    end = True
    exact = False

    @classmethod
    def path(cls, model: str, wish: Wish) -> str:
        del model
        return "/generate_stream" if wish.stream else "/generate"

    @classmethod
    def body(cls, model: str, prompt: str, wish: Wish) -> dict[str, Any]:
        del model
        return {"inputs": prompt, "parameters": {"max_new_tokens": wish.tokens, "do_sample": False, "details": True}}

    @classmethod
    def piece(cls, data: Mapping[str, Any]) -> Piece:
        if error := data.get("error"):
            return Piece(error=_message(error))
        tokens = (data.get("details") or {}).get("generated_tokens")
        if isinstance(token := data.get("token"), dict):
            return Piece(text="" if token.get("special") else str(token.get("text") or ""), part=True, tokens=tokens)
        if not isinstance(data.get("generated_text"), str):
            raise ValueError('an answer without "generated_text"')  # noqa: TRY004 - the server's text is wrong
        return Piece(text=data["generated_text"], part=True, tokens=tokens)

    @classmethod
    def ends(cls, data: Mapping[str, Any]) -> bool:
        return data.get("generated_text") is not None

    @classmethod
    def about(cls, model: str) -> str:
        del model
        return "/info"


class KServe(Dialect):
    """The generate extension of the Open Inference Protocol; tokens are counted by the events that bring text."""

    name = "kserve"
    ready = ("/v2/health/ready",)
    end = False

    @classmethod
    def path(cls, model: str, wish: Wish) -> str:
        return f"/v2/models/{model}/{'generate_stream' if wish.stream else 'generate'}"

    @classmethod
    def body(cls, model: str, prompt: str, wish: Wish) -> dict[str, Any]:
        del model
        asked: dict[str, Any] = {"max_tokens": wish.tokens, "stream": wish.stream, "temperature": 0}
        if wish.exactly:
            asked["ignore_eos"] = True
        return {"text_input": prompt, "parameters": asked}

    @classmethod
    def piece(cls, data: Mapping[str, Any]) -> Piece:
        if error := data.get("error"):
            return Piece(error=_message(error))
        text = data.get("text_output")
        if not isinstance(text, str):
            raise ValueError('an answer without "text_output"')  # noqa: TRY004 - the server's text is wrong
        return Piece(text=text, part=True)

    @classmethod
    def about(cls, model: str) -> str:
        return f"/v2/models/{model}"

    @classmethod
    def models(cls, said: Mapping[str, Any]) -> list[str] | None:
        return [str(said["name"])] if "name" in said else None


DIALECTS: Mapping[str, type[Dialect]] = {d.name: d for d in (OpenAiChat, OpenAiCompletions, Tgi, KServe)}
"""Every protocol by its name in the TOML."""


def _message(error: object) -> str:
    said = error.get("message", error) if isinstance(error, Mapping) else error
    return str(said)


def _reasoning(message: Mapping[str, Any]) -> str:
    """The thoughts of a message, under the name that the server uses; some send them under two names at once."""
    for name in ("reasoning_content", "reasoning"):
        if message.get(name):
            return str(message[name])
    return "".join(str(part.get("text") or "") for part in message.get("reasoning_details") or ())
