"""Bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Patch, Rectangle

from velovi.plotting.drawing.page import BARS, Page, Panel, gid
from velovi.plotting.drawing.pen import point_colors, rgba
from velovi.plotting.drawing.points import beside, entry, error_bars
from velovi.plotting.drawing.props import Numbers, Props, finite, listed, numbers, pick, spread
from velovi.plotting.drawing.words import Lettering

_GAP = 0.2  # between bars, as a share of their distance
_TEXT_AWAY = 3.0  # pixels between a bar's end and its text


def bars(page: Page, panel: Panel, traces: Sequence[tuple[int, Props]]) -> None:
    """Draw all bar traces of a panel, side by side or on top of each other.

    Parameters
    ----------
    page, panel
        Where.
    traces
        The traces and their numbers in the figure.
    """
    mode = str(pick(page.layout, "barmode", "group"))
    places = [_places(panel, trace) for _, trace in traces]
    distance = _distance(places)
    gap = float(pick(page.layout, "bargap", _GAP))
    width = distance * (1 - gap) / (len(traces) if mode == "group" else 1)
    tops: dict[tuple[float, bool], float] = {}
    for rank, ((number, trace), (at, length)) in enumerate(zip(traces, places, strict=True)):
        shift = (rank - (len(traces) - 1) / 2) * width if mode == "group" else 0.0
        inner = width * (1 - float(pick(page.layout, "bargroupgap", 0.0)))
        widths = np.array(spread(pick(trace, "width"), len(at), inner), dtype=float)
        offset = pick(trace, "offset")
        lefts = at + (shift - widths / 2 if offset is None else float(offset))
        bases = np.array(spread(pick(trace, "base"), len(at), 0.0), dtype=float)
        if mode in ("stack", "relative"):
            bases = _stacked(at, length, tops)
        _draw(page, panel, trace, number, (lefts, widths, bases, length))


def _horizontal(trace: Props) -> bool:
    return str(pick(trace, "orientation", "v")) == "h"


def _places(panel: Panel, trace: Props) -> tuple[Numbers, Numbers]:
    """Where each bar stands, and how long it is (bars,)."""
    along, across = ("y", "x") if _horizontal(trace) else ("x", "y")
    ruler = panel.y if _horizontal(trace) else panel.x
    length = numbers(listed(pick(trace, across)))
    given = pick(trace, along)
    at = np.arange(len(length), dtype=float) if given is None else ruler.places(given)
    count = min(len(at), len(length))
    return at[:count], length[:count]


def _distance(places: Sequence[tuple[Numbers, Numbers]]) -> float:
    """Between bars that are nearest to each other; 1 where there are no two."""
    every = np.unique(finite(np.concatenate([at for at, _ in places]) if places else np.empty(0)))
    return float(np.min(np.diff(every))) if every.size > 1 else 1.0


def _stacked(at: Numbers, length: Numbers, tops: dict[tuple[float, bool], float]) -> Numbers:
    """Where each bar begins, on top of those before it; notes where it ends."""
    bases = np.zeros(len(at))
    for i, (place, size) in enumerate(zip(at, np.nan_to_num(length), strict=True)):
        key = (float(place), bool(size < 0))
        bases[i] = tops.get(key, 0.0)
        tops[key] = bases[i] + size
    return bases


def _draw(
    page: Page,
    panel: Panel,
    trace: Props,
    number: int,
    layout: tuple[Numbers, Numbers, Numbers, Numbers],
) -> None:
    lefts, widths, bases, lengths = layout
    marker, flat = pick(trace, "marker", {}), _horizontal(trace)
    colors, scale = point_colors(
        marker,
        len(lefts),
        page.layout,
        page.default_color(number),
        float(pick(trace, "opacity", 1.0)),
    )
    page.remember(scale)
    edge_width = float(np.max(numbers(pick(marker, "line.width", 0.0)), initial=0.0))
    edges = point_colors(pick(marker, "line", {}), len(lefts), page.layout, "#444444")[0]
    for left, width, base, length, color, edge in zip(
        lefts, widths, bases, lengths, colors, edges, strict=True
    ):
        if np.isfinite([left, length]).all():
            corner, size = (left, base), (width, length)
            bar = Rectangle(
                corner[::-1] if flat else corner,
                *(size[::-1] if flat else size),
                facecolor=tuple(color),
                edgecolor=tuple(edge),
                zorder=BARS,
                linewidth=edge_width * page.pen.mark,
            )
            bar.set_gid(gid("bar", pick(trace, "name", number)))
            panel.axes.add_patch(bar)
    along, across = (panel.y, panel.x) if flat else (panel.x, panel.y)
    along.see(np.concatenate([lefts, lefts + widths]))
    across.see(np.concatenate([bases, bases + lengths]))
    _room_above(across, bases + lengths)
    _bar_texts(page, panel, trace, layout)
    middles, ends = lefts + widths / 2, bases + lengths
    error_bars(page, panel, trace, *((ends, middles) if flat else (middles, ends)))
    shown = colors[0] if len(colors) else rgba(page.default_color(number))
    page.entries += entry(trace, number, Patch(facecolor=tuple(shown)))


def _room_above(ruler: Any, ends: Numbers) -> None:
    """Room beyond the bars' ends, but none below their foot."""
    known = finite(ends)
    if known.size:
        low, high = min(np.min(known), 0.0), max(np.max(known), 0.0)
        room = 0.05 * (high - low)
        ruler.see(np.array([low - room * (low < 0), high + room * (high > 0)]))


def _bar_texts(
    page: Page, panel: Panel, trace: Props, layout: tuple[Numbers, Numbers, Numbers, Numbers]
) -> None:
    lefts, widths, bases, lengths = layout
    texts = spread(pick(trace, "text"), len(lefts), "")
    position = str(pick(trace, "textposition", "auto"))
    if position == "none":
        return
    outside, flat, font = position != "inside", _horizontal(trace), pick(trace, "textfont", {})
    font = pick(trace, "outsidetextfont" if outside else "insidetextfont", font)
    look = Lettering(page.pen.size(font, 0.9), page.pen.color(font))
    away = _TEXT_AWAY * page.pen.text
    for text, middle, base, length in zip(texts, lefts + widths / 2, bases, lengths, strict=True):
        if not text or not np.isfinite([middle, length]).all():
            continue
        end, up = base + length, (length >= 0) == outside
        where = (
            ("middle right" if up else "middle left")
            if flat
            else ("top center" if up else "bottom center")
        )
        at = (end, middle) if flat else (middle, end)
        page.notes.append(beside(page, panel, str(text), look, at, where, away))
