"""Answers many prompts at once with OpenVINO GenAI's continuous batching, piece by piece."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.workloads.chat_template import check_variables

_HALF = "\ufffd"
"""What a token that is half a character decodes to."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a step brought for one answer; ``reason`` is set in the last: stop, length, or failed with an ``error``."""

    text: str
    tokens: int
    reason: str = ""
    error: str = ""


@dataclass(slots=True)
class Answer:
    """One answer under way. ``ids`` are those since the last line break, ``shown`` what of them was given out."""

    handle: Any
    loop: asyncio.AbstractEventLoop
    ids: list[int] = field(default_factory=list)
    shown: str = ""
    deltas: asyncio.Queue[Delta] = field(default_factory=asyncio.Queue)

    async def pieces(self) -> AsyncIterator[Delta]:
        """What comes until the answer is over; giving up on it cancels the work."""
        reason = ""
        try:
            while not reason:
                delta = await self.deltas.get()
                reason = delta.reason
                yield delta
        finally:
            if not reason:
                self.handle.cancel()

    def next_text(self, decoded: str, *, last: bool) -> str:
        """What is new in the text of ``ids``."""
        if decoded.endswith(_HALF) and not last:
            return ""
        new = decoded[len(self.shown) :]
        self.shown = decoded
        if decoded.endswith("\n"):
            self.ids, self.shown = [], ""
        return new


class Engine:
    """A pipeline and the thread that drives it. A request joins those under way at the next step."""

    def __init__(self, artifact: Path, device: str, *, precision: str = "f32", cache_gb: int = 1) -> None:
        import openvino_genai

        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = cache_gb
        scheduler.enable_prefix_caching = False  # prompts that come again shall cost what they cost
        self.properties = {"INFERENCE_PRECISION_HINT": precision}
        self.device = device.upper()
        self.context = _context(artifact / "config.json")
        self._genai = openvino_genai
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            str(artifact), scheduler, self.device, self.properties
        )
        self._tokenizer = self._pipeline.get_tokenizer()
        self._under_way: list[Answer] = []
        self._came = threading.Condition()
        self._number = 0
        self.failure = ""
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def written(self, messages: list[dict[str, str]], variables: Mapping[str, Any]) -> str:
        """A conversation as the model reads it, the chat template's ``variables`` set; KpiError for an unknown one."""
        check_variables(self._tokenizer.get_original_chat_template(), variables)
        history = self._genai.ChatHistory(messages)
        history.set_extra_context(dict(variables))
        return str(self._tokenizer.apply_chat_template(history, add_generation_prompt=True))

    def encode(self, text: str, *, special: bool) -> Any:
        """Tokens of a text, shape (1, n); ``special`` adds those that the tokenizer puts around it."""
        return self._tokenizer.encode(text, add_special_tokens=special).input_ids

    def config(self, most_tokens: int, *, exactly: bool, temperature: float, top_p: float, seed: int) -> Any:
        """How to answer: greedily where ``temperature`` is 0."""
        found = self._genai.GenerationConfig()
        found.eos_token_id = self._tokenizer.get_eos_token_id()
        found.stop_token_ids = {found.eos_token_id}
        found.max_new_tokens, found.ignore_eos = most_tokens, exactly
        found.do_sample = temperature > 0
        if found.do_sample:
            found.temperature, found.top_p, found.rng_seed = temperature, top_p, seed
        return found

    def submit(self, ids: Any, config: Any) -> Answer:
        """Begins an answer. Called from the event loop that reads it. Raises RuntimeError as the pipeline does."""
        if self.failure:
            raise RuntimeError(self.failure)
        with self._came:
            self._number += 1
            answer = Answer(self._pipeline.add_request(self._number, ids, config), asyncio.get_running_loop())
            self._under_way.append(answer)
            self._came.notify()
        return answer

    def _run(self) -> None:
        while True:
            with self._came:
                self._came.wait_for(lambda: self._under_way)
            try:
                self._pipeline.step()
                self._deliver()
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
                self.failure = " ".join(str(error).split())[:500] or type(error).__name__
                with self._came:
                    lost, self._under_way = self._under_way, []
                for answer in lost:
                    _give(answer, Delta("", 0, "failed", self.failure))
                return

    def _deliver(self) -> None:
        """Gives each answer what the step brought it; their texts are decoded together."""
        with self._came:
            seen = list(self._under_way)
        running = self._genai.GenerationStatus.RUNNING
        moved: list[tuple[Answer, int, str]] = []
        for answer in seen:
            # Whether it is over is asked before what is left is read: nothing can come in between.
            over, count, reason = answer.handle.get_status() != running, 0, ""
            while answer.handle.can_read():
                # One of a single answer, none of an answer that was given up.
                for output in answer.handle.read().values():
                    answer.ids += output.generated_ids
                    count += len(output.generated_ids)
                    reason = _reason(output.finish_reason.name)
            if over:
                reason = reason or "failed"
                with self._came:
                    self._under_way.remove(answer)
            if count or over:
                moved.append((answer, count, reason if over else ""))
        texts = self._tokenizer.decode([answer.ids for answer, _, _ in moved]) if moved else []
        for (answer, count, reason), text in zip(moved, texts, strict=True):
            error = "the server has no memory left for this request" if reason == "failed" else ""
            _give(answer, Delta(answer.next_text(text, last=bool(reason)), count, reason, error))


def _context(config: Path) -> int | None:
    """How many tokens the model was made for, prompt and answer together; None where it does not say."""
    said = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    found = said.get("max_position_embeddings")
    return int(found) if found else None


def _reason(name: str) -> str:
    return {"STOP": "stop", "LENGTH": "length"}.get(name, "")


def _give(answer: Answer, delta: Delta) -> None:
    answer.loop.call_soon_threadsafe(answer.deltas.put_nowait, delta)
