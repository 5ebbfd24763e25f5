"""Quantities as people write them ("3 ms", "5 MB", "1 pp") and as the gate computes with them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_NUMBER = re.compile(
    r"""\s*(?P<number>[+-]?
        (?:\d+(?:[_ ]?\d{3})*|\d*)  # 1000, 1 000 or 1_000
        (?:\.\d+)?
        (?:[eE][+-]?\d+)?)
        \s*(?P<unit>.*?)\s*\Z""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """What a number measures, with the units that may be written for it.

    ``base`` names the unit in which the gate computes and the evidence is written; ``units`` maps each spelling to its
    factor to the base unit; ``shown`` lists, from large to small, those that the reports use.
    """

    name: str
    base: str
    units: dict[str, float]
    shown: tuple[str, ...]

    def parse(self, text: str) -> float:
        """Reads ``text`` ("3 ms") as a number of base units; ValueError says what was wrong and what is allowed."""
        number, unit = split_quantity(text)
        if unit not in self.units:
            allowed = ", ".join(repr(name) if name else "a plain number" for name in self.units)
            said = f"unit {unit!r} does not fit" if unit else "a unit is missing"
            raise ValueError(f"{said}: {text.strip()!r} must be {self.name}, written with {allowed}")
        # In decimal: 95 % is 0.95, not the 0.9500000000000001 that binary floating point makes of 95 x 0.01.
        value = float(number * Decimal(repr(self.units[unit])))
        if not math.isfinite(value):
            raise ValueError(f"{text.strip()!r} is not a finite number")
        return value

    def format(self, value: float, digits: int = 3) -> str:
        """Shows ``value`` (base units) with the unit in which it reads best and about ``digits`` figures."""
        if not math.isfinite(value):
            return "∞" if value > 0 else "-∞" if value < 0 else "not a number"
        unit = next((u for u in self.shown if abs(value) >= self.units[u]), self.shown[-1])
        scaled = value / self.units[unit]
        if math.isinf(scaled):
            return f"{value:.{digits - 1}e} {self.base}"
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(scaled)))) if scaled else 0
        text = f"{scaled:_.{min(decimals, 6)}f}".replace("_", " ")
        return f"{text} {unit}".rstrip()


def split_quantity(text: str) -> tuple[Decimal, str]:
    """Splits "1 000.5 ms" into 1000.5 and "ms"; ValueError when it does not start with a number."""
    match = _NUMBER.match(text)
    digits = match["number"] if match else ""
    if match is None or not re.search(r"\d", digits):
        raise ValueError(f"{text.strip()!r} does not start with a number")
    try:
        value = Decimal(digits.replace(" ", "").replace("_", ""))
    except InvalidOperation:  # an exponent alone, or one beyond all bounds
        raise ValueError(f"{text.strip()!r} is not a number") from None
    if not math.isfinite(float(value)):
        raise ValueError(f"{text.strip()!r} is not a finite number")
    return value, match["unit"]


TIME = Dimension(
    "a time",
    "s",
    {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0},
    ("s", "ms", "us"),
)
BYTES = Dimension(
    "a size in bytes",
    "B",
    {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
    ("GB", "MB", "kB", "B"),
)
SAMPLE_RATE = Dimension("a rate of samples", "samples/s", {"fps": 1.0, "samples/s": 1.0, "images/s": 1.0}, ("fps",))
REQUEST_RATE = Dimension(
    "a rate of requests", "requests/s", {"requests/s": 1.0, "fps": 1.0, "samples/s": 1.0}, ("requests/s",)
)
TOKEN_RATE = Dimension("a rate of tokens", "tokens/s", {"tokens/s": 1.0, "tok/s": 1.0}, ("tok/s",))
SHARE = Dimension("a share", "share", {"%": 0.01}, ("%",))
POINTS = Dimension("a difference of shares in percentage points", "points", {"pp": 0.01}, ("pp",))
NUMBER = Dimension("a plain number", "number", {"": 1.0}, ("",))
FACTOR = Dimension("a factor", "x", {"x": 1.0}, ("x",))
MONEY = Dimension("an amount of money", "USD", {"USD": 1.0, "$": 1.0}, ("USD",))
ENERGY = Dimension(
    "an energy", "J", {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "kJ": 1e3, "Wh": 3600.0}, ("kJ", "J", "mJ", "uJ")
)
TEMPERATURE = Dimension("a temperature", "°C", {"°C": 1.0, "C": 1.0}, ("°C",))
COUNT = Dimension("a count", "count", {"": 1.0}, ("",))

DIMENSIONS = {
    d.base: d
    for d in (TIME, BYTES, SAMPLE_RATE, REQUEST_RATE, TOKEN_RATE, SHARE, POINTS, NUMBER, FACTOR, COUNT, MONEY, ENERGY)
}
"""Every dimension by the base unit that is in the evidence."""
