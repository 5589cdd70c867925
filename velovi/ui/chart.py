"""A chart of one gene, drawn on a canvas from the same figure that is printed and saved.

Plotly's page code takes a second and more to begin. These charts need points, stacked areas and
lines over two axes only, which ``web/chart.js`` draws at once; other figures stay with Plotly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from velovi.ui.components import visible_component
from velovi.ui.selection import HOW, Outline
from velovi.ui.theme import browser_colors, current_theme

_MOST_CORNERS = 20_000
_chart = visible_component(
    "chart",
    '<div class="bar"></div><div class="stage" tabindex="0" role="img"><canvas></canvas>'
    '<div class="card" hidden></div></div>',
)


def chart(
    figure: go.Figure,
    key: str,
    *,
    gene: str,
    alt: str,
    on_outline: Callable[[Outline], None] | None = None,
) -> None:
    """Draw a figure of points, stacked areas and paths with two axes of fixed range.

    Parameters
    ----------
    figure
        Its layout gives the height in pixels.
    key
        Names the chart; a reader's zoom is kept under it until the gene changes.
    gene
        Whose figure it is.
    alt
        What a screen reader says.
    on_outline
        Hears of an outline that the reader drew; without it, dragging zooms along the time.
    """
    message = {
        "figure": figure.to_json(validate=False),
        "stamp": f"{gene}|{key}",
        "theme": browser_colors(current_theme()),
        "outlines": on_outline is not None,
        "alt": alt,
    }

    def outlined() -> None:
        outline = as_outline(st.session_state[key].get("outlined"), gene)
        if outline is not None and on_outline is not None:
            on_outline(outline)

    _chart(key=key, data=message, on_outlined_change=outlined)


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
