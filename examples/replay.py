"""Recomputes every verdict of an evidence file and says where it disagrees; it needs nothing but Python.

    python examples/replay.py .kpi/latest/evidence.json

A line for each target that disagrees, then how many were recomputed. Exit code: 0 where all of those agree, 1 where one
does not, 2 for a file that can't be read. The formulas are in ``replay_formulas.py`` next to this file; all of it is
in words in docs/evidence.md, "Recomputing a verdict".
"""

import itertools
import math
import operator
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import replay_formulas as formulas
import replay_looks
import replay_slices
from replay_bounds import SHARE, wrong_bound
from replay_file import MALFORMED, read, told
from replay_formulas import Judged, NoFigure
from replay_quantiles import percentile

Json = dict[str, Any]
UNDECIDED, MOST_PROCESSES = "INCONCLUSIVE", 1000
HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Unknown(Exception):
    """The evidence does not hold what a verdict follows from."""


def number(value: Any) -> float:
    """A number of the evidence: null is unknown, "inf" is beyond every bound."""
    return math.nan if value is None else float(value)


def holds(target: Json, value: float) -> bool:
    """Whether a value keeps the bound."""
    return bool(HOLDS[target["op"]](value, target["limit"]))


def decided(target: Json, low: float, high: float) -> str:
    """The verdict of an interval; a value is its own."""
    wrong, right = (high, low) if target["op"] in ("<", "<=") else (low, high)
    return "PASS" if holds(target, wrong) else UNDECIDED if holds(target, right) else "FAIL"


def judge_exact(target: Json, value: float) -> Judged:
    """A figure without noise."""
    return decided(target, value, value), value, value, value, 1


def judge_processes(target: Json, settings: Json, own: Json, other: Json | None) -> Judged:
    """Processes, or pairs of them where two recipes are compared; what is undecided, on as many as it had."""
    metric, drift, sizes = target["metric"], settings["drift"], settings["looks"]
    sure = target["confidence"] or settings["confidence"]
    factor = (target["usd_per_hour"] or 1.0) if metric in formulas.PRICED else 1.0
    mine, *others = [formulas.estimates(metric, m["processes"], settings) for m in (own, other) if m]
    if other is None:
        estimates = [(factor * value, factor * low, factor * high) for value, low, high in mine]
        disturbed = [bool(process["disturbed"]) for process in own["processes"]]
    else:
        pairs = [(mine[i], others[0][j]) for i, j in own["pairs"].get(other["id"].rpartition(":")[2], ())]
        estimates = [(a[0] / b[0], a[1] / b[2], a[2] / b[1]) for a, b in pairs]
        disturbed, drift = [False] * len(pairs), settings.get("pair_drift", 0.0)
    undecided = target["verdict"] == UNDECIDED or target.get("would_be") == UNDECIDED
    found = SHARE.search(target["bound"])
    share = float(found[1]) / 100 if found else 0.5
    passing = failing = settings["against"]
    if found or sure != settings["confidence"]:
        passing, failing = (replay_looks.plan(sizes, sure, chance) for chance in (1 - share, share))
    return replay_looks.sign_test(
        partial(holds, target),
        target["op"] in ("<", "<="),
        share,
        estimates[: target["n"]] if undecided else estimates,
        disturbed,
        replay_looks.looks_of(sizes, passing, failing, drift),
    )


