"""What an hour of a machine costs: rented at a price, or owned, with its power."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.units import MONEY, NUMBER, Dimension

_HOURS = 365.25 * 24
RENT = Dimension("a price of an hour", "USD/h", {"USD/h": 1.0, "$/h": 1.0}, ("USD/h",))
ENERGY = Dimension("a price of energy", "USD/kWh", {"USD/kWh": 1.0, "$/kWh": 1.0}, ("USD/kWh",))


@dataclass(frozen=True, slots=True)
class Price:
    """``usd_per_hour`` of the whole machine, used or not; ``text`` is how it was given."""

    usd_per_hour: float
    text: str


def rented(text: str) -> Price:
    """A price such as "1.536 USD/h"; ValueError when it is none."""
    return Price(_positive(RENT.parse(text), text), text)


def owned(bought: str, years: float, watts: float, power: str) -> Price:
    """``bought`` is written off evenly over ``years`` of running all the time; ``watts`` cost ``power``.

    ValueError when an amount is none.
    """
    if years <= 0 or watts < 0:
        raise ValueError(
            f"years must be above 0 and watts not negative: {NUMBER.format(years)}, {NUMBER.format(watts)}"
        )
    hourly = _positive(MONEY.parse(bought), bought) / (years * _HOURS)
    energy = _positive(ENERGY.parse(power), power) * watts / 1000
    return Price(hourly + energy, f"{bought} over {years:g} years, {watts:g} W at {power}")


def _positive(amount: float, text: str) -> float:
    if amount <= 0:
        raise ValueError(f"{text!r} must be above 0")
    return amount
