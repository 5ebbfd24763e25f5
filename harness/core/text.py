"""How single numbers and foreign text are written, the same everywhere."""

from __future__ import annotations

from harness.core.units import Dimension


def number(value: float | str | None) -> float:
    """A number of the evidence, where null is unknown and "inf" is beyond every bound."""
    return float("nan") if value is None else float(value)


def span(low: float, high: float, dimension: Dimension) -> str:
    """``1.2 to 1.4 ms``."""
    first, last = dimension.format(low), dimension.format(high)
    unit = last.rpartition(" ")[2]
    if not unit[-1:].isdigit():
        first = first.removesuffix(f" {unit}")  # one unit is enough for both
    return f"{first} to {last}"


def plain(text: object) -> str:
    """Text from a TOML file that is safe on a terminal: no control, direction or invisible characters."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def cell(text: object) -> str:
    """Text that stays within its cell: Markdown's and HTML's own characters lose their meaning."""
    safe = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`*_[]|#":
        safe = safe.replace(character, f"\\{character}")
    return safe
