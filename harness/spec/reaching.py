"""How a machine is reached, as it is written: in ``kpis.toml``, or on the command line."""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.errors import SpecError, suggest
from harness.spec.catalog import reach
from harness.spec.model import Spec


def reach_mistake(text: str) -> str:
    """What is wrong with a way to a machine such as ``ssh:user@host``; empty where nothing is."""
    scheme, colon, address = text.partition(":")
    if not colon:
        return f'"{text}" names no way to a machine; write one such as "ssh:user@host"'
    if scheme not in reach():
        return suggest(scheme, reach(), "way to a machine")
    try:
        reach()[scheme].check(address)
    except ValueError as error:
        return str(error)
    return ""


def reached_by(spec: Spec, options: Iterable[str]) -> Spec:
    """The spec with its machines reached as ``MACHINE=ssh:user@host`` says; SpecError holds every mistake in these."""
    ways, problems = {}, []
    for option in options:
        name, equals, way = option.partition("=")
        if not equals:
            problems.append(f'--kpi-reach: "{option}" is not of the form MACHINE=ssh:user@host')
        elif name not in spec.machines:
            problems.append(f"--kpi-reach: {suggest(name, spec.machines, 'machine')}")
        elif wrong := reach_mistake(way):
            problems.append(f"--kpi-reach {name}: {wrong}")
        ways[name] = way
    if problems:
        raise SpecError(problems)
    return spec.with_reach(ways)
