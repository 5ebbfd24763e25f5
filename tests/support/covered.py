"""Says how many lines of ``harness/`` a run of the tests has reached, and which files it reached least of.

    python tests/support/covered.py

Ends with 1 where it is less in total than pyproject.toml asks for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import coverage

ENOUGH = 90.0


def main() -> int:
    """Joins what all processes wrote down, prints what is below, and the total."""
    measured = coverage.Coverage()
    measured.combine()
    measured.save()
    below = []
    lines = missed = 0
    # Templates run as Python too, under their own names.
    for file in sorted(name for name in measured.get_data().measured_files() if name.endswith(".py")):
        name, statements, _, missing, where = measured.analysis2(file)
        lines, missed = lines + len(statements), missed + len(missing)
        share = 100 * (1 - len(missing) / len(statements)) if statements else 100.0
        if share < ENOUGH:
            below.append((share, name, where))
    wanted = float(measured.get_option("report:fail_under") or 0)
    total = 100 * (1 - missed / lines) if lines else 0.0
    for share, name, where in sorted(below):
        print(f"{share:5.1f} %  {Path(name).relative_to(Path.cwd())}: {where}")  # noqa: T201 - what it is for
    print(f"{total:5.1f} % of {lines:,} lines of harness/, {len(below)} files below {ENOUGH:.0f} %")  # noqa: T201
    return int(total < wanted)


if __name__ == "__main__":
    sys.exit(main())
