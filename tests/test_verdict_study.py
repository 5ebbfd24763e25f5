"""The study of error rates runs on the real decision code, reaches its goals, and notices code that would not."""

from __future__ import annotations

import pytest

from tests.studies import run_study


@pytest.mark.suite
def test_false_verdicts_stay_within_the_goal_in_every_world() -> None:
    done = run_study("study.py", "", 300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 25  # the head, the goal, every world


# Each of these is how a gate gets it wrong; where the study says nothing, it proves nothing.
NO_MARGIN = """
import harness.spec as spec
spec.MeasureSettings.__init__.__defaults__ = (0.97, (6, 10, 16, 26, 40), 0.0, 0.5, 50, 180.0)
"""
GREEDY_LOOKS = """
import harness.statistics as statistics
allowed = {6: 0, 10: 2, 16: 4, 26: 8, 40: 14}
statistics.plan_looks = lambda sizes, confidence, drift=0: tuple(statistics.Look(n, allowed[n]) for n in sizes)
"""
THROWN_AWAY = """
import harness.verdict as verdict
judge = verdict.judge_processes
def choosing(promise, estimates, *, disturbed, **more):
    return judge(promise, [e for e, spoilt in zip(estimates, disturbed) if not spoilt], **more)
verdict.judge_processes = choosing
"""
AT_THE_BOUND = "more than 3 % false verdicts at the bound"
MISTAKES = {
    "early looks without a margin": (NO_MARGIN, "drift of 4 % over the run"),
    "every look with the whole error": (GREEDY_LOOKS, "pairs: spread 1 % each, drift of 10 % on both"),
    "slow processes thrown away": (THROWN_AWAY, "spread 5 %, every slow process is called disturbed"),
}


@pytest.mark.suite
@pytest.mark.long
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_study_notices_a_gate_that_gets_it_wrong(mistake: str) -> None:
    code, world = MISTAKES[mistake]
    done = run_study("study.py", code, 300)
    assert done.returncode == 1, done.stderr
    assert f"missed: {world}: {AT_THE_BOUND}" in done.stdout
