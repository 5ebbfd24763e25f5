"""Answers every window of the evaluation series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness import KpiError, ProducesOutputs, TensorScenario

if TYPE_CHECKING:
    from pathlib import Path

    from harness import ScenarioContext, TensorSession


class Forecast(TensorScenario, ProducesOutputs):
    """One forecast for each hour of the evaluation series, all at once."""

    name = "forecast"
    title = "the evaluation series"
    timed = False

    @property
    def batch(self) -> None:
        """Batches are as large as the series."""

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        windows = getattr(stage.workload(), "windows", None)
        if windows is None:
            raise KpiError(f"scenario {self.name} forecasts series", "use it with a fixture of series")
        given, wanted = windows("evaluation")
        with stage.scored():
            answers = session.run({"past": given})["next"]
        np.savez(stage.outputs, answers=answers, wanted=wanted, last=given[:, -1])
        return {"completed": len(wanted), "batch": len(wanted), "outputs": stage.outputs.name}

    @classmethod
    def read(cls, file: Path) -> dict[str, Any]:
        with np.load(file) as arrays:
            return dict(arrays)
