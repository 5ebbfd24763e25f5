"""What work costs on one machine next to another: two medians, two machines, one verdict."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.bounds import parse_bound
from harness.core.units import NUMBER
from harness.judge.machine_ratio import Side, judge_machines, processes_needed
from harness.judge.verdict import Verdict
from tests.support.project import Project

Edit = Callable[..., str]
Problems = Callable[[str], tuple[str, ...]]

HALF = parse_bound("<= 0.5", NUMBER)
TEN = [False] * 10


def side(value: float, spread: float = 0.01, spoilt: int = 0) -> Side:
    chance = random.Random(str(value))  # noqa: S311 - a test
    values = [value * (1 + chance.uniform(-spread, spread)) for _ in range(10)]
    return Side([*values, *[3 * value] * spoilt], [*TEN, *[True] * spoilt])


def test_the_number_of_processes_is_fixed_and_exact() -> None:
    n, against = processes_needed(0.97)
    assert (n, against) == (10, 1)
    assert sum((1, n)) / 2**n <= 0.015 < sum((1, n - 1)) / 2 ** (n - 1)


@pytest.mark.parametrize(("own", "verdict"), [(0.4, Verdict.PASS), (0.6, Verdict.FAIL), (0.5, Verdict.INCONCLUSIVE)])
def test_a_ratio_of_medians_is_judged(own: float, verdict: Verdict) -> None:
    judged = judge_machines(HALF, side(own), side(1.0), 0.97)
    assert judged.verdict is verdict
    assert judged.low < own < judged.high
    assert judged.n == 10


def test_few_processes_decide_nothing() -> None:
    few = Side([0.1] * 9, [False] * 9)
    assert judge_machines(HALF, few, side(1.0), 0.97).verdict is Verdict.INCONCLUSIVE
    assert judge_machines(HALF, side(0.1), few, 0.97).verdict is Verdict.INCONCLUSIVE
    assert judge_machines(HALF, Side([], []), side(1.0), 0.97).n == 0


def test_a_disturbed_other_machine_helps_nobody_to_pass() -> None:
    slowed = Side([3.0] * 10, [True] * 10)
    assert judge_machines(HALF, side(0.8), slowed, 0.97).verdict is Verdict.INCONCLUSIVE
    assert judge_machines(HALF, side(2.0), slowed, 0.97).verdict is Verdict.FAIL
    assert judge_machines(HALF, Side([3.0] * 10, [True] * 10), side(1.0), 0.97).verdict is Verdict.INCONCLUSIVE


def test_wrong_verdicts_at_the_bound_are_as_rare_as_promised() -> None:
    chance, wrong, runs = random.Random(7), 0, 3000  # noqa: S311 - a test
    for _ in range(runs):
        own = Side([0.5 * chance.lognormvariate(0, 0.1) for _ in TEN], TEN)
        other = Side([chance.lognormvariate(0, 0.1) for _ in TEN], TEN)
        wrong += judge_machines(HALF, own, other, 0.97).verdict is Verdict.PASS
    assert wrong / runs <= 0.03


RATIO = ("[kpi.targets]", '[kpi.targets]\n"cost.ratio" = "<= 0.5"')
PRICE = ('memory = ">= 1 GB"\n', 'memory = ">= 1 GB"\nprice = "1 USD/h"\n')
OTHER = """
[machine.there]
device = "cpu"
PRICE
[[kpi]]
name = "other"
workload = "tiny"
recipe = "int8"
machine = "there"
targets = { size = "< 5 MB" }
"""
PRICED = OTHER.replace("PRICE", 'price = "2 USD/h"')


@pytest.mark.parametrize(
    ("against", "other", "said"),
    [
        ("", PRICED, 'set against = "KPI"'),
        ('against = "othr"\n', PRICED, "othr"),
        ('against = "other"\n', OTHER.replace("PRICE", ""), "set price in [machine.there]"),
        ('against = "other"\n', PRICED, ""),
    ],
)
def test_against_names_a_priced_kpi(problems: Problems, edit: Edit, against: str, other: str, said: str) -> None:
    text = edit(RATIO, PRICE, ("[kpi.targets]", f"{against}[kpi.targets]"))
    found = problems(text + other)
    assert any(said in line for line in found) if said else found == ()


def two_machines(project: Project, second: str) -> None:
    """The project's KPI at 1 USD/h against the same recipe at 40 USD/h on a machine with the processor ``second``."""
    text = project.toml.read_text(encoding="utf-8")
    machine = text[text.index("[machine.") :].partition("\n")[0]
    name = machine.removeprefix("[machine.").removesuffix("]")
    workload, recipe = (
        next(line.split('"')[1] for line in text.splitlines() if line.startswith(key + " "))
        for key in ("workload", "recipe")
    )
    project.toml.write_text(
        text.replace('device = "cpu"\n', 'device = "cpu"\nprice = "1 USD/h"\n').replace(
            "[measure]\n", '[measure]\nbudget = "1 s"\n'
        )
        + f"""
[machine.dear]
device = "cpu"
cpu = "{second}"
price = "40 USD/h"

[[kpi]]
name = "dear"
workload = "{workload}"
recipe = "{recipe}"
machine = "dear"
targets = {{ size = "< 1 GB" }}

[[kpi]]
name = "cheap"
workload = "{workload}"
recipe = "{recipe}"
machine = "{name}"
against = "dear"
targets = {{ "cost.ratio" = "<= 0.5" }}
""",
        encoding="utf-8",
    )


@pytest.mark.suite
def test_one_machine_that_is_both_decides_at_once(project: Project) -> None:
    two_machines(project, "*")
    done = project.pytest("-m", "cost")
    assert done.returncode == 0, done.stdout
    (target,) = [t for t in project.evidence()["targets"] if t["metric"] == "cost.ratio"]
    # A busy machine leaves it open; what it is worth is known all the same.
    assert target["verdict"] in ("PASS", "INCONCLUSIVE")
    assert target["value"] == pytest.approx(0.025)


@pytest.mark.suite
def test_the_evidence_of_two_machines_decides_when_merged(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_machines(project, "nobody's")
    own, dear = tmp_path / "own", tmp_path / "dear"
    assert project.pytest("-m", "cost", f"--kpi-out={own}").returncode == 0
    here = json.loads((own / "evidence.json").read_text(encoding="utf-8"))
    (target,) = [t for t in here["targets"] if t["metric"] == "cost.ratio"]
    assert target["verdict"] == "UNAVAILABLE"
    assert "dear" in target["reason"]
    assert "kpi merge" in target["remedy"]
    # What the other machine would have written: the same samples, there.
    for kpi in here["kpis"]:
        kpi["elsewhere"] = "" if kpi["name"] == "dear" else "another processor"
    for process in (p for m in here["measurements"] for p in m["processes"]):
        process["disturbed"] = ""
    dear.mkdir()
    (dear / "evidence.json").write_text(json.dumps(here), encoding="utf-8")
    out = tmp_path / "merged"
    main(["merge", str(own / "evidence.json"), str(dear / "evidence.json"), "--out", str(out)])
    capsys.readouterr()
    merged = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    (target,) = [t for t in merged["targets"] if t["metric"] == "cost.ratio"]
    assert target["verdict"] == "PASS"
    assert target["value"] == pytest.approx(0.025)
