"""At which line of ``kpis.toml`` a KPI stands, which no reader of TOML says."""

from __future__ import annotations

import re
import tomllib

# Strings and comments are eaten whole, so that what looks like a table within them is none.
_TOKEN = re.compile(
    r"""
    (?P<kpi>^[ \t]*\[\[[ \t]*(?:kpi|"kpi"|'kpi')[ \t]*\]\])
    | \"\"\"(?:\\.|[^\\])*?\"{3,5}
    | '''.*?'{3,5}
    | "(?:\\.|[^"\\\n])*"
    | '[^'\n]*'
    | \#[^\n]*
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def target_lines(text: str) -> dict[tuple[str, str], int]:
    """The line, from 1, of each (KPI, metric) that stands in a table of its own; of (KPI, "") the table's first.

    What is written in another way (inline tables) is left out, and so is every KPI of a text that is no TOML.
    """
    starts = [match.start() for match in _TOKEN.finditer(text) if match.lastgroup == "kpi"]
    found: dict[tuple[str, str], int] = {}
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        block = text[start:end]
        try:
            table = tomllib.loads(block)["kpi"][0]
            name, metrics = str(table["name"]), list(table["targets"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            continue
        first = text.count("\n", 0, start) + 1
        found.setdefault((name, ""), first)
        for metric in metrics:
            quoted = re.search(
                rf"""["']{re.escape(metric)}["'][ \t]*=|^[ \t]*{re.escape(metric)}[ \t]*=""", block, re.MULTILINE
            )
            line = first + block.count("\n", 0, quoted.start()) if quoted else first
            found.setdefault((name, metric), line)
    return found
