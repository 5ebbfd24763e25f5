"""Metrics that a user wrote as a function: their figures, and every way in which the function may be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.core.own_metrics import own_metric
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.own import made
from harness.measure.records import Outputs

COUNT = 300


def outputs() -> Outputs:
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 3, COUNT)
    logits = chance.normal(0, 1, (COUNT, 3)).astype(np.float32)
    logits[np.arange(COUNT), labels] += 2
    return Outputs(logits, labels)


def metric(folder: Path, body: str, **table: Any) -> type[SampleMetric]:
    (folder / "metrics.py").write_text(body, encoding="utf-8")
    found = made(own_metric("recall.worst", {"function": "metrics.py:worst", **table}, folder))
    assert issubclass(found, SampleMetric)
    return found


RECALL = """
import numpy as np

def worst(outputs, labels):
    found = outputs.argmax(axis=1)
    return min(np.mean(found[labels == one] == one) for one in np.unique(labels))
"""


def test_a_figure_of_the_set(tmp_path: Path) -> None:
    given = outputs()
    found = metric(tmp_path, RECALL, of="set", unit="%")
    scored = found.scored(given, None, None)
    right = given.logits.argmax(axis=1) == given.labels
    worst = min(right[given.labels == one].mean() for one in range(3))
    assert np.mean(scored.scores) == pytest.approx(worst)
    assert scored.groups is not None
    # The jackknife of a plain mean over one class would give the same spread as the binomial, up to its size.
    error = np.std(scored.scores, ddof=1) / np.sqrt(COUNT)
    assert 0.5 < error / np.sqrt(worst * (1 - worst) / (COUNT / 3)) < 2


def test_a_score_of_each_sample(tmp_path: Path) -> None:
    given = outputs()
    found = metric(tmp_path, "def worst(outputs, labels):\n    return outputs.argmax(axis=1) == labels\n", unit="%")
    assert found.scores(given, None) == (given.logits.argmax(axis=1) == given.labels).astype(float).tolist()
    assert found.range == (0.0, 1.0)


WRONG = {
    "raises": ("def worst(o, l):\n    return 1 / 0\n", {}, r"metrics\.py:2: ZeroDivisionError: division by zero"),
    "exits": ("def worst(o, l):\n    raise SystemExit(3)\n", {}, r"metrics\.py:2: SystemExit: 3"),
    "leaves": ("import os\ndef worst(o, l):\n    os._exit(0)\n", {}, r"metrics\.py:3: SystemExit: os\._exit\(0\)"),
    "no exception": ("def worst(o, l):\n    raise BaseException\n", {}, r"metrics\.py:2: BaseException"),
    "leaves at once": ("import os\nos._exit(0)\n", {}, r"metrics\.py:2: SystemExit: os\._exit\(0\)"),
    "nan": ("def worst(o, l):\n    return l * float('nan')\n", {}, r"gives nan of sample 0"),
    "length": ("def worst(o, l):\n    return l[1:]\n", {}, r"of shape \(299,\), expected 300 numbers"),
    "text": ("def worst(o, l):\n    return ['a'] * len(l)\n", {}, "expected 300 numbers"),
    "a figure": ("def worst(o, l):\n    return 0.5\n", {}, r'expected 300 numbers.*of = "set"'),
    "scores": ("def worst(o, l):\n    return l\n", {"of": "set"}, 'gives ndarray, expected one number.*of = "sample"'),
    "nothing": ("def worst(o, l):\n    pass\n", {"of": "set"}, "gives NoneType, expected one number"),
    "infinite": ("def worst(o, l):\n    return float('inf')\n", {"of": "set"}, "gives nan, allowed is"),
    "range": ("def worst(o, l):\n    return l + 2\n", {"unit": "%"}, "allowed is 0 to 1"),
    "changes": (
        "import random\ndef worst(o, l):\n    return random.random()\n",
        {"of": "set"},
        "gives other figures when it is called again",
    ),
    "writes": ("def worst(o, l):\n    l[0] = 1\n    return l\n", {}, r"metrics\.py:2: ValueError: .*read-only"),
    "no function": ("def best(o, l):\n    return l\n", {}, r"metrics\.py has no function worst"),
    "syntax": ("def worst(o, l)\n    return l\n", {}, r"metrics\.py:1: SyntaxError"),
    "import": ("import no_such_module\n", {}, r"metrics\.py:1: ModuleNotFoundError"),
}


@pytest.mark.parametrize(("body", "table", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_function_is_one_line(tmp_path: Path, body: str, table: dict[str, Any], said: str) -> None:
    found = metric(tmp_path, body, **table)
    with pytest.raises(KpiError, match=said) as error:
        found.scored(outputs(), None, None)
    assert "\n" not in str(error.value)


def test_other_code_is_another_metric(tmp_path: Path) -> None:
    before = metric(tmp_path, RECALL, of="set").identity()
    assert metric(tmp_path, RECALL, of="set").identity() == before
    assert metric(tmp_path, RECALL.replace("min(", "max("), of="set").identity() != before


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    found = metric(tmp_path, RECALL, of="set")
    (tmp_path / "metrics.py").unlink()
    with pytest.raises(KpiError, match=r"metrics\.py is not here"):
        found.scored(outputs(), None, None)


SQUARE = "import multiprocessing, os\ndef square(x):\n    return x * x\n"
FORKS = {
    "a pool": "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
    "        return sum(pool.map(square, [0.5, 0.5]))",
    "a process": "one = multiprocessing.get_context('fork').Process(target=square, args=(2,))\n"
    "    one.start(); one.join()\n    return 0.5 if one.exitcode == 0 else 0",
    "a child that goes on": "if (child := os.fork()):\n        os.waitpid(child, 0)\n    return 0.5",
    "a child that raises": "if (child := os.fork()):\n        os.waitpid(child, 0)\n        return 0.5\n"
    "    raise ValueError",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.parametrize("body", FORKS.values(), ids=FORKS)
def test_a_process_that_the_metric_forks_does_not_judge_as_well(tmp_path: Path, body: str) -> None:
    found = metric(tmp_path, f"{SQUARE}def worst(outputs, labels):\n    {body}\n", of="set", unit="%")
    ours, judged = os.getpid(), tmp_path / "judged"
    try:
        assert found.figure(outputs(), None) == 0.5
    finally:
        with judged.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if os.getpid() != ours:
            os._exit(0)
    assert judged.read_text() == f"{ours}\n"


def test_what_a_metric_does_to_its_arrays_the_next_one_does_not_see(tmp_path: Path) -> None:
    body = "def worst(o, l):\n    l.flags.writeable = True\n    l[:] = o.argmax(axis=1)\n    return 0.5\n"
    given, right = outputs(), outputs().labels
    assert metric(tmp_path, body, of="set", unit="%").figure(given, None) == 0.5
    assert (given.labels == right).all()


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    body = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass One:\n    a: int\n"
        "def worst(o, l):\n    return One(1).a\n"
    )
    assert metric(tmp_path, body, of="set", unit="%").figure(outputs(), None) == 1
