"""Joins the evidence of several machines into one ledger; whatever does not fit together is not green."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.attempts import COUNTED, SPENT, several
from harness.core.bounds import parse_bound
from harness.evidence.ledger import json_number
from harness.evidence.machine_name import machine_id
from harness.evidence.seal import seal
from harness.judge.machine_ratio import Side, judge_machines, side_in
from harness.judge.metrics import metrics
from harness.judge.metrics.base import MachineRatioMetric
from harness.judge.verdict import OF_PROCESSES, Verdict
from harness.measure.machine.detect import processor_class

_DECIDED = (Verdict.PASS, Verdict.FAIL)
# What says more comes first: a proof, then what went wrong, then why nothing could be said.
_RANK = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.PASS,
    Verdict.OFF_TARGET,
    Verdict.INCONCLUSIVE,
    Verdict.UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Merged:
    """One ledger: ``evidence`` in the public format, ``problems`` that forbid green whatever the verdicts say."""

    evidence: dict[str, Any]
    problems: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether every promised target passed and nothing contradicts it."""
        targets = self.evidence["targets"]
        return not self.problems and bool(targets) and all(t["verdict"] == Verdict.PASS for t in targets)


def merge(files: Mapping[str, tuple[Mapping[str, Any], str]], key: str | None) -> Merged:
    """Joins evidence by file name; each value is what :func:`~harness.evidence.reader.read_evidence` gave."""
    problems = [f"{name}: {why}" for name, (_, why) in files.items() if why]
    pieces = {name: data for name, (data, _) in files.items()}
    first = next(iter(pieces.values()))
    problems += _differing(pieces, "promises", "of other promises (another kpis.toml)")
    problems += _differing(pieces, "commit", "of another commit")
    problems += [
        f"{name}: files differed from the commit, which says nothing of what was measured"
        for name, data in pieces.items()
        if str(data["commit"]).endswith("-dirty")
    ]
    problems += [f"{name}: the run did not come to its end" for name, data in pieces.items() if not data["complete"]]
    problems += _artifacts(pieces)
    targets = []
    for target in first["targets"]:
        identity = _identity(target)
        answers = [(n, t) for n, data in pieces.items() for t in data["targets"] if _identity(t) == identity]
        chosen, problem = _choose(target["id"], answers, {name: _class(data) for name, data in pieces.items()})
        problem = problem or _attempts(target["id"], answers, pieces)
        if issubclass(metric := metrics()[chosen["metric"]], MachineRatioMetric):
            chosen, problem = _between_machines(chosen, metric, pieces) or (chosen, problem)
        targets.append(chosen)
        problems += [problem] if problem else []
    merged = {
        **{k: v for k, v in first.items() if k not in ("targets", "measurements", "verdicts", "seal")},
        "release": True,
        "machines": {name: data["machine"] for name, data in pieces.items()},
        "problems": problems,
        "verdicts": _count(targets),
        "targets": targets,
        "measurements": [
            {**m, "id": f"{name}:{m['id']}"} for name, data in pieces.items() for m in data["measurements"]
        ],
    }
    return Merged(seal(merged, key), tuple(problems))


def _identity(target: Mapping[str, Any]) -> tuple[str, str, str]:
    return (target["kpi"], target["metric"], target["bound"])


def _differing(pieces: Mapping[str, Mapping[str, Any]], field: str, what: str) -> list[str]:
    names = list(pieces)
    return [
        f"{name}: it is {what} than {names[0]}" for name in names[1:] if pieces[name][field] != pieces[names[0]][field]
    ]


