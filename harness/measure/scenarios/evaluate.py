"""Runs the whole evaluation split once, for accuracy and parity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.records import Outputs
from harness.measure.scenarios.base import ProducesOutputs, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import Checked, replay
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
        split = workload.split("evaluation")
        size = self.options.batch
        count = min(len(split), stage.subset or len(split))
        full = count // size
        asked_again = sorted({0, size * (full // 2), size * (full - 1)}) if full else []
        checked, samples, read = Checked(workload.read_outputs, keep=False), list[str](), []
        before = {}
        with stage.scored():
            for start in range(0, count, size):
                feeds = _batch(split, start, size, count)
                if not start:
                    require_alone(split, {name: array[: min(size, count)] for name, array in feeds.items()})
                samples += digests(feeds)[: count - start]
                checked.add(said := session.run(feeds), size, min(size, count - start))
                answer = {name: np.array(said[name]) for name in workload.read_outputs}
                if start in asked_again:
                    before[start] = answer
                if checked.sound:
                    read.append(workload.read({name: array[: count - start] for name, array in answer.items()}))
                if start // size % 20 == 0:
                    stage.progress(f"{min(start + size, count)} of {count} samples")
            checked.finish()
            batches = ((split.inputs(start, start + size), kept) for start, kept in before.items())
            depends = max((replay(session.run, feeds, kept, checked.spread) for feeds, kept in batches), default=0.0)
        logits, labels = np.concatenate(read).astype(np.float32), np.asarray(split.labels)
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
            "details": {"output": ", ".join(workload.read_outputs), **kept, "batch_dependence": round(depends, 6)},
        }


def _batch(split: Split, start: int, size: int, count: int) -> dict[str, npt.NDArray[np.generic]]:
    """Samples from ``start`` on; the session may be made for one batch size, so the last one fills the batch up."""
    import numpy as np

    stop = min(start + size, count)
    feeds = split.inputs(start, stop)
    missing = size - (stop - start)
    return {name: np.concatenate([a, np.repeat(a[-1:], missing, 0)]) for name, a in feeds.items()} if missing else feeds
