"""A target is judged again from the evidence as the gate had judged it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.attempts import SPENT, confidence_of
from harness.core.bounds import parse_bound
from harness.core.statistics import looks_for
from harness.core.units import TIME
from harness.judge.case import TAILS, Case
from harness.judge.metrics import metrics
from harness.judge.metrics.base import ProcessMetric
from harness.judge.verdict import judge_processes
from harness.measure.records import ProcessRecord, Proof
from tests.support.made_runs import Made, evidence

LOOKS = (6, 9, 12, 16, 20, 26, 32, 40)


def record(seed: int) -> ProcessRecord:
    # Each request resembles the one before it.
    samples = np.exp(np.convolve(np.random.default_rng(seed).normal(-3.5, 0.3, 401), [1, 1], "valid"))
    proof = Proof(runtime="r", version="1", device="CPU", precision="f32")
    return ProcessRecord("2026-01-01", 1.0, 0.1, 0.1, 1, 1, proof, samples_s=tuple(map(float, samples)), completed=400)


@pytest.mark.parametrize("attempt", [1, 2, 5])
def test_a_tail_is_judged_again_as_it_was_at_every_attempt(attempt: int) -> None:
    confidence = confidence_of(attempt, 0.97, SPENT)
    records, bound = [record(seed) for seed in range(40)], parse_bound("< 1 s", TIME)
    tail = metrics()["latency.p95"]
    assert issubclass(tail, ProcessMetric)
    judged = judge_processes(
        bound,
        tail.estimates(records, 0.97, first=LOOKS[0]),
        looks=looks_for(LOOKS, confidence, 0.02, bound.share),
        confidence=confidence,
    )
    against = tuple(look.against for look in looks_for(LOOKS, 0.97, 0.02, bound.share))
    made = evidence([Made(latency=[0.03], artifact="a")])
    settings = replace(made.settings, confidence=0.97, looks=LOOKS, against=against, drift=0.02, tails=TAILS)
    run = replace(made, settings=settings, measurements=[replace(made.measurements[0], processes=records)])
    latency = next(target for target in made.targets if target.metric == "latency.p50")
    target = replace(latency, confidence=confidence, n=judged.n, verdict=judged.verdict)
    assert tail.judged_again(Case(target, run, bound)) == judged
    # Evidence of an earlier version took requests as independent: its bounds are narrower.
    early = replace(run, settings=replace(settings, tails=""))
    assert tail.judged_again(Case(target, early, bound)).high < judged.high
