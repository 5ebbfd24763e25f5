"""Vega-Lite, the library that draws: its JavaScript from the package ``vl-convert-python``, the look of all figures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import Any

from harness.build.store import default_root
from harness.core.files import write_atomically

_DISTRIBUTION = "vl-convert-python"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
REMEDY = 'pip install "kpi-tests[report]"'
INK, MUTED, LINE, SURFACE = "var(--ink)", "var(--muted)", "var(--line)", "var(--surface)"
ACCENT, REGION, WARN = "var(--accent)", "var(--pass)", "var(--warn)"
_FONT = "system-ui, sans-serif"
_SMALL = 11


def installed() -> bool:
    """Whether figures can be drawn here."""
    try:
        import vl_convert  # noqa: F401 - a broken installation is none
    except ImportError:
        return False
    return True


@cache
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that needs no network and no ``eval``.

    Bundling takes seconds, so the script is kept in the store, with its digest; one that does not fit is made again.
    """
    kept = default_root() / "report" / f"vega-{metadata.version(_DISTRIBUTION)}.js"
    with suppress(OSError, UnicodeDecodeError):  # not made yet, or damaged
        digest, _, script = kept.read_text(encoding="utf-8").partition("\n")
        if digest == _digest(script):
            return script
    import vl_convert

    script = str(vl_convert.javascript_bundle(_SNIPPET))
    with suppress(OSError):  # a store that can't be written costs time, nothing else
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, f"{_digest(script)}\n{script}")
    return script


def _digest(script: str) -> str:
    return f"// {hashlib.sha256(script.encode()).hexdigest()}"


def chart(layers: Sequence[Mapping[str, Any]], height: int, **more: Any) -> dict[str, Any]:
    """Layers over each other, as wide as the page allows; colours are the page's own: a theme needs no redraw."""
    return {
        "width": "container",
        "height": height,
        "background": None,
        "padding": 2,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "layer": list(layers),
        "config": _config(),
        **more,
    }


def _config() -> dict[str, Any]:
    axis = {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFont": _FONT,
        "titleFont": _FONT,
        "labelFontSize": _SMALL,
        "titleFontSize": _SMALL + 1,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelLimit": 160,
        "titleLimit": 400,
    }
    return {
        "axis": axis,
        "font": _FONT,
        "view": {"stroke": None},
        "text": {"fill": MUTED, "font": _FONT, "fontSize": _SMALL},
        "legend": {"labelColor": MUTED, "titleColor": MUTED, "labelFont": _FONT, "titleFont": _FONT, "orient": "top"},
        "aria": False,  # the page itself says what a figure shows
    }


def layer(mark: str, values: Sequence[Mapping[str, Any]], encoding: Mapping[str, Any], **style: Any) -> dict[str, Any]:
    """One kind of mark with its own data."""
    return {"data": {"values": list(values)}, "mark": {"type": mark, **style}, "encoding": dict(encoding)}


def at(name: str, **more: Any) -> dict[str, Any]:
    """A number's place along an axis."""
    return {"field": name, "type": "quantitative", **more}


def tooltip(*names: str) -> list[dict[str, str]]:
    """Fields that hold ready words, under their own names."""
    return [{"field": name, "type": "nominal"} for name in names]


def rounded(value: float) -> float:
    """Five figures: more than a screen shows, fewer bytes than a double."""
    return float(f"{value:.5g}")
