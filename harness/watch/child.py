"""``python -m harness.watch.child``: pytest, which says nothing where it is interrupted before it can report."""

from __future__ import annotations

import runpy
import sys

INTERRUPTED = 2
"""pytest's own exit code for it."""


def main() -> int:
    """Runs pytest with the arguments of this process; ends with its exit code."""
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
