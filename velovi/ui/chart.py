"""A chart of one gene, drawn by ``web/chart.js`` on a canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from velovi.plotting.chart import Chart, ChartAxis
from velovi.plotting.message import pack
from velovi.plotting.theme import FONT
from velovi.ui.components import visible_component
from velovi.ui.messages import AxisMessage, ChartHeader
from velovi.ui.selection import HOW, Outline
from velovi.ui.theme import browser_colors, current_theme

_MOST_CORNERS = 20_000
_chart = visible_component(
    "chart",
    '<div class="bar"></div><div class="stage" tabindex="0" role="img"><canvas></canvas>'
    '<div class="card" hidden></div></div>',
)


def draw_chart(
    chart: Chart,
    key: str,
    *,
    gene: str,
    alt: str,
    on_outline: Callable[[Outline], None] | None = None,
) -> None:
    """Put a chart on the page.

    Parameters
    ----------
    chart
        What is drawn.
    key
        Names it; a reader's zoom is kept under it until the gene changes.
    gene
        Whose chart it is.
    alt
        What a screen reader says.
    on_outline
        Hears of an outline that the reader drew; without it, dragging zooms along the time.
    """
    message = chart_message(chart, key, gene=gene, alt=alt, outlines=on_outline is not None)

    def outlined() -> None:
        outline = as_outline(st.session_state[key].get("outlined"), gene)
        if outline is not None and on_outline is not None:
            on_outline(outline)

    _chart(key=key, data=message, on_outlined_change=outlined)


def chart_message(chart: Chart, key: str, *, gene: str, alt: str, outlines: bool) -> bytes:
    """What ``web/chart.js`` needs to draw a chart; parameters as for :func:`draw_chart`."""
    stack = chart.stack
    header: ChartHeader = {
        "name": key,
        "gene": gene,
        "stamp": f"{gene}|{key}",
        "theme": browser_colors(current_theme()),
        "font": FONT,
        "alt": alt,
        "height": chart.height,
        "outlines": outlines,
        "x": _axis(chart.x),
        "y": _axis(chart.y),
        "points": [
            {"name": item.name, "color": item.color, "opacity": item.opacity, "size": item.size}
            for item in chart.points
        ],
        "areas": [{"color": item.color} for item in chart.areas],
        "lines": [
            {"name": item.name, "color": item.color, "width": item.width, "dash": item.dash}
            for item in chart.lines
        ],
        "layers": [{"name": name, "color": stack.colors[name]} for name in stack.layers]
        if stack
        else [],
    }
    parts = {f"points{i}": np.stack([item.x, item.y], 1) for i, item in enumerate(chart.points)}
    parts |= {f"areas{i}": item.path for i, item in enumerate(chart.areas)}
    parts |= {f"lines{i}": item.path for i, item in enumerate(chart.lines)}
    if stack:
        parts["bins"] = stack.x
        parts |= {f"layers{i}": values for i, values in enumerate(stack.layers.values())}
    return pack(header, parts)


def _axis(axis: ChartAxis) -> AxisMessage:
    return {"title": axis.title, "low": float(axis.low), "high": float(axis.high)}


def as_outline(said: Any, gene: str) -> Outline | None:
    """What the browser says, if it is an outline in the chart of this gene; else None."""
    if not isinstance(said, dict) or said.get("gene") != gene or said.get("how") not in HOW:
        return None
    try:
        x, y = (np.asarray(said.get(name), dtype=float) for name in ("x", "y"))
    except (TypeError, ValueError):
        return None
    if x.ndim != 1 or x.shape != y.shape or not 3 <= len(x) <= _MOST_CORNERS:
        return None
    return Outline(x, y, said["how"]) if np.isfinite([x, y]).all() else None
