"""Points, lines, areas and texts of scatter traces."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Patch

from velovi.plotting.drawing.page import ABOVE, AREAS, LINES, POINTS, Entry, Page, Panel, gid
from velovi.plotting.drawing.pen import Rgba, point_colors, rgba
from velovi.plotting.drawing.props import Numbers, Props, listed, numbers, pick, several, spread
from velovi.plotting.drawing.words import Across, Down, Lettering, Words

_SYMBOLS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "cross": "P",
    "x": "X",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "star": "*",
    "pentagon": "p",
    "hexagon": "h",
    "line-ns": "|",
    "line-ew": "_",
    "cross-thin": "+",
    "x-thin": "x",
}
_STEPS = {"hv": "steps-post", "vh": "steps-pre", "hvh": "steps-mid"}
_HALF_CLEAR = 0.5  # opacity of an area that has no colour of its own
_LEGEND_MARKER = 8.0  # pixels


def scatter(page: Page, panel: Panel, trace: Props, number: int) -> None:
    """Draw a scatter trace, SVG or WebGL."""
    x, y = coordinates(panel, trace)
    mode = str(pick(trace, "mode", "lines+markers" if len(x) <= 20 else "lines"))
    if pick(trace, "stackgroup"):
        mode = str(pick(trace, "mode", "lines"))
    color = _main_color(trace, page.default_color(number), mode)
    opacity = float(pick(trace, "opacity", 1.0))
    web = pick(trace, "type") == "scattergl"
    y, area = _areas(panel, trace, x, y, color, opacity)
    _see(panel, trace, x, y, mode)
    sign: dict[str, Any] = {"color": rgba(color), "linestyle": "none"}
    if "lines" in mode:
        sign |= _line(page, panel, trace, x, y, color, opacity, POINTS if web else LINES)
    error_bars(page, panel, trace, x, y, color)
    if "markers" in mode:
        sign |= _markers(page, panel, trace, x, y, color, opacity, web)
    if "text" in mode:
        _texts(page, panel, trace, x, y)
    page.entries += entry(trace, number, area or Line2D([], [], **sign))


def coordinates(panel: Panel, trace: Props) -> tuple[Numbers, Numbers]:
    """Places of a trace's points (points,); a missing axis counts from 0."""
    given = {letter: pick(trace, letter) for letter in "xy"}
    counts = [len(listed(one)) for one in given.values() if one is not None]
    count = min(counts, default=0)
    found: list[Numbers] = []
    for letter, ruler in (("x", panel.x), ("y", panel.y)):
        if given[letter] is None:
            start, step = pick(trace, f"{letter}0", 0.0), pick(trace, f"d{letter}", 1.0)
            counted = float(start) + float(step) * np.arange(count)
            found.append(np.asarray(counted, dtype=np.float64))
        else:
            found.append(ruler.places(given[letter])[:count])
    return found[0], found[1]


def _main_color(trace: Props, default: str, mode: str) -> Any:
    marker, line = pick(trace, "marker.color"), pick(trace, "line.color")
    first, second = (line, marker) if "lines" in mode else (marker, line)
    return next((one for one in (first, second) if isinstance(one, str)), default)


def _see(panel: Panel, trace: Props, x: Numbers, y: Numbers, mode: str) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    points = "markers" in mode or "text" in mode
    panel.x.see(x[known], room=points)
    panel.y.see(y[known], room=True)
    if pick(trace, "fill") == "tozeroy" and known.any():
        panel.y.see(np.zeros(1))


def _areas(
    panel: Panel, trace: Props, x: Numbers, y: Numbers, color: Any, opacity: float
) -> tuple[Numbers, Patch | None]:
    """Fill below or beside the line; a stacked trace stands on those before it.

    Returns
    -------
    Heights (points,), and what stands for the area in the legend.
    """
    group, fill = str(pick(trace, "stackgroup", "")), pick(trace, "fill")
    before = panel.areas.get(f"stack {group}" if group else "last")
    if group:
        fill = pick(trace, "fill", "tonexty")
        y = np.nan_to_num(y) + (np.interp(x, *before) if before is not None and len(x) else 0.0)
        panel.areas[f"stack {group}"] = (x, y)
    panel.areas["last"] = (x, y)
    if fill in (None, "none") or not len(x):
        return y, None
    given = pick(trace, "fillcolor")
    shade = rgba(color, _HALF_CLEAR * opacity) if given is None else rgba(given, opacity)
    (area,) = panel.axes.fill(
        *_outline(str(fill), x, y, before),
        facecolor=shade,
        linewidth=0,
        zorder=AREAS if pick(trace, "type") == "scatter" else POINTS,
    )
    area.set_gid(gid("area", pick(trace, "name", "")))
    return y, Patch(facecolor=shade, linewidth=0)


