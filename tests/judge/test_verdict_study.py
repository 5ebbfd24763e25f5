"""The study of error rates runs on the real decision code, reaches its goals, and notices code that would not."""

from __future__ import annotations

import pytest

from tests.support.studies import run_study


@pytest.mark.suite
def test_false_verdicts_stay_within_the_goal_in_every_world() -> None:
    done = run_study("processes.py", "", 300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 28 + 5  # the head, the goal, every world; then those that are shown


# Each of these is how a gate gets it wrong; where the study says nothing, it proves nothing.
NO_MARGIN = """
import harness.spec.model as spec
spec.MeasureSettings.__init__.__defaults__ = (0.97, (6, 9, 12, 16, 20, 26, 32, 40), 0.0, 0.5, 50, 180.0, 'counted')
"""
GREEDY_LOOKS = """
import harness.core.statistics as statistics
allowed = {6: 0, 9: 1, 12: 2, 16: 4, 20: 5, 26: 8, 32: 10, 40: 14}
statistics.plan_looks = lambda sizes, confidence, drift=0: tuple(statistics.Look(n, allowed[n]) for n in sizes)
"""
THROWN_AWAY = """
import harness.judge.verdict as verdict
judge = verdict.judge_processes
def choosing(promise, estimates, *, disturbed, **more):
    return judge(promise, [e for e, spoilt in zip(estimates, disturbed) if not spoilt], **more)
verdict.judge_processes = choosing
"""
BOOTSTRAP = """
import numpy as np
import harness.core.score_bounds as score_bounds
def bootstrap(n, better, worse, confidence):
    counts = np.random.default_rng(20240229).multinomial(n, [better / n, worse / n, 1 - (better + worse) / n], 1000)
    means = (counts[:, 0] - counts[:, 1]) / n
    return float(np.quantile(means, 1 - confidence)), float(np.quantile(means, confidence))
score_bounds.tango = bootstrap
"""
BLIND_TO_CLUSTERS = """
import dataclasses
import harness.judge.verdict as verdict
judge = verdict.judge_samples
verdict.judge_samples = lambda promise, scores, *more: judge(promise, dataclasses.replace(scores, clusters=None), *more)
"""
NOT_SPENT = """
import harness.core.attempts as attempts
attempts.confidence_of = lambda attempt, confidence, attempts: confidence
"""
AT_THE_BOUND = "more than 3 % false verdicts at the bound"
MISTAKES = {
    "early looks without a margin": ("processes.py", NO_MARGIN, f"drift of 4 % over the run: {AT_THE_BOUND}"),
    "every look with the whole error": (
        "processes.py",
        GREEDY_LOOKS,
        f"pairs: both bimodal, drift of 10 % on both: {AT_THE_BOUND}",
    ),
    "slow processes thrown away": (
        "processes.py",
        THROWN_AWAY,
        f"spread 5 %, every slow process is called disturbed: {AT_THE_BOUND}",
    ),
    "scores by the percentile bootstrap": ("scores.py", BOOTSTRAP, "1 % break, 50 samples: "),
    "clusters taken for samples": ("scores.py", BLIND_TO_CLUSTERS, "clusters of 5 that break together, "),
    "attempts that cost nothing": ("reruns.py", NOT_SPENT, "% false PASS after 10 attempts"),
}


@pytest.mark.suite
@pytest.mark.long
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_study_notices_a_gate_that_gets_it_wrong(mistake: str) -> None:
    study, code, said = MISTAKES[mistake]
    done = run_study(study, code, 200 if study == "scores.py" else 300)
    assert done.returncode == 1, done.stderr
    assert any(line.startswith("missed: ") and said in line for line in done.stdout.splitlines()), done.stdout


@pytest.mark.suite
def test_attempts_that_share_their_error_stay_within_it() -> None:
    done = run_study("reruns.py", "", 600)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = next(line for line in done.stdout.splitlines() if "`counted`" in line)
    assert float(counted.split("|")[-2].strip(" %")) > 15


@pytest.mark.suite
@pytest.mark.long
def test_verdicts_on_scores_stay_within_the_goal_at_every_size() -> None:
    done = run_study("scores.py", "", 300)
    assert done.returncode == 0, done.stdout + done.stderr
