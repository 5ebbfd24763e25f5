"""The ``kpi`` command: looks at promises, machine, environments and store; measures only to search."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.artifact import read_artifact
from harness.environments import Environments
from harness.errors import KpiError, SpecError, suggest
from harness.machine import detect, mismatch
from harness.reports.terminal import STYLE
from harness.reports.text import plain
from harness.seal import KEY_VARIABLE
from harness.search.command import add_arguments
from harness.search.command import run as search
from harness.spec import Spec
from harness.spec_reader import read_spec
from harness.store import Store, folder_size
from harness.units import BYTES
from harness.verdict import Verdict

_NAMES = 18
USAGE = 4
"""The exit code for a mistake in the call or in ``kpis.toml``: pytest's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 when something was found wrong, 4 for a mistake of the user's."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except SpecError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return USAGE
    except KpiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 2
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kpi", description=__doc__)
    parser.add_argument("--kpis", type=Path, default=Path("kpis.toml"), help="the file of promises")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("list", _list, "every promised target, with what gates on this machine")
    add("doctor", _doctor, "what this machine has, and what each missing thing would enable")
    add("schema", _schema, "the JSON Schema of kpis.toml, for editors")
    env = add("env", _env, "environments that recipes name")
    env.add_argument("action", choices=["list", "create"])
    env.add_argument("name", nargs="?", help="which one to create")
    merge = add("merge", _merge, "the evidence of several machines as one ledger; green only when all was proven")
    merge.add_argument("files", nargs="+", type=Path, metavar="EVIDENCE", help="evidence.json of a run")
    merge.add_argument("--out", type=Path, help="a folder for the merged evidence.json and summary.md")
    score = add("score", _score, "METEOR, chrF and BLEU of a results.json, of this machine or another")
    score.add_argument("file", type=Path, help="results.json: a list of objects with output and reference")
    explained = add("explain", _explain, "why a KPI's targets ended as they did, from the evidence of a run")
    explained.add_argument("kpi", help="a KPI, or one of its targets as in KPI:p50")
    recipes = add("recipes", _recipes, "the measured recipes of a workload side by side, as a Markdown table")
    recipes.add_argument("workload")
    for reader in (explained, recipes):
        reader.add_argument(
            "--evidence", type=Path, help="default: .kpi/latest/evidence.json beside the file of promises"
        )
    machines = add("compare-machines", _compare_machines, "the same recipes on several machines, and what each costs")
    machines.add_argument("files", nargs="+", type=Path, metavar="EVIDENCE", help="evidence.json of a run")
    machines.add_argument("--price", action="append", help='of each file\'s machine in turn, such as "1.536 USD/h"')
    machines.add_argument("--out", type=Path, help="a folder for machines.md and machines.svg")
    add_arguments(add("search", search, "looks for a recipe that meets all targets of a KPI at once; measures"))
    cache = add("cache", _cache, "the store of artifacts")
    cache.add_argument("action", choices=["list", "verify", "prune"])
    cache.add_argument("--limit", default="20 GB", help='prune to this size (default: "20 GB")')
    return parser


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False)


