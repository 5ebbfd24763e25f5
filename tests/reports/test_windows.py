"""How a long process went, as the page draws it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.units import TIME
from harness.reports.html.parts import Drawing
from harness.reports.html.scale import Axis
from harness.reports.html.windows import long_processes
from tests.support.plain_evidence import as_evidence
from tests.support.report_cases import recorded, windows


def drawing(columns: dict[str, list[float | None]], part_s: float = 60.0, **more: float) -> Drawing:
    made = recorded()
    timed = next(m for m in made["measurements"] if m["scenario"] == "single-stream")
    timed["processes"][0]["details"] |= {"windows": columns, "part_s": part_s, "span_s": columns["end_s"][-1]}
    timed["processes"][0] |= more
    (found,) = long_processes("stripes", as_evidence(made))
    return found


def fields(spec: Any) -> list[str]:
    """The titles of all upward axes."""
    inner = [title for layer in spec.get("layer", []) for title in fields(layer)]
    own = (spec.get("encoding", {}).get("y", {}).get("axis") or {}).get("title")
    return [own, *inner] if own else inner


def test_latency_temperature_and_clock_are_bands_over_one_axis_of_time() -> None:
    found = drawing(windows())
    assert list(dict.fromkeys(fields(found.spec))) == ["latency (ms)", "temperature (°C)", "clock (MHz)"]
    edges = [
        layer["encoding"]["y"]["scale"]["range"]
        for layer in found.spec["layer"]
        if "scale" in layer.get("encoding", {}).get("y", {})
    ]
    # None lies over another.
    assert all(top < bottom for bottom, top in edges)
    assert edges[0][0] < edges[1][1]
    assert edges[1][0] == found.height
    assert found.table.rows == (
        ("process 1", "12.0 ms", "23.8 ms", "16.0 ms", "31.7 ms", "45.4 °C to 84.6 °C", "2 400 MHz to 1 212 MHz"),
    )
    assert "process 1: median 12.0 ms at first, 23.8 ms at last" in found.alt
    assert "shows no" not in found.caption
    assert "'last minute'" in str(found.spec)


def test_what_the_machine_does_not_show_is_said() -> None:
    columns = windows(60)
    columns |= {"celsius": [None] * 60, "mhz": [None] * 60}
    found = drawing(columns, part_s=200.0)
    assert set(fields(found.spec)) == {"latency (ms)"}
    assert found.caption.endswith("The machine shows no temperature and no clock.")
    assert found.table.rows[0][-2:] == ("not shown by the machine",) * 2
    assert "'last third'" in str(found.spec)


def test_a_last_part_that_went_on_is_shaded_whole() -> None:
    found = drawing(windows(), elapsed_s=300.0)
    assert "'last 300 s'" in str(found.spec)
    assert {"a": 5.0, "b": 10.0} in found.spec["layer"][0]["data"]["values"]


@pytest.mark.parametrize(("seconds", "unit", "high"), [(100.0, "s", 112.0), (600.0, "min", 11.2)])
def test_an_axis_of_many_minutes_is_in_minutes(seconds: float, unit: str, high: float) -> None:
    axis = Axis.over("since then", TIME, [0.0, seconds], may_log=False).of_long_times()
    assert (axis.unit, axis.title) == (unit, f"since then ({unit})")
    assert axis.high == pytest.approx(high)
    assert axis(seconds) == pytest.approx(seconds if unit == "s" else seconds / 60)
