"""Joins the evidence of several machines into one ledger; whatever does not fit together is not green."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.core.attempts import COUNTED, SPENT, Try, several
from harness.core.bounds import parse_bound
from harness.core.errors import Cause
from harness.evidence.machine_name import machine_id
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.writer import counts
from harness.judge.machine_ratio import Side, judge_machines, side_in
from harness.judge.metrics import metrics
from harness.judge.metrics.priced import MachineRatioMetric
from harness.judge.verdict import OF_PROCESSES, Verdict
from harness.measure.machine.detect import Detected

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


Answer = tuple[str, TargetLine]
"""A file with what it answered."""


@dataclass(frozen=True, slots=True)
class Merged:
    """One ledger: ``evidence`` in the public format, ``problems`` that forbid green whatever the verdicts say."""

    evidence: Evidence
    problems: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether every promised target passed and nothing contradicts it."""
        targets = self.evidence.targets
        return not self.problems and bool(targets) and all(t.verdict is Verdict.PASS for t in targets)


def merge(files: Mapping[str, tuple[Evidence, str]]) -> Merged:
    """Joins evidence by file name; each value is what :func:`~harness.evidence.reader.read_evidence` gave."""
    problems = [f"{name}: {why}" for name, (_, why) in files.items() if why]
    pieces = {name: data for name, (data, _) in files.items()}
    first = next(iter(pieces.values()))
    problems += _differing(pieces, "kpis_digest", "of other promises (another kpis.toml)")
    problems += _differing(pieces, "commit", "of another commit")
    problems += [
        f"{name}: files differed from the commit, which says nothing of what was measured"
        for name, data in pieces.items()
        if data.commit.endswith("-dirty")
    ]
    # What was merged before keeps what forbade green.
    problems += [f"{name}: {said}" for name, data in pieces.items() for said in data.problems]
    problems += (stopped := _stopped(pieces))
    problems += _artifacts(pieces)
    by_key = {name: {target.key: target for target in data.targets} for name, data in pieces.items()}
    promised = {key: target for known in by_key.values() for key, target in known.items()}
    problems += [] if promised else ["no target is promised"]
    targets = []
    for target in promised.values():
        answers = [(name, known[target.key]) for name, known in by_key.items() if target.key in known]
        tries = [_try(name, answer, pieces[name]) for name, answer in answers if _tried(answer)]
        chosen, problem = _choose(target.id, answers, pieces)
        problem = problem or (several(target.id, tries, _rule(pieces)) if any(one.judged for one in tries) else "")
        for one in (one for one in tries if one.file == chosen.file):
            chosen = replace(chosen, earlier=one.before(tries))
        if issubclass(metric := metrics()[chosen.metric], MachineRatioMetric):
            chosen, problem = _between_machines(chosen, metric, pieces) or (chosen, problem)
        targets.append(chosen)
        problems += [problem] if problem else []
    merged = replace(
        first,
        release=True,
        complete=not stopped,
        kpis=tuple({kpi.name: kpi for data in reversed(pieces.values()) for kpi in data.kpis}.values()),
        machines={name: data.machine for name, data in pieces.items()} | _reached(pieces),
        reached={name: machine for data in pieces.values() for name, machine in data.reached.items()},
        problems=tuple(problems),
        verdicts=counts(targets),
        targets=targets,
        measurements=[replace(m, id=f"{name}:{m.id}") for name, data in pieces.items() for m in data.measurements],
        seal=None,
    )
    return Merged(merged, tuple(problems))


def _reached(pieces: Mapping[str, Evidence]) -> dict[str, Detected]:
    """The machines that were reached, by file and name."""
    return {f"{file}: {name}": machine for file, data in pieces.items() for name, machine in data.reached.items()}


def _differing(pieces: Mapping[str, Evidence], field: str, what: str) -> list[str]:
    names = list(pieces)
    wanted = getattr(pieces[names[0]], field)
    return [f"{name}: it is {what} than {names[0]}" for name in names[1:] if getattr(pieces[name], field) != wanted]


def _artifacts(pieces: Mapping[str, Evidence]) -> list[str]:
    """Recipes whose artifact is not the same one everywhere: then nothing was proven about one artifact."""
    seen: dict[str, dict[str, str]] = {}
    for name, data in pieces.items():
        for target in data.targets:
            if target.artifact:
                seen.setdefault(target.recipe_key, {}).setdefault(target.artifact, name)
    return [
        f"{recipe}: {' and '.join(f'{digest[:12]} in {name}' for digest, name in digests.items())} are not one artifact"
        for recipe, digests in seen.items()
        if len(digests) > 1
    ]