def _list(chosen: argparse.Namespace) -> int:
    spec, here = read_spec(chosen.kpis), detect()
    console, gating = _console(), 0
    for kpi in spec.kpis:
        machine = spec.machines[kpi.machine]
        why = mismatch(machine, here)
        title = Text(plain(kpi.name), style="bold")
        title.append(f"  {plain(kpi.workload)}/{plain(kpi.recipe)} on {plain(kpi.machine)}", style="dim")
        console.print(title)
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for target in kpi.targets:
            needs_device = target.metric.scenario is not None
            if needs_device and not here.has(machine.device):
                said = Text("unavailable", style="magenta")
            elif why and not target.gates_everywhere:
                said = Text("off target", style="cyan")
            else:
                said, gating = Text("gates here", style="green"), gating + 1
            table.add_row(target.metric_name, Text(plain(target.promise.text)), said)
        console.print(table)
        if why:
            console.print(Text(f"  {plain(why)}", style="dim"))
    console.print(f"{len(spec.targets)} targets of {len(spec.kpis)} KPIs; {gating} gate on this machine")
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    from harness.doctor import examine

    spec: Spec | None = None
    if chosen.kpis.exists():
        spec = read_spec(chosen.kpis)
    console = _console()
    for title, rows in examine(spec, Store()):
        console.print(Text(title, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, said in rows:
            table.add_row(Text(f"  {plain(name)}"), Text(plain(said)))
        console.print(table)
    return 0


def _schema(_: argparse.Namespace) -> int:
    from harness.spec_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _env(chosen: argparse.Namespace) -> int:
    environments = Environments(Store(), chosen.kpis.resolve().parent)
    if chosen.action == "create":
        if not chosen.name:
            raise KpiError("which environment?", f"kpi env create {'|'.join(sorted(environments.names()))}")
        path = environments.create(chosen.name, lambda text: print(f"{text} ...", file=sys.stderr))
        print(path)
        return 0
    for name, file in sorted(environments.names().items()):
        state = "installed" if environments.exists(name) else f"missing; kpi env create {name}"
        print(f"{name:32} {state}  ({file.name})")
    return 0


def _merge(chosen: argparse.Namespace) -> int:
    from harness.evidence import write_atomically
    from harness.merge import merge, read_evidence
    from harness.reports.markdown import render as markdown
    from harness.reports.terminal import render

    key = os.environ.get(KEY_VARIABLE)
    merged = merge({str(path): read_evidence(path, key) for path in chosen.files}, key)
    console = _console()
    print(render(merged.evidence, min(100, console.width), colour=console.is_terminal), end="")
    for problem in merged.problems:
        console.print(Text(f"not green: {plain(problem)}", style="bold red"))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_atomically(chosen.out / "evidence.json", json.dumps(merged.evidence, indent=1) + "\n")
        write_atomically(chosen.out / "summary.md", markdown(merged.evidence))
    print("green: every promised target was proven" if merged.proven else "not green")
    return 0 if merged.proven else 1


def _score(chosen: argparse.Namespace) -> int:
    from harness.text.results import score

    for name, said in score(chosen.file):
        print(f"{name:{_NAMES}}{said}")
    return 0


def _evidence(chosen: argparse.Namespace) -> tuple[Path, dict[str, Any], str]:
    """The evidence that was asked for: its file, its content, what is wrong with its seal."""
    from harness.merge import read_evidence

    path = chosen.evidence or chosen.kpis.resolve().parent / ".kpi" / "latest" / "evidence.json"
    if not path.exists():
        raise KpiError(f"{path} is not there", "run pytest first, or name the file with --evidence")
    return path, *read_evidence(path, None)


def _recipes(chosen: argparse.Namespace) -> int:
    from harness.reports.recipes import side_by_side

    path, found, broken = _evidence(chosen)
    if broken:
        raise KpiError(f"{path}: {broken}")
    print(side_by_side(chosen.workload, found), end="")
    return 0


def _compare_machines(chosen: argparse.Namespace) -> int:
    from harness.evidence import write_atomically
    from harness.merge import read_evidence
    from harness.prices import rented
    from harness.reports.machines import Seen, draw, markdown

    prices = chosen.price or []
    if prices and len(prices) != len(chosen.files):
        raise KpiError(
            f"{len(prices)} prices for {len(chosen.files)} files", "give --price once for each file, in turn"
        )
    try:
        hourly: list[float | None] = [rented(text).usd_per_hour for text in prices]
    except ValueError as error:
        raise KpiError(f"--price: {error}") from None
    seen = []
    for path, price in zip(chosen.files, hourly or [None] * len(chosen.files), strict=True):
        found, broken = read_evidence(path, os.environ.get(KEY_VARIABLE))
        if broken:
            raise KpiError(f"{path}: {broken}")
        seen.append(Seen.of(found, price))
    text = markdown(seen)
    print(text, end="")
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        draw(seen, chosen.out / "machines.svg")
        write_atomically(chosen.out / "machines.md", f"{text}\n![the same as bars](machines.svg)\n")
    return 0


def _explain(chosen: argparse.Namespace) -> int:
    from harness.explain import explain

    path, found, broken = _evidence(chosen)
    wanted = [t for t in found["targets"] if chosen.kpi in (t["kpi"], t["id"])]
    if not wanted:
        raise SpecError([suggest(chosen.kpi, {name for t in found["targets"] for name in (t["kpi"], t["id"])}, "KPI")])
    console = _console()
    if broken:
        console.print(Text(f"{plain(path)}: {broken}", style="bold red"))
    for target in wanted:
        verdict = Verdict(target["verdict"])
        console.print(Text(f"{plain(target['id'])}  ", style="bold").append(verdict.value, style=STYLE[verdict]))
        for said in explain(target, found):
            console.print(Text(f"  {plain(said)}"), soft_wrap=True)
    return 0


def _cache(chosen: argparse.Namespace) -> int:
    store = Store()
    if chosen.action == "verify":
        damaged = store.verify()
        for error in damaged:
            print(f"removed: {error}")
        print(f"{len(list(store.artifacts()))} artifacts are whole, {len(damaged)} were damaged")
        return 1 if damaged else 0
    if chosen.action == "prune":
        try:
            limit = int(BYTES.parse(chosen.limit))
        except ValueError as error:
            raise KpiError(f"--limit: {error}") from None
        count, freed = store.prune(limit)
        print(f"removed {count} entries, {BYTES.format(freed)}")
        return 0
    for path in store.artifacts():
        artifact = read_artifact(path)
        step = artifact.notes.get("step", {})
        what = f"{artifact.notes.get('workload', '')} {step.get('pass', artifact.format)}".strip()
        print(f"{path.name[:16]}  {BYTES.format(artifact.size):>10}  {what}")
    for folder in sorted((store.root / "data").iterdir()):
        print(f"{'data':16}  {BYTES.format(folder_size(folder)):>10}  {folder.name}")
    print(f"{BYTES.format(folder_size(store.root))} in {store.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
