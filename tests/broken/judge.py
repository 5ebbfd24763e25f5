"""Judges every model of the zoo, and the healthy twin of each, with the real suite; prints what was said.

    python -m tests.broken.judge [NAME ...] [--markdown]

Ends with 1 where a broken model passes, where its message does not name the fault, or where a healthy twin does not
pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.project import Project

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE))

from zoo import FAULTS, HEALTHY  # noqa: E402 - found from this folder on
from zoo.fault import SAME, Fault  # noqa: E402

_HEAD = """\
[measure]
seconds = "20 ms"
samples = 20

[machine.any-cpu]
device = "cpu"
"""


@dataclass(frozen=True)
class Judged:
    """What the suite said of one model: verdicts by target, reasons and notes, the first target's first."""

    name: str
    verdicts: dict[str, str]
    lines: tuple[str, ...]

    @property
    def said(self) -> str:
        """All of it in one text."""
        return " ".join(self.lines)

    @property
    def reason(self) -> str:
        """The line that names the fault; the first one where none does."""
        wanted = FAULTS[self.name.removesuffix(HEALTHY)].said
        return next((line for line in self.lines if wanted in line), next(iter(self.lines), ""))

    @property
    def verdict(self) -> str:
        """The verdicts, each once."""
        return ", ".join(sorted(set(self.verdicts.values())))

    def fault(self) -> str:
        """What is wrong with the verdict; empty where it is right."""
        if self.name.endswith(HEALTHY):
            return "" if set(self.verdicts.values()) == {"PASS"} else "a healthy model does not pass"
        if "PASS" in self.verdicts.values():
            return "a broken model passes"
        return "" if FAULTS[self.name].said in self.said else f"the message lacks {FAULTS[self.name].said!r}"


def toml(names: Iterable[str]) -> str:
    """The KPIs of some models and of their healthy twins."""
    return _HEAD + "".join(
        _tables(n + ending, FAULTS[n], healthy=bool(ending)) for n in names for ending in ("", HEALTHY)
    )


def _tables(name: str, fault: Fault, *, healthy: bool) -> str:
    targets = "\n".join(f"{json.dumps(metric)} = {json.dumps(bound)}" for metric, bound in fault.targets.items())
    judged = fault.recipe if healthy or not fault.broken_recipe else fault.broken_recipe
    return f"""
[workload.{name}]
task = "image-classification"
fixture = "zoo"
reference = "fp32"

[workload.{name}.recipe.fp32]
{SAME}

[workload.{name}.recipe.judged]
{judged}

[[kpi]]
name = "{name}"
workload = "{name}"
recipe = "judged"
machine = "any-cpu"

[kpi.targets]
{targets}
"""


def judge(names: Iterable[str], folder: Path, store: Path) -> list[Judged]:
    """Runs the suite on some models and their twins."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zoo").symlink_to(_HERE / "zoo")
    (folder / "kpis.toml").write_text(toml(names), encoding="utf-8")
    project = Project(folder, store)
    done = project.pytest("-q", timeout=3000)
    if not (folder / ".kpi/latest/evidence.json").exists():
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, list[dict[str, Any]]] = {}
    for target in project.evidence()["targets"]:
        found.setdefault(target["kpi"], []).append(target)
    return [
        Judged(
            name,
            {target["id"]: target["verdict"] for target in targets},
            tuple(line for t in targets for line in (t["reason"], t["remedy"], *t["notes"]) if line),
        )
        for name, targets in found.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/reliability.md")
    parser.add_argument("--store", type=Path, help="keep artifacts here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = chosen.store or Path(scratch) / "store"
        judged = judge(chosen.names or list(FAULTS), Path(scratch) / "zoo", store)
    wrong = [one for one in judged if one.fault()]
    print("\n".join(_markdown(judged) if chosen.markdown else [f"{o.name}: {o.verdict}: {o.reason}" for o in judged]))
    for one in wrong:
        print(f"WRONG {one.name}: {one.fault()}\n      {one.verdicts}\n      {one.said}", file=sys.stderr)
    return int(bool(wrong))


def _markdown(judged: Iterable[Judged]) -> Iterator[str]:
    by_name = {one.name: one for one in judged}
    yield "| model | its fault | verdict | what was said | healthy twin |"
    yield "|---|---|---|---|---|"
    for name, one in by_name.items():
        if not name.endswith(HEALTHY):
            said = one.reason.replace(f"{name}/", "").replace("|", "\\|")
            yield f"| `{name}` | {FAULTS[name].what} | {one.verdict} | {said} | {by_name[name + HEALTHY].verdict} |"


if __name__ == "__main__":
    sys.exit(main())
