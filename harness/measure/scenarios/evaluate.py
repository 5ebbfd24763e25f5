"""Runs the whole evaluation split once, for accuracy and parity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.records import Outputs
from harness.measure.scenarios.base import ProducesOutputs, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import Checked, replay
from harness.measure.scenarios.splits import clustered, require_alone, told
from harness.workloads.base import Split, TensorWorkload
from harness.workloads.batches import batches, joined, taken
from harness.workloads.overlap import digests

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import TensorSession

    Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What is scored of each sample, (samples, ...), and the digests of the samples, in the order of the split.

    ``depends``: by how much an answer depends on the other samples of its batch, as a share of the spread.
    """

    logits: npt.NDArray[np.float32]
    samples: list[str]
    depends: float


class Evaluate(TensorScenario, ProducesOutputs):
    """Every evaluation sample once, in order; the outputs go to a file next to the evidence."""

    name = "evaluate"
    title = "the evaluation split"
    reads_workload = True
    timed = False
    divisible = True

    @options_table
    class Options:
        """``batch``: samples in a batch."""

        batch: int = 16

        def __post_init__(self) -> None:
            check_counts(batch=self.batch)

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    @classmethod
    def read(cls, file: Path) -> Outputs:
        import numpy as np

        with np.load(file) as arrays:
            task = json.loads(str(arrays["task"])) if "task" in arrays else {}
            classes = tuple(arrays["classes"].tolist()) if "classes" in arrays else ()
            return Outputs(arrays["logits"], arrays["labels"], arrays.get("slices"), task, classes)

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        import numpy as np

        workload = stage.workload()
        if not isinstance(workload, TensorWorkload):
            raise KpiError(f"scenario {self.name} evaluates models of tensors")
        split = workload.split("evaluation")
        count = min(len(split), stage.subset or len(split))
        answers = self._answers(session, stage, workload, split, count)
        labels = np.asarray(split.labels)
        if len(labels) < count:
            raise KpiError(f"the evaluation split has {len(labels)} labels for {count} samples", "give one for each")
        kept_arrays: dict[str, Any] = {"logits": answers.logits, "labels": labels[:count]}
        if split.slices is not None:
            kept_arrays["slices"] = np.asarray(split.slices, dtype=np.str_)[:count]
        if workload.settings.task_options:
            kept_arrays["task"] = np.asarray(json.dumps(dict(workload.settings.task_options)))
        if workload.class_names:
            kept_arrays["classes"] = np.asarray(workload.class_names, dtype=np.str_)
        np.savez(stage.outputs, **kept_arrays)
        clusters, samples = split.clusters, answers.samples
        kept = told(stage, samples, labels[:count].tobytes()) | clustered(clusters and clusters[:count], samples)
        return {
            "completed": count,
            "batch": self.options.batch,
            "outputs": stage.outputs.name,
            "details": {
                "output": ", ".join(workload.read_outputs),
                **kept,
                "batch_dependence": round(answers.depends, 6),
            },
        }

    def _answers(
        self, session: TensorSession, stage: ScenarioContext, workload: TensorWorkload, split: Split, count: int
    ) -> _Answers:
        """Asks for the first ``count`` samples, in batches of samples of one shape. Raises KpiError as Checked does."""
        import numpy as np

        size, shapes = self.options.batch, split.shapes
        asked = list(batches(split, count, size))
        full = [number for number, rows in enumerate(asked) if len(rows) == size]
        asked_again = {full[0], full[len(full) // 2], full[-1]} if full else set()
        checked, samples, read = Checked(workload.read_outputs, keep=False), [""] * count, []
        before, done = {}, 0

        def run(feeds: Arrays) -> Arrays:
            return workload.even(session.run(feeds))

        with stage.scored():
            for number, rows in enumerate(asked):
                feeds = _batch(split, rows, size)
                if not number:
                    require_alone(split, {name: array[: len(rows)] for name, array in feeds.items()}, rows)
                for row, digest in zip(rows, digests(feeds), strict=False):
                    samples[row] = digest
                shape = None if shapes is None else shapes[rows[0]]
                checked.add(said := run(feeds), size, len(rows), rows, shape)
                answer = {name: np.array(said[name]) for name in workload.read_outputs}
                if number in asked_again:
                    before[number] = answer
                if checked.sound:
                    read.append(workload.read({name: array[: len(rows)] for name, array in answer.items()}, feeds))
                done += len(rows)
                if number % 20 == 0:
                    stage.progress(f"{done} of {count} samples")
            checked.finish()
            again = ((taken(split, asked[number]), kept) for number, kept in before.items())
            depends = max((replay(run, feeds, kept, checked.spread) for feeds, kept in again), default=0.0)
        found = joined(read)
        # Classes of pixels stay bytes.
        found = found if found.dtype == np.uint8 else found.astype(np.float32)
        # In the order of the split, whatever the batches were.
        logits = found[np.argsort(np.concatenate(asked))]
        return _Answers(logits, samples, depends)


def _batch(split: Split, rows: Sequence[int], size: int) -> dict[str, npt.NDArray[np.generic]]:
    """These samples; the session may be made for one batch size, so the last one fills the batch up."""
    import numpy as np

    feeds, missing = taken(split, rows), size - len(rows)
    return {name: np.concatenate([a, np.repeat(a[-1:], missing, 0)]) for name, a in feeds.items()} if missing else feeds
