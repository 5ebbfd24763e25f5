"""Runs the whole evaluation split once, for accuracy and parity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.records import Outputs
from harness.measure.scenarios.base import ProducesOutputs, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import Checked, replay, spreads
from harness.measure.scenarios.splits import clustered, require_alone, told
from harness.workloads.base import Split, TensorWorkload
from harness.workloads.overlap import digests

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import TensorSession


class Evaluate(TensorScenario, ProducesOutputs):
    """Every evaluation sample once, in order; the outputs go to a file next to the evidence."""

    name = "evaluate"
    title = "the evaluation split"
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
            return Outputs(arrays["logits"], arrays["labels"], arrays.get("slices"))

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        import numpy as np

        workload = stage.workload()
        if not isinstance(workload, TensorWorkload):
            raise KpiError(f"scenario {self.name} evaluates models of tensors")
        name = workload.scored_output
        split = workload.split("evaluation")
        size = self.options.batch
        count = min(len(split), stage.subset or len(split))
        checked, samples = Checked((name,)), list[str]()
        with stage.scored():
            for start in range(0, count, size):
                feeds = _batch(split, start, size, count)
                if not start:
                    require_alone(split, {name: array[: min(size, count)] for name, array in feeds.items()})
                samples += digests(feeds)[: count - start]
                checked.add(session.run(feeds), size, min(size, count - start))
                if start // size % 20 == 0:
                    stage.progress(f"{min(start + size, count)} of {count} samples")
            answers = checked.finish()
            depends = self._replayed(session, split, count, answers)
        logits, labels = answers[name].astype(np.float32), np.asarray(split.labels)
        if len(labels) < count:
            raise KpiError(f"the evaluation split has {len(labels)} labels for {count} samples", "give one for each")
        kept_arrays: dict[str, Any] = {"logits": logits, "labels": labels[:count]}
        if split.slices is not None:
            kept_arrays["slices"] = np.asarray(split.slices, dtype=np.str_)[:count]
        np.savez(stage.outputs, **kept_arrays)
        clusters = split.clusters
        kept = told(stage, samples, labels[:count].tobytes()) | clustered(clusters and clusters[:count], samples)
        return {
            "completed": count,
            "batch": size,
            "outputs": stage.outputs.name,
            "details": {"output": name, **kept, "batch_dependence": round(depends, 6)},
        }

    def _replayed(
        self, session: TensorSession, split: Split, count: int, answers: dict[str, npt.NDArray[np.generic]]
    ) -> float:
        """Asks the first, the middle and the last full batch again; how much answers depend on a batch's others."""
        size, spread = self.options.batch, spreads(answers)
        full = count // size
        starts = sorted({0, size * (full // 2), size * (full - 1)}) if full else []
        depends = 0.0
        for start in starts:
            before = {name: array[start : start + size] for name, array in answers.items()}
            depends = max(depends, replay(session.run, split.inputs(start, start + size), before, spread))
        return depends


def _batch(split: Split, start: int, size: int, count: int) -> dict[str, npt.NDArray[np.generic]]:
    """Samples from ``start`` on; the session may be made for one batch size, so the last one fills the batch up."""
    import numpy as np

    stop = min(start + size, count)
    feeds = split.inputs(start, stop)
    missing = size - (stop - start)
    return {name: np.concatenate([a, np.repeat(a[-1:], missing, 0)]) for name, a in feeds.items()} if missing else feeds