def _outline(
    fill: str, x: Numbers, y: Numbers, before: tuple[Numbers, Numbers] | None
) -> tuple[Numbers, Numbers]:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if fill in ("toself", "tonext") or not x.size:
        return x, y
    if fill in ("tonexty", "tonextx") and before is not None:
        other = np.isfinite(before[0]) & np.isfinite(before[1])
        other_x, other_y = before[0][other][::-1], before[1][other][::-1]
        return np.concatenate([x, other_x]), np.concatenate([y, other_y])
    if fill.endswith("x"):
        return np.concatenate([[0.0], x, [0.0]]), np.concatenate([y[:1], y, y[-1:]])
    return np.concatenate([x[:1], x, x[-1:]]), np.concatenate([[0.0], y, [0.0]])


def _line(
    page: Page,
    panel: Panel,
    trace: Props,
    x: Numbers,
    y: Numbers,
    color: Any,
    opacity: float,
    level: float,
) -> dict[str, Any]:
    line = pick(trace, "line", {})
    look = page.pen.line(line, color)
    look["color"] = faded(look["color"], opacity)
    if pick(trace, "connectgaps", False):
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
    (drawn,) = (panel.over if level == POINTS else panel.axes).plot(
        x,
        y,
        **look,
        drawstyle=_STEPS.get(str(pick(line, "shape")), "default"),
        zorder=level,
        solid_joinstyle="round",
        clip_on=bool(pick(trace, "cliponaxis", True)),
    )
    drawn.set_gid(gid("line", pick(trace, "name", "")))
    return look


def _markers(
    page: Page,
    panel: Panel,
    trace: Props,
    x: Numbers,
    y: Numbers,
    color: Any,
    opacity: float,
    web: bool,
) -> dict[str, Any]:
    marker = pick(trace, "marker", {})
    colors, scale = point_colors(marker, len(x), page.layout, color, opacity)
    page.remember(scale)
    sizes = marker_sizes(marker, len(x)) * page.pen.mark
    symbols = np.array([str(one) for one in spread(pick(marker, "symbol"), len(x), "circle")])
    edges, edge_width = _edges(page, marker, len(x))
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(sizes)
    for symbol in dict.fromkeys(symbols[known]):
        mine = known & (symbols == symbol)
        style, hollow = _style(symbol)
        rim: Any = colors[mine] if hollow or edges is None else edges[mine]
        dots = panel.points is not panel.axes
        drawn = (panel.points if web or dots else panel.axes).scatter(
            x[mine],
            y[mine],
            s=_alike(sizes[mine] ** 2),
            marker=style,
            facecolors="none" if hollow else _alike(colors[mine]),
            edgecolors=_alike(rim),
            linewidths=edge_width or (page.pen.mark if hollow else 0.0),
            zorder=POINTS if web else LINES + 0.5,
            clip_on=bool(pick(trace, "cliponaxis", True)),
        )
        drawn.set_gid(gid("points", pick(trace, "name", "")))
    return _marker_sign(page, marker, colors, symbols, edges, edge_width)


def _alike(values: Numbers) -> Any:
    """The first alone where all are the same: a vector file then needs a fifth of the room."""
    return values[:1] if (values == values[0]).all() else values


def marker_sizes(marker: Props, count: int) -> Numbers:
    """Diameter of each marker in pixels (count,)."""
    given = pick(marker, "size", 6.0)
    if not several(given):
        return np.full(count, float(given))
    sizes = numbers(given)[:count] / float(pick(marker, "sizeref", 1.0))
    if pick(marker, "sizemode") == "area":
        sizes = np.sqrt(np.maximum(sizes, 0.0))
    return np.maximum(sizes, float(pick(marker, "sizemin", 0.0)))


def _edges(page: Page, marker: Props, count: int) -> tuple[Numbers | None, float]:
    width = pick(marker, "line.width", 0.0)
    width = float(np.max(numbers(width), initial=0.0)) * page.pen.mark
    if not width:
        return None, 0.0
    return point_colors(pick(marker, "line", {}), count, page.layout, "#444444")[0], width


def _style(symbol: str) -> tuple[MarkerStyle, bool]:
    name = symbol.removesuffix("-dot").removesuffix("-open")
    return MarkerStyle(_SYMBOLS.get(name, "o")), symbol.endswith("-open") or "thin" in symbol


