"""What a machine's hour costs, and what work costs on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.core.prices import owned, rented
from harness.judge.metrics.cost import CostPerMillion
from tests.support.project import Project

Edit = Callable[..., str]
Problems = Callable[[str], tuple[str, ...]]


def test_a_rented_machine_costs_what_is_asked() -> None:
    assert rented("1.536 USD/h").usd_per_hour == 1.536
    assert rented("2 $/h").usd_per_hour == 2


def test_an_owned_machine_is_written_off_with_its_power() -> None:
    price = owned("8766 USD", 1, 500, "0.2 USD/kWh")
    assert price.usd_per_hour == pytest.approx(1 + 0.1)
    assert price.text == "8766 USD over 1 years, 500 W at 0.2 USD/kWh"


@pytest.mark.parametrize("text", ["1.5", "1.5 USD", "0 USD/h", "-1 USD/h", "free"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"USD/h|above 0|number"):
        rented(text)


@pytest.mark.parametrize(
    ("bought", "years", "watts", "power"),
    [
        ("0 USD", 1, 1, "1 USD/kWh"),
        ("1 USD", 0, 1, "1 USD/kWh"),
        ("1 USD", 1, -1, "1 USD/kWh"),
        ("1 USD", 1, 1, "1 USD"),
    ],
)
def test_what_is_no_owned_machine_is_refused(bought: str, years: float, watts: float, power: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each with its own words
        owned(bought, years, watts, power)


COST = ("[kpi.targets]", '[kpi.targets]\n"cost.per_million" = "< 1 USD"')


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("", "needs a price; set price in [machine.here]"),
        ('price = "1.5"\n', "a unit is missing"),
        ('price = { bought = "1 USD", years = 0, watts = 1, power = "1 USD/kWh" }\n', "years must be above 0"),
        ('price = { bought = "1 USD", years = 1 }\n', "watts"),
    ],
)
def test_a_cost_needs_a_price(problems: Problems, edit: Edit, price: str, said: str) -> None:
    machine = ('memory = ">= 1 GB"\n', f'memory = ">= 1 GB"\n{price}')
    assert any(said in line for line in problems(edit(COST, machine)))


def test_a_machine_that_is_no_table_is_told_once(problems: Problems, edit: Edit) -> None:
    said = problems(edit(COST, ("[machine.here]", "[machine]\nhere = []\n[machine.other]")))
    assert [line for line in said if "machine.here" in line or "price" in line] == list(said[:1])


def test_a_price_makes_a_cost(problems: Problems, edit: Edit) -> None:
    assert problems(edit(COST, ('memory = ">= 1 GB"\n', 'memory = ">= 1 GB"\nprice = "1.536 USD/h"\n'))) == ()
    own = 'price = { bought = "9000 USD", years = 4, watts = 450, power = "0.25 USD/kWh" }\n'
    assert problems(edit(COST, ('memory = ">= 1 GB"\n', f'memory = ">= 1 GB"\n{own}'))) == ()


@pytest.mark.suite
def test_a_cost_is_the_hours_of_a_million_at_the_price(project: Project) -> None:
    project.change('device = "cpu"\n', 'device = "cpu"\nprice = "3.6 USD/h"\n')
    project.change("[kpi.targets]\n", '[kpi.targets]\n"cost.per_million" = "< 1000 USD"\n')
    done = project.pytest("-m", "cost")
    assert done.returncode == 0, done.stdout
    (target,) = [t for t in project.evidence()["targets"] if t["metric"] == "cost.per_million"]
    assert target["unit"] == "USD"
    assert target["usd_per_hour"] == 3.6
    (measured,) = [m for m in project.evidence()["measurements"] if m["id"] in target["measurements"]]
    hours = sorted(1e6 * p["elapsed_s"] / p["completed"] / 3600 for p in measured["processes"][: target["n"]])
    assert 3.6 * hours[0] <= target["value"] <= 3.6 * hours[-1]
    assert CostPerMillion.kind() == "cost"
