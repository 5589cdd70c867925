"""Boxes and violins: how values spread in each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Patch

from velovi.figures.drawing.page import BARS, LINES, Page, Panel, gid
from velovi.figures.drawing.pen import rgba
from velovi.figures.drawing.points import entry, faded, marker_sizes
from velovi.figures.drawing.props import Numbers, Props, finite, listed, numbers, pick, several

_WIDTH = 0.6  # of a box, as a share of the distance between groups
_FILL = 0.5  # opacity of a filling that has no colour of its own
_FAR = 1.5  # quartile distances beyond which a value is drawn by itself
_GRID = 120  # heights at which a density is worked out


def spreads(page: Page, panel: Panel, traces: Sequence[tuple[int, Props]]) -> None:
    """Draw all box and violin traces of a panel."""
    side_by_side = any(
        pick(page.layout, f"{pick(trace, 'type')}mode") == "group" for _, trace in traces
    )
    width = 1.0 / len(traces) if side_by_side else 1.0
    for rank, (number, trace) in enumerate(traces):
        shift = (rank - (len(traces) - 1) / 2) * width if side_by_side else 0.0
        flat = str(pick(trace, "orientation", "v")) == "h"
        along, across = (panel.y, panel.x) if flat else (panel.x, panel.y)
        for at, values in _groups(panel, trace, flat):
            share = float(pick(trace, "width", 0.0)) or _WIDTH * width
            draw = _violin if pick(trace, "type") == "violin" else _box
            reach = draw(page, panel, trace, number, at + shift, values, share, flat)
            across.see(reach, room=True)
            along.see(np.array([at - 0.5, at + 0.5]))
        color = _colors(page, trace, number)
        page.entries += entry(trace, number, Patch(facecolor=color[1], edgecolor=color[0]))


def _groups(panel: Panel, trace: Props, flat: bool) -> list[tuple[float, Numbers]]:
    """Place of each group and its values."""
    along, across = ("y", "x") if flat else ("x", "y")
    ruler = panel.y if flat else panel.x
    given = pick(trace, across)
    if given is None and pick(trace, "q1") is not None:
        return _summarised(trace, ruler, along)
    values, places = numbers(listed(given)), pick(trace, along)
    if not several(places):
        start = pick(trace, f"{along}0", places if places is not None else pick(trace, "name", 0))
        at = ruler.place(start)
        return [(at if np.isfinite(at) else 0.0, finite(values))]
    found = ruler.places(places)[: len(values)]
    return [(float(at), finite(values[found == at])) for at in np.unique(finite(found))]


def _summarised(trace: Props, ruler: Any, along: str) -> list[tuple[float, Numbers]]:
    """Five numbers of each group, where the figure has no values themselves."""
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    parts = [numbers(listed(pick(trace, name, pick(trace, "q1")))) for name in names]
    given = pick(trace, along)
    places = np.arange(len(parts[0]), dtype=float) if given is None else ruler.places(given)
    return [(float(at), np.array(five)) for at, *five in zip(places, *parts, strict=True)]


def _colors(page: Page, trace: Props, number: int) -> tuple[Any, Any]:
    """Of the lines and of the filling."""
    default = pick(trace, "marker.color") or page.default_color(number)
    line = rgba(pick(trace, "line.color", default))
    fill = pick(trace, "fillcolor")
    return line, faded(line, _FILL) if fill is None else rgba(fill)


def _box(
    page: Page, panel: Panel, trace: Props, number: int, at: float, values: Numbers, width: float,
    flat: bool,
) -> Numbers:  # fmt: skip
    """Draw one box; returns what it spans."""
    if not values.size:
        return values
    line, fill = _colors(page, trace, number)
    q1, middle, q3 = np.percentile(values, [25, 50, 75])
    inside = values[(values >= q1 - _FAR * (q3 - q1)) & (values <= q3 + _FAR * (q3 - q1))]
    points = pick(trace, "boxpoints", "outliers")
    every = points is False or str(points) == "all"
    reach = values if every else inside
    far = values[(values < reach.min()) | (values > reach.max())]
    stats = {
        "q1": q1, "med": middle, "q3": q3, "whislo": reach.min(), "whishi": reach.max(),
        "fliers": far,
    }  # fmt: skip
    pen = {"color": line, "linewidth": float(pick(trace, "line.width", 2.0)) * page.pen.mark}
    size = float(marker_sizes(pick(trace, "marker", {}), 1)[0]) * page.pen.mark
    dots = {"marker": "o", "markersize": size, "markerfacecolor": line, "markeredgewidth": 0}
    drawn = panel.axes.bxp(
        [stats], [at], widths=width, orientation="horizontal" if flat else "vertical",
        patch_artist=True, manage_ticks=False, zorder=BARS + 0.1, capwidths=width / 2,
        boxprops={"facecolor": fill, "edgecolor": line, "linewidth": pen["linewidth"]},
        whiskerprops=pen, capprops=pen, medianprops=pen, flierprops=dots,
    )  # fmt: skip
    drawn["boxes"][0].set_gid(gid("box", pick(trace, "name", number)))
    return values


def _violin(
    page: Page, panel: Panel, trace: Props, number: int, at: float, values: Numbers, width: float,
    flat: bool,
) -> Numbers:  # fmt: skip
    """Draw one violin; returns what it spans."""
    if not values.size:
        return values
    line, fill = _colors(page, trace, number)
    heights, density = density_of(values, bandwidth=pick(trace, "bandwidth"))
    half = density / (density.max() or 1.0) * width * 0.5
    side = str(pick(trace, "side", "both"))
    left, right = at - half * (side != "positive"), at + half * (side != "negative")
    outline = np.concatenate([left, right[::-1]]), np.concatenate([heights, heights[::-1]])
    (area,) = panel.axes.fill(
        *(outline[::-1] if flat else outline), facecolor=fill, edgecolor=line, zorder=BARS + 0.1,
        linewidth=float(pick(trace, "line.width", 2.0)) * page.pen.mark,
    )  # fmt: skip
    area.set_gid(gid("violin", pick(trace, "name", number)))
    if pick(trace, "box.visible", False):
        inner = {**trace, "boxpoints": False, "fillcolor": "rgba(255,255,255,0.85)"}
        _box(page, panel, inner, number, at, values, 0.22 * width, flat)
    if pick(trace, "meanline.visible", False):
        mean = np.full(2, values.mean())
        reach = np.interp(mean, heights, left), np.interp(mean, heights, right)
        ends = (np.array([reach[0][0], reach[1][0]]), mean)
        panel.axes.plot(
            *(ends[::-1] if flat else ends), color=line, linewidth=page.pen.mark, zorder=LINES,
            linestyle="--",
        )  # fmt: skip
    return heights


def density_of(values: Numbers, *, bandwidth: Any = None) -> tuple[Numbers, Numbers]:
    """Density of values by a Gaussian kernel of Silverman's width.

    Returns
    -------
    Heights and the density there (heights,).
    """
    low, high = float(values.min()), float(values.max())
    width = float(bandwidth or 0.0)
    if not width:
        quartile = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.349
        spread = min(float(values.std()), quartile) if quartile else float(values.std())
        width = 0.9 * (spread or max(abs(low), 1.0) * 1e-3) * values.size**-0.2
    heights = np.linspace(low - 2 * width, high + 2 * width, _GRID)
    counts, edges = np.histogram(values, 512, (heights[0], heights[-1]))
    middles = (edges[:-1] + edges[1:]) / 2
    kernel = np.exp(-0.5 * ((heights[:, None] - middles[None]) / width) ** 2)  # (heights, bins)
    return heights, kernel @ counts / (values.size * width * np.sqrt(2 * np.pi))