def judge_scores(target: Json, confidence: float, own: Json, other: Json | None) -> Judged:
    """A comparison is decided by its interval, a plain bound by its value."""
    metric, relation = target["metric"], target["relation"]
    stated: Any = (target.get("better"), tuple(map(number, target.get("ends", ()))), target.get("paired"))
    better, ends, paired = formulas.SCORES.get(metric.partition("[")[0], stated)
    if not ends:
        raise Unknown("scores of a metric that is not known")
    scores, others = own["scores"][metric], other["scores"][metric] if other else []
    clusters = own["processes"][0]["details"].get("clusters") if own["processes"] and "[" not in metric else None
    clusters = (own.get("groups") or {}).get(metric) or clusters
    weights = own.get("weights", {}).get(metric)
    jackknife = target.get("jackknife", bool((own.get("groups") or {}).get(metric)))
    effect = ((other or {}).get("effects") or {}).get(metric, math.inf)
    low, high = formulas.score_bounds(relation, scores, others, ends, confidence, clusters, weights, jackknife, effect)
    value, second = math.fsum(scores) / len(scores), math.fsum(others) / max(len(others), 1)
    if relation in ("drop", "gain"):
        sign = 1 if (relation == "gain") is (better == "higher") else -1
        value, (low, high) = sign * (value - second), sorted((sign * low, sign * high))
    elif other:
        value = value / second if second else math.inf
    verdict, units = (
        decided(target, *((low, high) if other or paired else (value, value))),
        clusters or range(len(scores)),
    )
    few = "[" in metric and len(set(units)) < formulas.LEAST_OF_A_SLICE
    # A plain bound passes where a sign test of the median could.
    few |= verdict == "PASS" and not (other or paired) and len(set(units)) < replay_slices.least_to_pass(confidence)
    return UNDECIDED if few else verdict, value, low, high, len(set(units))


def judge_machines(target: Json, evidence: Json) -> Judged:
    """The median cost on one machine over that on another, from a fixed number of processes of each."""
    kpis, confidence = {kpi["name"]: kpi for kpi in evidence["kpis"]}, evidence["settings"]["confidence"]
    file, _, second = str(target.get("file", "")).partition(" over ")
    n = next(n for n in itertools.count(2) if (n + 1) / 2**n <= (1 - confidence) / 2)
    sides: list[list[float]] = []  # USD of all processes, then of the undisturbed ones, of one machine, then the other
    for name, begin in ((target["kpi"], file), (kpis[target["kpi"]]["against"], second or file)):
        kpi, prefix = kpis[name], f"{begin}:" if evidence.get("machines") else ""
        wanted = (f"{kpi['workload']}/{kpi['recipe']}", target["scenario"])
        found = [m for m in evidence["measurements"] if (m["recipe"], m["scenario"]) == wanted]
        found = [m for m in found if m["id"].startswith(prefix)]
        ran = ([m for m in found if m["device"] == kpi["device"]] + found)[0]["processes"] if found else []
        costs = [(kpi["usd_per_hour"] * formulas.PRICED["cost.per_million"](p), p["disturbed"]) for p in ran]
        sides += [[cost for cost, _ in costs], [cost for cost, spoilt in costs if not spoilt]]
    own, own_clean, other, other_clean = sides
    if not own or not other:
        raise NoFigure("the processes of one of the two machines are missing")
    low = sorted(own_clean[:n])[1] / sorted(other[:n])[-2] if min(len(own_clean), len(other)) >= n else -math.inf
    high = sorted(own[:n])[-2] / sorted(other_clean[:n])[1] if min(len(own), len(other_clean)) >= n else math.inf
    value = percentile(own[:n]) / percentile(other[:n])
    return decided(target, low, high), value, low, high, min(len(own), len(other), n)


def judge_files(target: Json, evidence: Json) -> Judged:
    """The size of the files, or its ratio to another recipe's, as measurements or other targets state it."""
    sizes = []
    for recipe in filter(None, (target["recipe"], target["versus"])):
        key = (target["workload"], recipe, "size", "value")
        lines = [t for t in evidence["targets"] if (t["workload"], t["recipe"], t["metric"], t["relation"]) == key]
        stated = [m["artifact_bytes"] for m in evidence["measurements"] if m["recipe"] == f"{key[0]}/{recipe}"]
        stated += [line["value"] for line in lines if line is not target and line["value"] is not None]
        sizes.append(float(stated[0]) if stated else math.nan)
    value = sizes[0] / sizes[1] if target["versus"] else sizes[0]
    judged = judge_exact(target, number(target["value"]) if math.isnan(value) else value)
    if math.isnan(value) and judged[0] == target["verdict"]:
        raise Unknown("sizes that nothing else states")
    return judged


