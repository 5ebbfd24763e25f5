"""Reads a bound as it is written, and tells where it is not the one that was judged; standard library alone."""

import math
import re
from collections.abc import Iterator
from typing import Any

SHARE = re.compile(r"in (\d+(?:\.\d+)?) ?% of processes")
NUMBER = r"[+-]?(?:\d+(?:[_ ]?\d{3})*)?(?:\.\d+)?(?:[eE][+-]?\d+)?"
BOUND = rf"\s*(?:(drop|gain)\s+)?([<>]=?)\s*({NUMBER})\s*(\S*?)"
BOUND += rf"(?:\s+(vs|of)\s+(\S+)|(?<=x)\s+(\S+))?(?:\s+{SHARE.pattern})?\s*"
UNITS = dict.fromkeys(("", *"xsBJ$", "USD", "fps", "samples/s", "images/s", "requests/s", "tokens/s", "tok/s"), 1.0)
UNITS |= {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60, "h": 3600, "%": 0.01, "pp": 0.01, "Wh": 3600}
UNITS |= {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kJ": 1e3, "mJ": 1e-3, "uJ": 1e-6}


def wrong_bound(target: dict[str, Any]) -> Iterator[str]:
    """Whether the bound, as written, is the one that was judged."""
    match = re.fullmatch(BOUND, target["bound"])
    change, op, amount, unit, link, versus, ratio, _ = match.groups() if match else ("", "", "nan", *[""] * 5)
    relation = change or ("share" if link else "ratio" if ratio else "value")
    limit = float(amount.replace(" ", "").replace("_", "")) * UNITS.get(unit, math.nan)
    said = (target["relation"], target["versus"], target["op"])
    if said != (relation, versus or ratio, op) or not math.isclose(limit, target["limit"], rel_tol=1e-12):
        yield f"the bound {target['bound']!r} is not {' '.join(filter(None, said))} {target['limit']}"
