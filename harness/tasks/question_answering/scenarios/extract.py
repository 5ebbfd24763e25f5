"""Every evaluation question once, for the scores of the answers that are read out of its context."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.json_lines import line, read_lines, write_list
from harness.core.registry import check_counts, options_table
from harness.measure.scenarios.base import ProducesOutputs, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import Checked, replay
from harness.measure.scenarios.splits import clustered, told
from harness.tasks.question_answering.workload import QUESTIONS, WINDOWS
from harness.workloads.overlap import digests

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import TensorSession


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer to each evaluation question, in their order; ``spans`` are its characters in the context.

    ``accepted`` are the right ones: none where the context does not answer.
    """

    ids: list[str]
    answers: list[str]
    spans: list[tuple[int, int]]
    accepted: list[list[str]]


class Extract(TensorScenario, ProducesOutputs):
    """All windows of all questions in batches; the answer is the best span over a question's windows."""

    name = "extract"
    title = "the evaluation questions"
    timed = False

    @options_table
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

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        import numpy as np

        from harness.tasks.question_answering.scoring.spans import decode

        questions = read_lines(stage.requests / QUESTIONS)
        with np.load(stage.requests / WINDOWS) as arrays:
            windows = {name: arrays[name] for name in arrays.files}
        offsets = [[None if a < 0 else (int(a), int(b)) for a, b in w] for w in windows["offsets"]]
        with stage.scored():
            start, end, depends = self._logits(session, stage, {name: windows[name] for name in stage.inputs})
        decoded = decode(
            windows["example"],
            offsets,
            [question["context"] for question in questions],
            start.astype(np.float32),
            end.astype(np.float32),
            n_best=self.options.n_best,
            max_answer_length=self.options.max_answer,
            null_threshold=self.options.null_threshold,
            # Where every question has an answer, giving none is never right.
            may_be_null=not all(question["answers"] for question in questions),
        )
        kept = told(stage, digests({name: windows[name] for name in stage.inputs}))
        kept |= clustered([question["context"] for question in questions])
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
        return {
            "completed": len(windows["example"]),
            "batch": self.options.batch,
            "outputs": file.name,
            "details": {**kept, "batch_dependence": round(depends, 6)},
        }

    def _logits(
        self, session: TensorSession, stage: ScenarioContext, windows: dict[str, npt.NDArray[np.generic]]
    ) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic], float]:
        """Start and end logits of all windows, (n, window) each, and how much they depend on a batch's others."""
        import numpy as np

        checked = Checked(("start_logits", "end_logits"), "windows of the evaluation questions")
        size, shape = self.options.batch, next(iter(windows.values())).shape

        def batch(begin: int) -> dict[str, npt.NDArray[np.generic]]:
            rows = np.minimum(np.arange(begin, begin + size), shape[0] - 1)  # the last batch is filled up
            return {name: array[rows] for name, array in windows.items()}

        for begin in range(0, shape[0], size):
            checked.add(session.run(batch(begin)), size, min(size, shape[0] - begin))
            if begin // size % 20 == 0:
                stage.progress(f"{min(begin + size, shape[0])} of {shape[0]} windows")
        answers = checked.finish()
        for name, logits in answers.items():
            if logits.shape != shape:
                raise KpiError(f"the artifact answers {name} of shape {logits.shape} to windows of shape {shape}")
        depends = 0.0
        if shape[0] >= size:
            before = {name: array[:size] for name, array in answers.items()}
            depends = replay(session.run, batch(0), before, checked.spread)
        return answers["start_logits"], answers["end_logits"], depends
