"""What a fixture of extractive question answering provides: a Hugging Face folder, questions with their contexts."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable
from harness.core.json_lines import line
from harness.tasks.question_answering.scoring.questions import Question, read_squad
from harness.workloads.base import ArraySplit, Split, TensorSpec, TensorWorkload
from harness.workloads.huggingface import folder_digest, named_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from harness.tasks.question_answering.scoring.windows import Features

QUESTIONS = "questions.jsonl"
WINDOWS = "windows.npz"
LONGEST = 384
"""Tokens of a window where the model takes more, as in BERT's reference code for SQuAD."""
STRIDE = 128
"""Tokens that two windows share, there; never more than three eighths of a window."""


class QuestionAnswering(TensorWorkload):
    """An extractive model: tokens of a question and its context in, logits of the answer's two ends out.

    The table's ``model`` (a folder, or the name of a repository on the hub whose files are here) replaces the
    fixture's own; its ``data`` replaces the questions: a SQuAD file for the evaluation, or a folder with
    ``train*.json`` and ``dev*.json``.
    """

    outputs = ("start_logits", "end_logits")

    @abstractmethod
    def own_folder(self) -> Path:
        """The folder of the model that the fixture ships."""

    @abstractmethod
    def own_questions(self, split: str, count: int | None) -> Sequence[Question]:
        """The first ``count`` of ``training``, ``validation`` or ``evaluation``; all of them when it is None."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Token ids, mask, and segments where the model has them; int64, one window long."""
        names = ["input_ids", "attention_mask"]
        if self.config.get("type_vocab_size", 0) > 1:
            names.append("token_type_ids")
        return tuple(TensorSpec(name, (self.window,), "int64") for name in names)

    def folder(self) -> Path:
        """The model's folder: config, safetensors, tokenizer. Raises Unavailable when the weights are not here."""
        return named_folder(self.settings) or self.own_folder()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's ``config.json``."""
        found: dict[str, Any] = json.loads((self.folder() / "config.json").read_text(encoding="utf-8"))
        return found

    @property
    def window(self) -> int:
        """Tokens of a window."""
        return min(LONGEST, int(self.config.get("max_position_embeddings", LONGEST)))

    @property
    def stride(self) -> int:
        """Tokens that two windows of one context share."""
        return min(STRIDE, 3 * self.window // 8)

    def fingerprint(self) -> str:
        parts = [folder_digest(self.folder(), self.settings.cache), _digest(self.questions("evaluation"))]
        if self.settings.data is not None and self.settings.data.is_dir():
            parts.append(folder_digest(self.settings.data, self.settings.cache))
        return json.dumps(parts)

    def questions(self, split: str, count: int | None = None) -> Sequence[Question]:
        """The questions of a split, of the fixture or of the user's files; the first ``count`` where it is given."""
        data = self.settings.data
        if data is None:
            return self.own_questions(split, count)
        if data.is_dir():
            pattern = {"training": "train*.json", "validation": "train*.json", "evaluation": "dev*.json"}[split]
            files = sorted(data.glob(pattern))
            if not files:
                raise Unavailable(f"{data} holds no {pattern}", "put SQuAD's files there")
            found = read_squad(files[0])
            # Recipes are tuned on the end of what they are trained on, never on what they are judged by.
            if split != "evaluation":
                held = min(500, len(found) // 10 + 1)
                found = found[-held:] if split == "validation" else found[:-held]
            return found[:count]
        if split != "evaluation":
            raise Unavailable(
                f"{data.name} is for the evaluation, and the {split} split was asked for",
                "let `data` name a folder with train*.json and dev*.json",
            )
        return read_squad(data)[:count]

    def windows(self, questions: Sequence[Question]) -> Features:
        """The questions as the model takes them."""
        from harness.tasks.question_answering.scoring.windows import features
        from harness.workloads.torchvision_compat import import_torchvision

        import_torchvision()
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder(), local_files_only=True)
        if not tokenizer.is_fast:
            raise KpiError(f"the tokenizer in {self.folder().name} gives no offsets", "add its tokenizer.json")
        asked, contexts = [q.question for q in questions], [q.context for q in questions]
        return features(tokenizer, asked, contexts, max_length=self.window, stride=self.stride)

    def split(self, name: str) -> Split:
        """Windows of at most 4,096 questions, with the tokens at which their answers begin and end, shape (n, 2)."""
        return self.examples(name, 4096)

    def some(self, name: str, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """Windows of the first ``count`` questions of a split."""
        split = self.examples(name, count)
        return split.inputs(0, len(split))

    def examples(self, name: str, count: int) -> ArraySplit:
        """Windows of the first ``count`` questions of a split, labelled."""
        questions = self.questions(name, count)
        if not questions:
            return ArraySplit({}, _no_labels())
        cut = self.windows(questions)
        arrays = {spec.name: cut.inputs()[spec.name] for spec in self.inputs}
        return ArraySplit(arrays, _ends(questions, cut))

    def score(self, model: torch.nn.Module, count: int) -> dict[str, float]:
        """Exact match and F1 of a network in PyTorch on the first ``count`` validation questions."""
        import numpy as np
        import torch

        from harness.tasks.question_answering.scoring.spans import decode
        from harness.tasks.question_answering.scoring.squad import score

        questions = self.questions("validation", count)
        cut = self.windows(questions)
        feeds = [torch.from_numpy(cut.inputs()[spec.name]) for spec in self.inputs]
        said: list[list[np.ndarray[Any, Any]]] = [[], []]
        with torch.no_grad():
            for start in range(0, len(cut), 32):
                for end, logits in enumerate(model(*(tensor[start : start + 32] for tensor in feeds))):
                    said[end].append(logits.numpy())
        first, last = (np.concatenate(part) for part in said)
        found = decode(
            cut.example, cut.offsets, [q.context for q in questions], first, last,
            may_be_null=not all(q.answers for q in questions),
        )  # fmt: skip
        result = score([f.answer.text for f in found], [[text for text, _ in q.answers] for q in questions])
        return {"exact_match": result.exact_match, "f1": result.f1}

    def write_samples(self, folder: Path, count: int) -> None:
        """Writes request samples as tensors, and next to them all evaluation questions with their windows."""
        import numpy as np

        questions = self.questions("evaluation")
        cut = self.windows(questions)
        for spec in self.inputs:
            np.save(folder / f"{spec.name}.npy", cut.inputs()[spec.name][:count])
        arrays: dict[str, Any] = {spec.name: cut.inputs()[spec.name] for spec in self.inputs}
        offsets = [[span or (-1, -1) for span in window] for window in cut.offsets]
        np.savez_compressed(folder / WINDOWS, example=cut.example, offsets=np.array(offsets, np.int32), **arrays)
        (folder / QUESTIONS).write_text("".join(line(asdict(q)) for q in questions), encoding="utf-8")

    def model(self) -> torch.nn.Module:
        """The network; ``forward`` takes the inputs in order and gives start and end logits, (batch, window) each."""
        from harness.workloads.torchvision_compat import import_torchvision

        import_torchvision()
        import torch
        from transformers import AutoModelForQuestionAnswering

        class Logits(torch.nn.Module):  # type: ignore[misc]
            """The two tensors alone, arguments by position: what exporters understand."""

            def __init__(self, network: torch.nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(
                self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
            ) -> tuple[torch.Tensor, torch.Tensor]:
                segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
                said = self.network(input_ids=input_ids, attention_mask=attention_mask, **segments, return_dict=True)
                return said.start_logits, said.end_logits

        network = AutoModelForQuestionAnswering.from_pretrained(
            self.folder(),
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation="eager",
            trust_remote_code=self.settings.trust_remote_code,
        )
        return Logits(network).eval()


def _ends(questions: Sequence[Question], cut: Features) -> npt.NDArray[np.int64]:
    """First and last token of the first answer in each window; 0, the first token, where a window does not hold it."""
    import numpy as np

    found = np.zeros((len(cut), 2), np.int64)
    for window, owner in enumerate(cut.example):
        answers = questions[int(owner)].answers
        if not answers:
            continue
        text, begin = answers[0]
        spans = cut.offsets[window]
        first = [t for t, span in enumerate(spans) if span and span[0] <= begin < span[1]]
        last = [t for t, span in enumerate(spans) if span and span[0] < begin + len(text) <= span[1]]
        if first and last:
            found[window] = first[0], last[-1]
    return found


def _no_labels() -> npt.NDArray[np.int64]:
    import numpy as np

    return np.zeros((0, 2), np.int64)


def _digest(questions: Iterable[Question]) -> str:
    digest = hashlib.sha256()
    for question in questions:
        digest.update(json.dumps(asdict(question)).encode())
    return digest.hexdigest()
