"""The example that recomputes verdicts computes as the harness and SciPy do."""

from __future__ import annotations

import math
import sys
import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.core.bounds import Bound, Relation, parse_bound
from harness.core.codec import plain
from harness.core.score_bounds import Scores, difference_bounds, mean_bounds, ratio_bounds
from harness.core.statistics import looks_for, plan_looks, recorded_looks
from harness.core.units import DIMENSIONS, NUMBER
from harness.judge.case import TAILS
from harness.judge.machine_ratio import Side, judge_machines
from harness.judge.metrics import metrics
from harness.judge.metrics.artifact import ArtifactMetric
from harness.judge.metrics.base import ProcessMetric, ProofMetric, SampleMetric
from harness.judge.metrics.priced import MachineRatioMetric, PricedMetric
from harness.judge.verdict import Estimate, judge_processes
from harness.measure.records import ProcessRecord, Proof
from tests.support.project import ROOT, SHIPPED
from tests.support.replayed import PROGRAM, Json, formulas, quantiles, replay
from tests.support.replayed import bounds as replay_bounds
from tests.support.replayed import looks as replay_looks

# The statistics, against SciPy and the harness


def test_the_program_is_short_and_needs_nothing_but_python() -> None:
    files = sorted(PROGRAM.parent.glob("*.py"))
    assert PROGRAM in files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 300
        imported = {
            line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import", "from"))
        }
        assert imported <= {*sys.stdlib_module_names, *(other.stem for other in files)}


@pytest.mark.parametrize("freedom", [1, 2, 3, 7.5, 30, 99, 1000, 3346, 50_000, 1_000_000])
@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.9, 0.97, 0.999])
def test_quantiles_of_students_t_are_scipys(confidence: float, freedom: float) -> None:
    wanted = stats.t.ppf(confidence, freedom)
    assert formulas.student_quantile(confidence, freedom) == pytest.approx(wanted, rel=1e-8, abs=1e-12)


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.95, 0.99]), st.sampled_from([0.01, 0.03, 0.3, 0.7, 0.97, 0.99]))
def test_quantiles_of_the_binomial_are_scipys(n: int, chance: float, share: float) -> None:
    assert quantiles.binomial_quantile(share, n, chance) == int(stats.binom.ppf(share, n, chance))


@given(
    st.sampled_from([(6, 10, 16, 26, 40), (6, 9, 12, 16, 20, 26, 32, 40), (2,), (30,)]), st.sampled_from([0.7, 0.97])
)
def test_looks_spend_what_the_harness_says(sizes: tuple[int, ...], confidence: float) -> None:
    against = [look.against for look in plan_looks(sizes, confidence)]
    assert replay_looks.false_decisions(sizes, against) <= 1 - confidence + 1e-12
    generous = [most + 1 for most in against]
    with pytest.raises(ValueError, match="wrong"):
        recorded_looks(sizes, generous, confidence)
    assert replay_looks.false_decisions(sizes, generous) > 1 - confidence


def random_scores(
    random: np.random.Generator, kind: str, n: int
) -> tuple[list[float], list[float], tuple[float, float]]:
    if kind == "right or wrong":
        own = random.random(n) < random.random()
        others = np.where(random.random(n) < 0.1, random.random(n) < 0.5, own)
        return own.astype(float).tolist(), others.astype(float).tolist(), (0.0, 1.0)
    if kind == "without ends":
        return random.gamma(2, 1, n).tolist(), random.gamma(2, 1.1, n).tolist(), (0.0, math.inf)
    if kind == "skewed":
        return (
            (1 - random.gamma(0.3, 0.1, n).clip(0, 1)).tolist(),
            (1 - random.gamma(0.3, 0.1, n).clip(0, 1)).tolist(),
            (0.0, 1.0),
        )
    return random.uniform(-1, 1, n).tolist(), random.uniform(-1, 1, n).tolist(), (-1.0, 1.0)


