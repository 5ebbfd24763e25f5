"""A process of its own that looks inside: which operations run, in which precision, for how long."""

from __future__ import annotations

from typing import Any

from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext, TensorScenario


class Profile(TensorScenario):
    """A few requests with the runtime's profiler on; never in a process whose times count."""

    name = "profile"
    title = "a look inside"
    timed = False
    profiled = True

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        feeds = {name: array[:1] for name, array in stage.inputs.items()}
        runs = 5
        with stage.scored():
            for _ in range(runs):
                session.run(feeds)
        return {"completed": runs}
