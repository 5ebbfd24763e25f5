"""JUnit's XML: what pytest's own carries for each target, and that of evidence that was merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from harness.core.text import plain
from harness.core.units import DIMENSIONS
from harness.evidence.model import Evidence, TargetLine, TargetResult
from harness.evidence.text import why
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import Detected
from harness.spec.model import Spec, Target

if TYPE_CHECKING:
    import pytest


def names(metric: str, target: str) -> tuple[str, str]:
    """The class name and the name of a target's test case, wherever its test lies; ``target`` is its id."""
    kind = metric.partition(".")[0]
    return plain(f"kpi_tests.test_{kind}"), plain(f"test_{kind}[{target}]")


def name_case(config: pytest.Config, report: pytest.TestReport, spec: Spec, key: Sequence[str]) -> None:
    """Names the test case of a report in pytest's own XML, where there is one, as ``kpi merge`` names it."""
    xml = _of_pytest(config)
    if xml is None:
        return
    target = next(target for target in spec.targets if target.key == tuple(key))
    classname, name = names(target.metric_name, target.id)
    case = xml.node_reporter(report)
    case.add_attribute("classname", ".".join(filter(None, (xml.prefix, classname))))
    case.add_attribute("name", name)


def fail_run(config: pytest.Config, evidence: Evidence | None) -> None:
    """Adds a failed case to pytest's own XML, where there is one, for a run that is red though no test of it failed."""
    xml = _of_pytest(config)
    if xml is None or evidence is None:
        return
    said = "; ".join(f"{one.id} is {one.verdict}" for one in evidence.targets if one.verdict is not Verdict.PASS)
    case, said = xml.node_reporter("kpis that are not proven"), plain(said or "the run did not come to its end")
    case.attrs.update(classname="kpi_tests", name="every promised target is proven")
    failed = ET.Element("failure", message=said)
    failed.text = said
    case.append(failed)


def _of_pytest(config: pytest.Config) -> Any:
    from _pytest.junitxml import xml_key

    return config.stash.get(xml_key, None)


def properties(target: Target, answer: TargetResult, machine: Detected | None) -> Iterator[tuple[str, object]]:
    """What JUnit carries for each target of a run; ``machine`` is what the target's turned out to be."""
    on = f"{target.machine} on {machine.cpu}" if machine else f"{target.machine}, not reached"
    return _properties(answer, target.metric_name, target.bound.text, target.shown_in.format, on)


def _properties(
    answer: TargetResult, metric: str, bound: str, show: Callable[[float], str], machine: str
) -> Iterator[tuple[str, object]]:
    yield "kpi.verdict", answer.verdict.value
    yield "kpi.metric", metric
    yield "kpi.bound", bound
    if answer.n:
        yield "kpi.value", show(answer.value)
        yield "kpi.interval", f"{show(answer.low)} to {show(answer.high)}"
    yield "kpi.machine", machine
    if answer.artifact:
        yield "kpi.artifact", answer.artifact
    if answer.reason:
        yield "kpi.reason", answer.reason


def render(evidence: Evidence, problems: Sequence[str] = ()) -> str:
    """Merged evidence, judged as a release: each target is a test case under the name that it has in a run.

    What is not PASS, or has a problem, failed, or is an error. ``problems`` that are no target's own are a case each.
    """
    own = {target.id: [said for said in problems if said.startswith(f"{target.id}: ")] for target in evidence.targets}
    others = [said for said in problems if not any(said in known for known in own.values())]
    cases = [*(_case(target, evidence, own[target.id]) for target in evidence.targets), *map(_problem, others)]
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
    seconds = sum(target.seconds for target in evidence.targets)
    root = ET.Element("testsuites", name="kpi merge")
    about = {
        "name": "kpis",
        "tests": len(cases),
        "failures": counts["failure"],
        "errors": counts["error"],
        "skipped": 0,
    }
    about |= {"time": f"{seconds:.3f}", "timestamp": evidence.started}
    suite = ET.SubElement(root, "testsuite", {name: str(value) for name, value in about.items()})
    suite.extend(cases)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(target: TargetLine, evidence: Evidence, problems: Sequence[str]) -> ET.Element:
    classname, name = names(target.metric, target.id)
    case = ET.Element("testcase", classname=classname, name=name, time=f"{target.seconds:.3f}")
    there = evidence.reached.get(target.machine) or (evidence.machines or {}).get(target.file, evidence.machine)
    machine = f"{target.machine} on {there.cpu}"
    told = ET.SubElement(case, "properties")
    for key, value in _properties(target, target.metric, target.bound, DIMENSIONS[target.unit].format, machine):
        ET.SubElement(told, "property", name=key, value=plain(value))
    if target.verdict is not Verdict.PASS:
        said = plain(f"{target.verdict}: {why(target)}")
        what = ET.SubElement(case, "error" if target.verdict is Verdict.ERROR else "failure", message=said)
        what.text = said
    elif problems:
        said = plain("; ".join(problems))
        ET.SubElement(case, "failure", message=said).text = said
    return case


def _problem(said: str) -> ET.Element:
    case = ET.Element("testcase", classname="kpi_tests.merge", name=plain(said), time="0")
    ET.SubElement(case, "failure", message=plain(said)).text = plain(said)
    return case
