"""What tokens cost on the machine that a KPI was written for."""

from __future__ import annotations

from harness.judge.metrics.cost import CostOfWork
from harness.spec.tasks import PROMPTS


class CostPerMillionTokens(CostOfWork):
    """Formula: price of an hour / tokens an hour x 1,000,000, one answer at a time."""

    name = "cost.per_million_tokens"
    title = "cost of a million tokens"
    scenario = "generate"
    tasks = PROMPTS