def judge(target: Json, evidence: Json) -> Judged:
    """The verdict that follows from the samples."""
    metric, settings = target["metric"], evidence["settings"]
    if metric in ("size", "cost.ratio"):
        return (judge_files if metric == "size" else judge_machines)(target, evidence)
    by_id = evidence["by_id"]
    recipes = [f"{target['workload']}/{recipe}" for recipe in (target["recipe"], target["versus"]) if recipe]
    used = [by_id.get(name, {}) for name in target["measurements"]][: len(recipes)]
    if [m.get("recipe") for m in used] != recipes or used[0]["artifact"] != target["artifact"]:
        raise NoFigure("the measurements that it names are not there, or are of something else")
    own, other = used[0], used[1] if target["versus"] else None
    if metric in formulas.PROOFS:
        return judge_exact(target, float(formulas.PROOFS[metric](own["processes"][0])))
    if metric in formulas.SCORES or metric in own["scores"]:
        every = replay_slices.judge_every if metric.endswith("=*]") else None
        return (partial(every, judge_scores) if every else judge_scores)(target, settings["confidence"], own, other)
    if formulas.of_processes(metric):
        return judge_processes(target, settings, own, other)
    raise Unknown("figures of a metric that is not known")


def standing(target: Json, evidence: Json) -> Iterator[str]:
    """Whether the verdict counts on this machine; merged evidence does not say it of each machine."""
    metric, verdict = target["metric"], target["verdict"]
    if metric in ("size", "cost.ratio") or evidence.get("machines"):
        return
    kpi = {kpi["name"]: kpi for kpi in evidence["kpis"]}[target["kpi"]]
    used = [evidence["by_id"][name]["processes"] for name in target["measurements"] if name in evidence["by_id"]]
    integers = any(process["proof"]["integer_ops"] for process in itertools.chain(*used))
    why = kpi["elsewhere"] if formulas.of_processes(metric) else kpi.get("other_processor", "")
    if verdict == "OFF_TARGET" and not why:
        yield "OFF_TARGET on the machine that was promised"
    if verdict != "OFF_TARGET" and why and (formulas.of_processes(metric) or integers):
        yield f"{verdict} on another machine than promised: {why}"
    if no_device(target, evidence):
        yield f"{verdict} on a machine without {target['device']}"


def no_device(target: Json, evidence: Json) -> bool:
    """Whether the machine shows no such device at all."""
    machine: Json = (evidence.get("machines") or {}).get(target.get("file")) or evidence["machine"]
    return {"gpu": not machine["gpus"], "npu": not machine["npus"]}.get(target["device"], False)


def unmeasured(target: Json, evidence: Json) -> Iterator[str]:
    """Whether a target rightly has no value: there is no device, or its processes do not give the figure."""
    metric, verdict, wanted = target["metric"], target["verdict"], f"{target['workload']}/{target['recipe']}"
    if verdict == UNDECIDED:
        raise Unknown("not measured")
    kpi = {kpi["name"]: kpi for kpi in evidence["kpis"]}[target["kpi"]]
    if target.get("cause") == "first-release" and verdict in ("PASS", "OFF_TARGET") and kpi.get("first_release"):
        if any(m["recipe"] == f"{target['workload']}/{target['versus']}" for m in evidence["measurements"]):
            yield f"{verdict} as a first release, but {target['versus']} was measured"
    elif verdict not in ("UNAVAILABLE", "ERROR"):
        yield f"{verdict} without a value"
    elif target.get("cause") == "no-device" and not no_device(target, evidence):
        yield f"{verdict} because of a missing {target['device']}, which the machine has"
    elif verdict == "ERROR" or not no_device(target, evidence):
        found = [m for m in evidence["measurements"] if (m["recipe"], m["scenario"]) == (wanted, target["scenario"])]
        try:
            for process in itertools.chain(*(m["processes"] for m in found if formulas.of_processes(metric))):
                formulas.estimate(metric, process, evidence["settings"]["confidence"])
        except NoFigure:
            return
        raise Unknown(f"{verdict} whose cause left no samples")