@pytest.mark.parametrize("kind", ["right or wrong", "without ends", "skewed", "from -1"])
@pytest.mark.parametrize("grouped", ["alone", "in clusters", "weighted", "weighted, in clusters"])
@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_scores_are_the_harnesss(kind: str, grouped: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.choice([2, 5, 60, 150, 300]))
    own, others, ends = random_scores(random, kind, n)
    clusters = random.integers(0, max(2, n // 3), n).tolist() if "clusters" in grouped else None
    weights = (random.gamma(3, 1, n) + 0.1).tolist() if "weighted" in grouped else None
    confidence = float(random.choice([0.7, 0.97, 0.99]))
    pair = Scores(own, others, ends, clusters, weights)
    wanted = {"drop": difference_bounds, "ratio": ratio_bounds}
    found = formulas.score_bounds("value", own, [], ends, confidence, clusters, weights)
    assert found == pytest.approx(
        mean_bounds(Scores(own, None, ends, clusters, weights), confidence), rel=1e-7, abs=1e-9
    )
    for relation, bounds in wanted.items():
        if relation == "ratio" and kind == "from -1":
            continue  # ratios are of scores that are not negative
        found = formulas.score_bounds(relation, own, others, ends, confidence, clusters, weights)
        assert found == pytest.approx(bounds(pair, confidence), rel=1e-7, abs=1e-9), relation


@given(st.integers(1, 80), st.data())
def test_bounds_of_right_and_wrong_are_the_harnesss(n: int, data: st.DataObject) -> None:
    pairs = data.draw(
        st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=n, max_size=n)
    )
    own, others = [a for a, _ in pairs], [b for _, b in pairs]
    scores = Scores(own, others, (0.0, 1.0))
    for relation, bounds in (("drop", difference_bounds), ("ratio", ratio_bounds)):
        found = formulas.score_bounds(relation, own, others, (0.0, 1.0), 0.97)
        assert found == pytest.approx(bounds(scores, 0.97), rel=1e-7, abs=1e-9)


# What the program knows of metrics and units


def random_process(random: np.random.Generator, device: str) -> ProcessRecord:
    """A process that holds all that any metric looks at."""
    n = 400
    names = ("ttft_s", "ttft_content_s", "tpot_s", "switch_s", "audio_s", "tokens", "first_s")
    counts = ("in_time", "failed", "sent", "capacity", "dropped", "due", "streams")
    work = sorted(random.integers(1, 100, 2).tolist())
    return ProcessRecord(
        started="",
        wall_s=1.0,
        load_s=float(random.random()),
        first_inference_s=float(random.random()),
        memory_before=int(random.integers(1, 1000)),
        memory_peak=int(random.integers(1, 2000)),
        proof=Proof("a runtime", "1", device, "fp32", None, work[1], work[0], *random.choice([[None, None], [9, 4]])),
        samples_s=tuple(random.gamma(2, 1, n).tolist()),
        completed=n,
        elapsed_s=float(random.random()),
        series={name: tuple(random.gamma(2, 1, n).tolist()) for name in names},
        details={**{name: int(random.integers(1, 100)) for name in counts}, "driver": "aiohttp"},
        system={"window": {"energy": {"joules": {"package-0": 3.5, "nvidia-0": 7.0}, "missing": ""}}},
        violations=("one", "two")[: int(random.integers(0, 3))],
    )


def as_json(record: ProcessRecord) -> Json:
    """As the program has it once a file is read."""
    found: Json = plain(record)
    return found | {
        "samples_s": list(record.samples_s), "series": {name: list(values) for name, values in record.series.items()}
    }  # fmt: skip


@pytest.mark.parametrize("device", ["CPU", "GPU.0"])
@pytest.mark.parametrize("name", [n for n, m in metrics().items() if issubclass(m, ProcessMetric)])
def test_figures_of_processes_are_the_harnesss(name: str, device: str) -> None:
    metric: Any = metrics()[name]
    assert formulas.of_processes(name)
    assert (name in formulas.PRICED) is issubclass(metric, PricedMetric)
    for seed in range(3):
        record = random_process(np.random.default_rng(seed), device)
        found = formulas.estimate(name, as_json(record), 0.97)
        assert found == pytest.approx((metric.of(record), *metric.bounds(record, 0.97)))
    records = [random_process(np.random.default_rng(seed), device) for seed in range(8)]
    for tails in ({}, {"tails": TAILS}):
        plan = {"confidence": 0.97, "looks": [6, 9], **tails}
        told = formulas.estimates(name, [as_json(record) for record in records], plan)
        first = 6 if tails else 0
        wanted = metric.estimates(records, 0.97, first=first)
        assert told == [pytest.approx((one.value, one.low, one.high)) for one in wanted]


def test_every_metric_is_known() -> None:
    for name, metric in metrics().items():
        if issubclass(metric, SampleMetric):
            # Of a metric that is not listed the evidence says it, as it does of a plug-in's.
            stated = metric.better, metric.ends or metric.range, metric.paired
            assert formulas.SCORES.get(name, stated) == stated
        elif issubclass(metric, ProofMetric):
            record = random_process(np.random.default_rng(1), "CPU")
            assert formulas.PROOFS[name](as_json(record)) == metric.of(record)
        elif issubclass(metric, ArtifactMetric | MachineRatioMetric):
            assert name in ("size", "cost.ratio")
        else:
            assert formulas.of_processes(name)
    document = (ROOT / "docs/evidence.md").read_text(encoding="utf-8").partition("## Recomputing a verdict")[2]
    told = {name for name, metric in metrics().items() if not issubclass(metric, SampleMetric)} | {*formulas.SCORES}
    assert not [name for name in told if f"`{name}`" not in document]


def test_every_unit_is_known() -> None:
    for dimension in DIMENSIONS.values():
        assert {unit: replay_bounds.UNITS[unit] for unit in dimension.units} == dimension.units


def shipped_bounds() -> list[tuple[str, str]]:
    """Every metric and bound that the project promises itself."""
    kpis = [kpi for file in SHIPPED for kpi in tomllib.loads(file.read_text(encoding="utf-8")).get("kpi", ())]
    assert len(kpis) > 60
    found = [(metric, bound) for kpi in kpis for metric, bound in kpi["targets"].items()]
    return [(m, text) for m, bound in found for text in ([bound] if isinstance(bound, str) else bound)]


def written(bound: Bound) -> Json:
    said = {"op": bound.op, "limit": bound.limit, "relation": bound.relation.value, "versus": bound.versus}
    return {"bound": bound.text, **said}


def test_bounds_are_read_as_the_harness_reads_them() -> None:
    for metric, text in [
        *shipped_bounds(),
        ("latency.p50", "<1_000.5  us"),
        ("size", ">= 1 000 kB"),
        ("rtf", "< 2e-1"),
    ]:
        bound = parse_bound(text, metrics()[metric].dimension)
        assert not list(replay_bounds.wrong_bound(written(bound))), text
        for change in (
            {"limit": bound.limit * 1.001 or 1e-4},
            {"op": ">" if bound.upper else "<"},
            {"versus": "another"},
        ):
            assert list(replay_bounds.wrong_bound({**written(bound), **change})), text
    assert {"vs", "of", "x"} <= {word for _, text in shipped_bounds() for word in text.split()}


# Verdicts, against the harness


@given(st.integers(0, 45), st.sampled_from(["<", "<=", ">", ">="]), st.integers(0, 10**6), st.floats(0, 0.5))
@settings(max_examples=200)
def test_the_sign_test_is_the_harnesss(n: int, op: str, seed: int, spoilt: float) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(float(random.choice([0.9, 0.98, 1.0, 1.02, 1.1])), 0.02, n).round(3)
    estimates = [(v, v * 0.99, v * 1.01) if random.random() < 0.5 else (v, v, v) for v in values.tolist()]
    disturbed = (random.random(n) < spoilt).tolist()
    share, confidence = float(random.choice([0.5, 0.5, 0.8, 0.9])), float(random.choice([0.97, 0.9818]))
    drift = float(random.choice([0.0, 0.02]))
    looks = looks_for((6, 10, 16, 26, 40), confidence, drift, share)
    bound = Bound(f"{op} 1", Relation.VALUE, op, 1.0, None, share)
    wanted = judge_processes(
        bound, [Estimate(*e) for e in estimates], looks=looks, confidence=confidence, disturbed=disturbed
    )
    sizes = [look.processes for look in looks]
    plans = [replay_looks.plan(sizes, confidence, chance) for chance in (1 - share, share)]
    plain = replay_looks.looks_of(sizes, *plans, drift)
    verdict, *figures = replay_looks.sign_test(bound.holds, bound.upper, share, estimates, disturbed, plain)
    assert verdict == wanted.verdict
    assert figures == pytest.approx([wanted.value, wanted.low, wanted.high, wanted.n], nan_ok=True)


@pytest.mark.parametrize("seed", range(30))
def test_a_ratio_of_machines_is_the_harnesss(seed: int) -> None:
    random = np.random.default_rng(seed)
    bound = parse_bound("<= 0.5", NUMBER)
    sides, measurements = [], []
    for name, cost, device in (("own", random.choice([0.4, 0.5, 0.6]), "gpu"), ("other", 1.0, "cpu")):
        n = int(random.integers(8, 14))
        hours, spoilt = random.normal(cost, 0.01, n).tolist(), (random.random(n) < 0.1).tolist()
        sides.append(Side([2 * h for h in hours], spoilt))
        processes = [
            {"elapsed_s": h * 3600, "completed": 10**6, "disturbed": "why" * s}
            for h, s in zip(hours, spoilt, strict=True)
        ]
        of = {"recipe": f"w/{name}", "scenario": "offline"}
        measurements += [{"id": "not it", "device": "npu", "processes": [], **of}] * 2
        measurements += [{"id": name, "device": device, "processes": processes, **of}]
    of = {"workload": "w", "usd_per_hour": 2.0}
    kpis = [
        {"name": "a", "recipe": "own", "device": "gpu", "against": "b", **of},
        {"name": "b", "recipe": "other", "device": "cpu", "against": None, **of},
    ]
    evidence = {"kpis": kpis, "settings": {"confidence": 0.97}, "measurements": measurements}
    wanted = judge_machines(bound, *sides, 0.97)
    verdict, *figures = replay.judge_machines({"kpi": "a", "scenario": "offline", **written(bound)}, evidence)
    assert verdict == wanted.verdict
    assert figures == pytest.approx([wanted.value, wanted.low, wanted.high, wanted.n])
