"""A target about every slice: all must pass, and that one fails counts at an error divided by their number.

And how many samples a PASS takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from replay_formulas import SCORES, Judged

PASS, FAIL, UNDECIDED = "PASS", "FAIL", "INCONCLUSIVE"
Json = dict[str, Any]
Judge = Callable[[Json, float, Json, Json | None], Judged]


def judge_every(judge: Judge, target: Json, confidence: float, own: Json, other: Json | None) -> Judged:
    """The judgement of the slice that decides; ``judge`` judges one by its scores."""
    metric = target["metric"]
    begin = metric.removesuffix("*]")
    names = sorted(name for name in own["scores"] if name.startswith(begin) and name != metric)
    claim = other or SCORES.get(metric.partition("[")[0], ("", (), target.get("paired")))[2]

    def each(some: list[str], sure: float) -> dict[str, Judged]:
        return {name: judge({**target, "metric": name}, sure, own, other) for name in some}

    first = each(names, confidence)
    failing = [name for name, judged in first.items() if judged[0] == FAIL]
    surely = each(failing, 1 - (1 - confidence) / len(names) if claim else confidence)
    surely = {name: judged for name, judged in surely.items() if judged[0] == FAIL}
    unsure = {name: (UNDECIDED, *judged[1:]) for name, judged in first.items() if judged[0] != PASS}
    among = surely or unsure or first
    return among[(max if target["op"] in ("<", "<=") else min)(among, key=lambda name: among[name][1])]


def least_to_pass(confidence: float) -> int:
    """So many samples or clusters a PASS of a plain bound takes."""
    return max(2, math.ceil(math.log(1 - confidence) / math.log(0.5) - 1e-9))
