"""Heat maps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from velovi.plotting.drawing.page import AREAS, Page, Panel, gid
from velovi.plotting.drawing.pen import color_range
from velovi.plotting.drawing.props import Numbers, Props, listed, pick
from velovi.plotting.drawing.rulers import Ruler
from velovi.plotting.drawing.words import Lettering, Words

_MOST_FIELDS = 4000  # drawn one by one; more become a picture of dots
_DARK = 0.45  # lightness below which a text is white
_VALUE = re.compile(r"%\{(z|text)(?::([^}]*))?\}")


def heatmap(page: Page, panel: Panel, trace: Props, number: int) -> None:
    """Draw a heat map; a value that is missing leaves its field empty."""
    values = np.array(
        [[np.nan if one is None else float(one) for one in row] for row in pick(trace, "z", [])]
    )
    if values.size == 0:
        return
    if pick(trace, "transpose", False):
        values = values.T
    scale = color_range(trace, values.ravel(), page.layout, letter="z", key=True)
    page.remember(scale)
    colors = scale.colored(values.ravel(), float(pick(trace, "opacity", 1.0)))
    colors = colors.reshape(*values.shape, 4)
    colors[~np.isfinite(values)] = 0.0
    edges_x, edges_y = (
        _edges(ruler, pick(trace, letter), count)
        for letter, ruler, count in zip("xy", (panel.x, panel.y), values.shape[::-1], strict=True)
    )
    gap = max(float(pick(trace, "xgap", 0)), float(pick(trace, "ygap", 0))) * page.pen.mark
    drawn = panel.axes.pcolormesh(
        edges_x,
        edges_y,
        colors,
        zorder=AREAS,
        rasterized=values.size > _MOST_FIELDS,
        edgecolors="white" if gap else "face",
        linewidth=gap or 0.1,
        antialiased=bool(gap),
    )
    drawn.set_gid(gid("map", pick(trace, "name", number)))
    panel.x.see(edges_x)
    panel.y.see(edges_y)
    _texts(page, panel, trace, values, colors, (edges_x, edges_y))


def _edges(ruler: Ruler, given: Any, count: int) -> Numbers:
    """Borders of the fields (count + 1,), from their middles or from the borders themselves."""
    if given is None:
        return np.asarray(np.arange(count + 1) - 0.5, dtype=np.float64)
    at = ruler.places(given)
    if len(at) == count + 1:
        return at
    if count == 1:
        return np.array([at[0] - 0.5, at[0] + 0.5])
    between = (at[:-1] + at[1:]) / 2
    return np.concatenate([[2 * at[0] - between[0]], between, [2 * at[-1] - between[-1]]])


def _texts(
    page: Page,
    panel: Panel,
    trace: Props,
    values: Numbers,
    colors: Numbers,
    edges: tuple[Numbers, Numbers],
) -> None:
    template = str(pick(trace, "texttemplate", ""))
    if not template:
        return
    texts = [listed(row) for row in pick(trace, "text", [])]
    middles = [(one[:-1] + one[1:]) / 2 for one in edges]
    font = pick(trace, "textfont", {})
    for row, column in np.argwhere(np.isfinite(values)):
        own = str(texts[row][column]) if texts else ""
        text = _filled(template, float(values[row, column]), own)
        light = colors[row, column, :3] @ (0.299, 0.587, 0.114) > _DARK
        ink = page.pen.color(font if pick(font, "color") or light else {"color": "#ffffff"})
        page.notes.append(
            Words(
                page.figure,
                text,
                Lettering(page.pen.size(font, 0.9), ink),
                at=(float(middles[0][column]), float(middles[1][row])),
                transform=panel.over.transData,
            )
        )


def _filled(template: str, value: float, text: str) -> str:
    """The template with its value and text."""

    def fill(found: re.Match[str]) -> str:
        return text if found[1] == "text" else format(value, found[2] or "g")

    return _VALUE.sub(fill, template)
