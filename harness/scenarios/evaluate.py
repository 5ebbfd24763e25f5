"""Runs the whole evaluation split once, for accuracy and parity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import KpiError
from harness.measure.records import Outputs
from harness.registry import check_counts, options
from harness.scenarios.base import Scored, Stage, TensorScenario
from harness.workload import Workload

if TYPE_CHECKING:
    from harness.runtimes.base import TensorSession


class Evaluate(TensorScenario, Scored):
    """Every evaluation sample once, in order; the outputs go to a file beside the evidence."""

    name = "evaluate"
    title = "the evaluation split"
    timed = False
    divisible = True

    @options
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
            return Outputs(arrays["logits"], arrays["labels"])

    def play(self, session: TensorSession, stage: Stage) -> dict[str, Any]:
        import numpy as np

        workload = stage.workload()
        if not isinstance(workload, Workload):
            raise KpiError(f"scenario {self.name} evaluates models of tensors")
        split = workload.split("evaluation")
        size, logits = self.options.batch, []
        count = min(len(split), stage.subset or len(split))
        with stage.scored():
            for start in range(0, count, size):
                stop = min(start + size, count)
                feeds = split.inputs(start, stop)
                missing = size - (stop - start)
                if missing:
                    # The session may be made for one batch size: fill the last batch up, then forget the filling.
                    feeds = {name: np.concatenate([a, np.repeat(a[-1:], missing, 0)]) for name, a in feeds.items()}
                first = next(iter(session.run(feeds).values()))
                logits.append(np.asarray(first[: stop - start], dtype=np.float32))
                if start // size % 20 == 0:
                    stage.progress(f"{stop} of {count} samples")
        np.savez(stage.outputs, logits=np.concatenate(logits), labels=split.labels[:count])
        return {"completed": count, "batch": size, "outputs": stage.outputs.name}