def _choose(name: str, answers: Sequence[Answer], pieces: Mapping[str, Evidence]) -> tuple[TargetLine, str]:
    """The answer that counts, and what is wrong with the other answers."""
    file, best = min(answers, key=lambda answer: _RANK.index(answer[1].verdict))
    decided = {t.verdict for _, t in answers if t.verdict in _DECIDED}
    chosen = replace(best, measurements=tuple(f"{file}:{reference}" for reference in best.measurements), file=file)
    if len(decided) > 1:
        there = {n: pieces[n].machine_of(t.machine) for n, t in answers if t.verdict in _DECIDED}
        what = "machines" if len({machine_id(one) for one in there.values()}) > 1 else "attempts on one machine"
        said = ", ".join(f"{t.verdict} in {n} ({there[n].processor_class})" for n, t in answers if n in there)
        return chosen, f"{name}: {what} disagree: {said}"
    if not decided and best.verdict is not Verdict.ERROR:
        return chosen, f"{name}: not proven ({best.verdict}: {best.reason})"
    return chosen, ""


def _tried(answer: TargetLine) -> bool:
    """Whether an answer is an attempt at a target, though it may have come to nothing."""
    return answer.verdict is not Verdict.OFF_TARGET and answer.cause is not Cause.UNSELECTED


def _try(name: str, answer: TargetLine, data: Evidence) -> Try:
    judged = answer.of in OF_PROCESSES and answer.verdict in (*_DECIDED, Verdict.INCONCLUSIVE)
    machine = machine_id(data.machine_of(answer.machine))
    return Try(name, answer.verdict, answer.attempt, data.started, machine, judged, answer.earlier)


def of_one_attempt(name: str, answer: TargetLine, data: Evidence) -> str:
    """Why an answer proves nothing by itself: attempts before it differ, or nothing is known of them; or empty."""
    one = _try(name, answer, data)
    return several(answer.id, [one], data.settings.attempts) if one.judged else ""


def _rule(pieces: Mapping[str, Evidence]) -> str:
    """What attempts mean: the stricter rule where files differ."""
    return COUNTED if any(data.settings.attempts == COUNTED for data in pieces.values()) else SPENT


def _stopped(pieces: Mapping[str, Evidence]) -> list[str]:
    """Runs that were stopped; where error is spent, a later attempt on the same machine makes up for one."""
    later = {(machine_id(data.machine), data.started) for data in pieces.values() if data.complete}
    return [
        f"{name}: the run did not come to its end"
        for name, data in pieces.items()
        if not data.complete
        and not (_rule(pieces) == SPENT and any(m == machine_id(data.machine) and s > data.started for m, s in later))
    ]


def _between_machines(
    target: TargetLine, metric: type[MachineRatioMetric], pieces: Mapping[str, Evidence]
) -> tuple[TargetLine, str] | None:
    """The answer that the evidence of two machines gives together; None when one of them is not among ``pieces``."""
    kpi = next(data.by_kpi[target.kpi] for data in pieces.values() if target.kpi in data.by_kpi)
    sides: list[tuple[str, Side]] = []
    for name in (kpi.name, kpi.against or ""):
        found = ((n, side_in(data, name, target.scenario, metric.figure)) for n, data in pieces.items())
        side = next(((n, s) for n, s in found if s is not None), None)
        if side is None:
            return None
        sides.append(side)
    bound = parse_bound(target.bound, metric.dimension)
    confidence = next(iter(pieces.values())).settings.confidence
    judged = judge_machines(bound, sides[0][1], sides[1][1], confidence)
    show = metric.dimension.format
    reason = ""
    if judged.verdict is not Verdict.PASS:
        said = "misses" if judged.verdict is Verdict.FAIL else "is undecided about"
        reason = f"{show(judged.value)} ({show(judged.low)} to {show(judged.high)}) {said} {bound.text}"
    chosen = replace(
        target,
        value=judged.value,
        low=judged.low,
        high=judged.high,
        n=judged.n,
        of=judged.of,
        confidence=judged.confidence,
        verdict=judged.verdict,
        reason=reason,
        remedy="",
        file=" over ".join(dict.fromkeys(name for name, _ in sides)),
    )
    return chosen, "" if judged.verdict in _DECIDED else f"{target.id}: not proven ({reason})"