def wrong_surety(target: Json, settings: Json) -> Iterator[str]:
    """Whether processes were judged as surely as the attempt asks for."""
    if "processes" in target["of"] and target["metric"] != "cost.ratio":
        spent = 6 / (math.pi * target.get("attempt", 1)) ** 2 if settings.get("attempts") == "spent" else 1.0
        if not math.isclose(target["confidence"], 1 - (1 - settings["confidence"]) * spent, rel_tol=1e-9):
            yield f"attempt {target.get('attempt', 1)} is judged at {target['confidence']}"


def examine(target: Json, evidence: Json) -> Iterator[str]:
    """What a target says that does not follow from the samples."""
    yield from wrong_bound(target)
    said, reason = target["verdict"], target["reason"]
    if target["value"] is None and not target["measurements"]:
        yield from unmeasured(target, evidence)
        return
    yield from standing(target, evidence)
    yield from wrong_surety(target, evidence["settings"])
    try:
        verdict, *figures = judge(target, evidence)
    except NoFigure as error:
        yield f"{said} is said, but {error}"
        return
    if verdict != (target.get("would_be", verdict) if said == "OFF_TARGET" else said):
        yield f"{said} is said{f' ({reason})' if reason else ''}, {verdict} follows"
    scored = "samples" in target["of"]
    for name, found in zip(("value", "low", "high", "n"), figures, strict=True):
        if scored and name != "value" and evidence["settings"].get("scores") != formulas.METHOD:
            continue  # an earlier version made these intervals otherwise
        stated = number(target[name])
        if str(stated) != str(found) and not math.isclose(stated, found, rel_tol=1e-6, abs_tol=1e-12):
            yield f"{name} {stated:.9g} is said, {found:.9g} follows"


def replay(evidence: Json) -> tuple[list[str], Counter[str]]:
    """Lines that say where the evidence disagrees; how many targets were not recomputed, by reason."""
    settings, looks, left = evidence["settings"], evidence["settings"]["looks"], Counter[str]()
    if not all(type(size) is int and 0 < size <= MOST_PROCESSES for size in looks) or looks != sorted(set(looks)):
        raise ValueError("its looks are no growing numbers of processes")
    lines, spent = [], replay_looks.false_decisions(looks, settings["against"])
    if spent > 1 - settings["confidence"] + 1e-12:
        lines.append(f"settings: looks with {settings['against']} exceptions are wrong {100 * spent:.3g} % of the time")
    if Counter(target["verdict"] for target in evidence["targets"]) != evidence["verdicts"]:
        lines.append("verdicts: they are not those of the targets")
    for target in evidence["targets"]:
        found: list[str] = []
        try:
            found.extend(examine(target, evidence))
        except Unknown as error:
            left[str(error)] += 1
        except MALFORMED as error:
            raise ValueError(f"target {target['id']!r}: {told(error)}") from error
        lines += [f"{target['id']}: {'; '.join(found)}"] if found else []
    return lines, left


def main(arguments: Sequence[str]) -> int:
    """Prints what disagrees; returns the exit code."""
    path = arguments[0] if arguments else ".kpi/latest/evidence.json"
    try:
        evidence = read(path)
        lines, left = replay(evidence)
    except (OSError, *MALFORMED) as error:
        print(f"{path} can't be read: {told(error)}", file=sys.stderr)
        return 2
    total, rest = len(evidence["targets"]), sum(left.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in left.most_common())
    for line in [*lines, f"{total} targets, {total - rest} recomputed, {rest} not{f' ({reasons})' if rest else ''}"]:
        print("".join(character if character.isprintable() else "?" for character in line))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
