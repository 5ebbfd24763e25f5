"""``python -m harness.build.ahead_worker``: reads which parts to build ahead and builds them several at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from harness.build.pool import Part, build_all
from harness.core.protocol import serve


def build(request: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Builds all parts; says after each how many are left. Returns how many recipes are broken."""
    parts = [Part(**part) for part in request["parts"]]
    broken, left = 0, len(parts)
    for found in build_all(parts, request["jobs"]):
        broken, left = broken + found, left - 1
        progress(str(left))
    return {"broken": broken}


if __name__ == "__main__":
    sys.exit(serve(build))
