"""Every evaluation question once, for the scores of the answers that are read out of its context."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import KpiError
from harness.json_lines import line, read_lines, write_list
from harness.questions import QUESTIONS, WINDOWS
from harness.registry import check_counts, options
from harness.scenarios.base import Scored, Stage, TensorScenario

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.runtimes.base import TensorSession


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer to each evaluation question, in their order; ``spans`` are its characters in the context.

    ``accepted`` are the right ones: none where the context does not answer.
    """

    ids: list[str]
    answers: list[str]
    spans: list[tuple[int, int]]
    accepted: list[list[str]]


class Extract(TensorScenario, Scored):
    """All windows of all questions in batches; the answer is the best span over a question's windows."""

    name = "extract"
    title = "the evaluation questions"
    timed = False

    @options
    class Options:
        """``batch``: windows in a batch; ``n_best``, ``max_answer``: the search for the best span, as SQuAD does it.

        ``null_threshold``: by how much no answer must beat the best span, in logits.
        """

        batch: int = 16
        n_best: int = 20
        max_answer: int = 30
        null_threshold: float = 0.0

        def __post_init__(self) -> None:
            check_counts(batch=self.batch, n_best=self.n_best, max_answer=self.max_answer)

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    @classmethod
    def read(cls, file: Path) -> Extracted:
        lines = read_lines(file)
        return Extracted(
            [line["id"] for line in lines],
            [line["answer"] for line in lines],
            [(line["start"], line["end"]) for line in lines],
            [line["accepted"] for line in lines],
        )

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``results.json`` of a recipe: a list of id, question, answer, its place, the accepted answers."""
        write_list(file, results)

    def play(self, session: TensorSession, stage: Stage) -> dict[str, Any]:
        import numpy as np

        from harness.text.spans import decode

        questions = read_lines(stage.requests / QUESTIONS)
        with np.load(stage.requests / WINDOWS) as arrays:
            windows = {name: arrays[name] for name in arrays.files}
        offsets = [[None if a < 0 else (int(a), int(b)) for a, b in w] for w in windows["offsets"]]
        with stage.scored():
            start, end = self._logits(session, stage, {name: windows[name] for name in stage.inputs})
        decoded = decode(
            windows["example"],
            offsets,
            [question["context"] for question in questions],
            start,
            end,
            n_best=self.options.n_best,
            max_answer_length=self.options.max_answer,
            null_threshold=self.options.null_threshold,
            # Where every question has an answer, giving none is never right.
            may_be_null=not all(question["answers"] for question in questions),
        )
        file = stage.outputs.with_suffix(".jsonl")
        with file.open("w", encoding="utf-8") as out:
            for question, found in zip(questions, decoded, strict=True):
                answer = {
                    "id": question["id"],
                    "question": question["question"],
                    "answer": found.answer.text,
                    "start": found.answer.start,
                    "end": found.answer.end,
                    "score": found.answer.score,
                    "accepted": [text for text, _ in question["answers"]],
                }
                out.write(line(answer))
        return {"completed": len(windows["example"]), "batch": self.options.batch, "outputs": file.name}

    def _logits(
        self, session: TensorSession, stage: Stage, windows: dict[str, npt.NDArray[np.generic]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Start and end logits of all windows, shape (n, window) each."""
        import numpy as np

        shape = next(iter(windows.values())).shape
        made = {name: np.zeros(shape, np.float32) for name in ("start_logits", "end_logits")}
        size, count = self.options.batch, shape[0]
        for begin in range(0, count, size):
            rows = np.minimum(np.arange(begin, begin + size), count - 1)  # the last batch is filled up
            answer = session.run({name: array[rows] for name, array in windows.items()})
            for name, logits in made.items():
                if name not in answer:
                    raise KpiError(f"the artifact answers {', '.join(answer) or 'nothing'}, not {name}")
                if answer[name].shape != (size, *shape[1:]):
                    raise KpiError(f"the artifact answers {name} of shape {answer[name].shape} to {size} windows")
                with np.errstate(over="ignore"):
                    kept = answer[name][: min(size, count - begin)].astype(np.float32)
                if not np.isfinite(kept).all():
                    raise KpiError(f"the artifact answers {name} with NaN or infinity on a real input")
                logits[begin : begin + size] = kept
            if begin // size % 20 == 0:
                stage.progress(f"{min(begin + size, count)} of {count} windows")
        return made["start_logits"], made["end_logits"]