def _artifacts(pieces: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Recipes whose artifact is not the same one everywhere: then nothing was proven about one artifact."""
    seen: dict[str, dict[str, str]] = {}
    for name, data in pieces.items():
        for target in data["targets"]:
            if target["artifact"]:
                seen.setdefault(f"{target['workload']}/{target['recipe']}", {}).setdefault(target["artifact"], name)
    return [
        f"{recipe}: {' and '.join(f'{digest[:12]} in {name}' for digest, name in digests.items())} are not one artifact"
        for recipe, digests in seen.items()
        if len(digests) > 1
    ]


def _class(evidence: Mapping[str, Any]) -> str:
    """The processor's class on which a run was made: integer arithmetic may differ between two of them."""
    machine = evidence["machine"]
    return processor_class(str(machine.get("arch", "")), machine.get("instructions", ()))


def _choose(
    name: str, answers: Sequence[tuple[str, Mapping[str, Any]]], classes: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """The answer that counts, and what is wrong with the other answers."""
    ranked = sorted(answers, key=lambda answer: _RANK.index(Verdict(answer[1]["verdict"])))
    file, best = ranked[0]
    decided = {t["verdict"] for _, t in answers if t["verdict"] in _DECIDED}
    chosen = {**best, "measurements": [f"{file}:{reference}" for reference in best["measurements"]], "file": file}
    if len(decided) > 1:
        sides = ", ".join(f"{t['verdict']} in {n} ({classes[n]})" for n, t in answers if t["verdict"] in _DECIDED)
        return chosen, f"{name}: two machines disagree: {sides}"
    if not decided and best["verdict"] != Verdict.ERROR:
        return chosen, f"{name}: not proven ({best['verdict']}: {best['reason']})"
    return chosen, ""


def _attempts(
    name: str, answers: Sequence[tuple[str, Mapping[str, Any]]], pieces: Mapping[str, Mapping[str, Any]]
) -> str:
    """Why no verdict can be picked of several attempts on one machine; empty where there is only one, or they agree."""
    by_machine: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for file, answer in answers:
        if answer["of"] in OF_PROCESSES and answer["verdict"] in (*_DECIDED, Verdict.INCONCLUSIVE):
            by_machine.setdefault(machine_id(pieces[file]["machine"]), []).append((file, answer))
    attempts = {str(data["settings"].get("attempts", COUNTED)) for data in pieces.values()}
    said = (several(name, tried, COUNTED if COUNTED in attempts else SPENT) for tried in by_machine.values())
    return next(filter(None, said), "")


def _between_machines(
    target: Mapping[str, Any], metric: type[MachineRatioMetric], pieces: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], str] | None:
    """The answer that the evidence of two machines gives together; None when one of them is not among ``pieces``."""
    kpi = next(k for data in pieces.values() for k in data["kpis"] if k["name"] == target["kpi"])
    sides: list[tuple[str, Side]] = []
    for name in (kpi["name"], kpi["against"]):
        found = ((n, side_in(data, name, target["scenario"], metric.figure)) for n, data in pieces.items())
        side = next(((n, s) for n, s in found if s is not None), None)
        if side is None:
            return None
        sides.append(side)
    bound = parse_bound(target["bound"], metric.dimension)
    confidence = float(next(iter(pieces.values()))["settings"]["confidence"])
    judged = judge_machines(bound, sides[0][1], sides[1][1], confidence)
    show = metric.dimension.format
    reason = ""
    if judged.verdict is not Verdict.PASS:
        said = "misses" if judged.verdict is Verdict.FAIL else "is undecided about"
        reason = f"{show(judged.value)} ({show(judged.low)} to {show(judged.high)}) {said} {bound.text}"
    files = " over ".join(dict.fromkeys(name for name, _ in sides))
    chosen = {
        **target,
        **{name: json_number(getattr(judged, name)) for name in ("value", "low", "high")},
        "n": judged.n,
        "of": judged.of,
        "confidence": judged.confidence,
        "verdict": judged.verdict.value,
        "reason": reason,
        "remedy": "",
        "file": files,
    }
    return chosen, "" if judged.verdict in _DECIDED else f"{target['id']}: not proven ({reason})"


def _count(targets: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for target in targets:
        counts[target["verdict"]] = counts.get(target["verdict"], 0) + 1
    return dict(sorted(counts.items()))