def _marker_sign(
    page: Page,
    marker: Props,
    colors: Numbers,
    symbols: np.ndarray,
    edges: Numbers | None,
    edge_width: float,
) -> dict[str, Any]:
    constant = pick(page.layout, "legend.itemsizing") == "constant"
    size = pick(marker, "size", 6.0)
    size = _LEGEND_MARKER if constant or several(size) else min(float(size), 16.0)
    style, hollow = _style(symbols[0] if len(symbols) else "circle")
    shown = tuple(colors[0]) if len(colors) else page.pen.color(None)
    if several(pick(marker, "color")) and not pick(marker, "opacity"):
        shown = (*shown[:3], 1.0)
    return {
        "marker": style,
        "markersize": size * page.pen.text,
        "markerfacecolor": "none" if hollow else shown,
        "markeredgecolor": shown if edges is None or not len(edges) else tuple(edges[0]),
        "markeredgewidth": edge_width or (page.pen.mark if hollow else 0.0),
    }


def error_bars(
    page: Page, panel: Panel, trace: Props, x: Numbers, y: Numbers, color: Any = None
) -> None:
    """Draw the error bars of points or of the ends of bars, each (points,)."""
    for letter, at in (("x", x), ("y", y)):
        error = pick(trace, f"error_{letter}")
        if error is None or not pick(error, "visible", True) or pick(error, "array") is None:
            continue
        above = numbers(error["array"])[: len(at)]
        below = numbers(pick(error, "arrayminus", above))[: len(at)]
        spans = np.nan_to_num(np.stack([below, above]))
        line = {"color": pick(error, "color"), "width": pick(error, "thickness", 1.5)}
        look = page.pen.line(line, color)
        which: dict[str, Any] = {f"{letter}err": spans}
        panel.axes.errorbar(
            x,
            y,
            **which,
            fmt="none",
            ecolor=look["color"],
            elinewidth=look["linewidth"],
            capsize=float(pick(error, "width", 4.0)) * page.pen.mark,
            capthick=look["linewidth"],
            zorder=ABOVE,
        )
        ruler = panel.x if letter == "x" else panel.y
        ruler.see(np.concatenate([at - spans[0], at + spans[1]]), room=True)


def _texts(page: Page, panel: Panel, trace: Props, x: Numbers, y: Numbers) -> None:
    font = pick(trace, "textfont", {})
    colors = spread(pick(font, "color"), len(x), page.pen.ink)
    sizes = spread(pick(font, "size"), len(x), page.pen.base)
    texts = spread(pick(trace, "text"), len(x), "")
    positions = spread(pick(trace, "textposition"), len(x), "middle center")
    radius = marker_sizes(pick(trace, "marker", {}), len(x)) * page.pen.mark / 2
    if "markers" not in str(pick(trace, "mode")):
        radius[:] = 0.0
    for at, text, color, size, where, away in zip(
        zip(x, y, strict=True), texts, colors, sizes, positions, radius, strict=True
    ):
        if text and np.isfinite(at).all():
            look = Lettering(float(size) * page.pen.text, rgba(color))
            page.notes.append(beside(page, panel, str(text), look, at, str(where), float(away)))


def beside(
    page: Page, panel: Panel, text: str, look: Lettering, at: Any, where: str, away: float
) -> Words:
    """A text by a point: where Plotly's ``textposition`` says, ``away`` points from it."""
    down, across = (*where.split(), "center")[:2]
    sides: dict[str, tuple[Across, float]] = {
        "left": ("right", -away),
        "center": ("center", 0.0),
        "right": ("left", away),
    }
    levels: dict[str, tuple[Down, float]] = {
        "top": ("bottom", away),
        "middle": ("middle", 0.0),
        "bottom": ("top", -away),
    }
    (ha, dx), (va, dy) = sides.get(across, sides["center"]), levels.get(down, levels["middle"])
    return Words(
        page.figure,
        text,
        look,
        at=(float(at[0]), float(at[1])),
        transform=panel.over.transData,
        across=ha,
        down=va,
        shift=(dx, dy),
    )


def faded(color: Rgba, opacity: float) -> Rgba:
    """A colour with another opacity on top of its own."""
    return (*color[:3], color[3] * opacity)


def entry(trace: Props, number: int, sign: Any) -> list[Entry]:
    """The trace's line in the legend; none when it wants none."""
    if not pick(trace, "showlegend", True):
        return []
    name = str(pick(trace, "name", f"trace {number}"))
    return [Entry(name, sign, int(pick(trace, "legendrank", 1000)))]
