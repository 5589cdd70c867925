"""Legends and colour keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox

from velovi.plotting.drawing.page import Entry, Page
from velovi.plotting.drawing.pen import ColorRange
from velovi.plotting.drawing.props import Props, pick
from velovi.plotting.drawing.rulers import Ruler
from velovi.plotting.drawing.ticks import set_ticks
from velovi.plotting.drawing.words import Across, Lettering, Words, common_settings, plain

_WIDEST = 0.45  # share of the page that a legend beside the plots may take
_SMALLEST = 0.6  # to this share a legend's letters shrink to find room
_SHRINK = 0.92
_SHORTEST = 22.0  # points of a colour key
_PAD = 10.0  # pixels between the plots and a colour key


def legend_entries(page: Page) -> list[Entry]:
    """What the legend lists, in its order; nothing when the figure wants none."""
    shown = pick(page.layout, "showlegend")
    entries = sorted(page.entries, key=lambda one: one.rank)
    if shown is False or not entries or (shown is None and len(entries) < 2):
        return []
    if "reversed" in str(pick(page.layout, "legend.traceorder", "")):
        entries.reverse()
    return entries


def legend(page: Page, room: Bbox) -> Legend | None:
    """Write the legend beside the plots, in columns and small enough to fit on the page.

    Parameters
    ----------
    page
        Where.
    room
        The plots, in points.
    """
    entries = legend_entries(page)
    if not entries:
        return None
    props, flat = pick(page.layout, "legend", {}), pick(page.layout, "legend.orientation") == "h"
    scale, drawn = 1.0, None
    while drawn is None or scale > _SMALLEST:
        columns = len(entries) if flat else 1
        while True:
            if drawn is not None:
                drawn.remove()
            drawn = _written(page, props, entries, columns, scale)
            extent = _points(page, drawn)
            if flat and extent.width > room.width and columns > 1:
                columns -= 1
            elif not flat and extent.height > page.height * 0.98 and columns < len(entries):
                columns += 1
            else:
                break
        if flat or extent.width <= _WIDEST * page.width:
            break
        scale *= _SHRINK
    return drawn


def _points(page: Page, artist: Any) -> Bbox:
    """What an artist covers, in points."""
    renderer = page.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    extent = artist.get_window_extent(renderer)
    return Bbox(extent.get_points() * 72 / page.figure.dpi)


def _written(page: Page, props: Props, entries: list[Entry], columns: int, scale: float) -> Legend:
    pen, font = page.pen, pick(props, "font", {})
    # matplotlib fills columns, Plotly rows
    order = [i for column in range(columns) for i in range(column, len(entries), columns)]
    x, y = float(pick(props, "x", 1.02)), float(pick(props, "y", 1.0))
    title = str(pick(props, "title.text", ""))
    dots = all(isinstance(e.sign, Line2D) and e.sign.get_linestyle() == "None" for e in entries)
    drawn = page.figure.legend(
        [entries[i].sign for i in order],
        [plain(entries[i].name) for i in order],
        loc=_corner(props, x, y),
        bbox_to_anchor=(x, y),
        bbox_transform=page.paper,
        ncols=columns,
        fontsize=pen.size(font) * scale,
        labelcolor=pen.color(font),
        title=plain(title) or None,
        title_fontsize=pen.size(pick(props, "title.font", font)) * scale,
        alignment="left",
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.35,
        handlelength=0.8 if dots else 1.5,
        handletextpad=0.5,
        labelspacing=0.3,
        columnspacing=1.2,
    )
    drawn.get_title().set_color(pen.color(pick(props, "title.font", font)))
    for index, text in zip(order, drawn.get_texts(), strict=True):
        text.set(**common_settings(entries[index].name))
    drawn.get_title().set(**common_settings(title))
    return drawn


def _corner(props: Props, x: float, y: float) -> Any:
    """The corner of the legend that stands on its anchor, as matplotlib calls it."""
    across, down = str(pick(props, "xanchor", "left")), str(pick(props, "yanchor", "auto"))
    if across == "auto":
        across = "left" if x <= 1 / 3 else "right" if 2 / 3 <= x <= 1 else "center"
    if down == "auto":
        down = "bottom" if y <= 1 / 3 else "top" if y >= 2 / 3 else "middle"
    level = {"top": "upper", "middle": "center", "bottom": "lower"}[down]
    return "center" if (level, across) == ("center", "center") else f"{level} {across}"


class ColorKey:
    """The key of one colour scale, beside or above the plots.

    Parameters
    ----------
    page
        Where.
    scale
        Its colours, bounds and look.
    """

    def __init__(self, page: Page, scale: ColorRange) -> None:
        self.page, self.scale = page, scale
        self.props: Mapping[str, Any] = scale.key or {}
        self.flat = pick(self.props, "orientation") == "h"
        self.axes: Axes = page.figure.add_axes((0.9, 0.1, 0.02, 0.5), zorder=8)
        self._paint()
        title = str(pick(self.props, "title.text", ""))
        font = pick(self.props, "title.font")
        look = Lettering(page.pen.size(font), page.pen.color(font))
        self.title = Words(
            page.figure,
            title,
            look,
            at=(0.0, 0.0),
            transform=page.figure.transFigure,
            across=self._side(),
            down="bottom",
        )
        if not title:
            self.title.set_visible(False)

    def _side(self) -> Across:
        side: Across = "right" if pick(self.props, "xanchor") == "right" else "left"
        return side

    def _paint(self) -> None:
        colors = self.scale.colors(np.linspace(0.0, 1.0, 256))[None]  # (1, steps, 4)
        low, high = self.scale.low, self.scale.high
        if self.flat:
            self.axes.imshow(colors, aspect="auto", extent=(low, high, 0, 1))
        else:
            image = colors.swapaxes(0, 1)
            self.axes.imshow(image, aspect="auto", extent=(0, 1, low, high), origin="lower")
        width = float(pick(self.props, "outlinewidth", 0)) * self.page.pen.mark
        for spine in self.axes.spines.values():
            spine.set(linewidth=width, visible=width > 0)

    def place(self, room: Bbox) -> None:
        """Put it where the figure wants it, given the plots (in points)."""
        page, pen = self.page, self.page.pen
        thick = float(pick(self.props, "thickness", 30)) * pen.text
        side = room.width if self.flat else room.height
        share = float(pick(self.props, "len", 1.0))
        pixels = pick(self.props, "lenmode") == "pixels"
        length = max(share * pen.text if pixels else share * side, _SHORTEST)
        lines = len(self.title.lines) * 1.25 * self.title.size + 0.4 * self.title.size
        title = lines if self.title.get_visible() else 0.0
        pad = float(pick(self.props, "xpad", _PAD)) * pen.text
        x = room.x0 + float(pick(self.props, "x", 0.5 if self.flat else 1.02)) * room.width
        y = room.y0 + float(pick(self.props, "y", 1.02 if self.flat else 0.5)) * room.height
        width, height = (length, thick) if self.flat else (thick, length)
        whole = height + title if self.flat else max(height, title + _SHORTEST)
        across = str(pick(self.props, "xanchor", "center" if self.flat else "left"))
        down = str(pick(self.props, "yanchor", "bottom" if self.flat else "middle"))
        left = x - {"left": -pad, "center": width / 2, "right": width + pad}.get(across, 0.0)
        bottom = y - {"bottom": 0.0, "middle": whole / 2, "top": whole}.get(down, 0.0)
        tall = whole - title
        self.axes.set_position(
            (left / page.width, bottom / page.height, width / page.width, tall / page.height)
        )
        self.title.at = (
            (left + width if across == "right" else left) / page.width,
            (bottom + tall + 0.35 * self.title.size) / page.height,
        )
        self._mark(length if self.flat else tall)

    def extent(self, renderer: Any) -> Bbox:
        """What it covers with its ticks, in points."""
        boxes = [self.axes.get_window_extent(renderer)]
        axis = self.axes.xaxis if self.flat else self.axes.yaxis
        boxes += [one for one in (axis.get_tightbbox(renderer),) if one is not None]
        return Bbox(Bbox.union(boxes).get_points() * 72 / self.page.figure.dpi)

    def _mark(self, length: float) -> None:
        """Ticks along the key."""
        axis, other = (
            (self.axes.xaxis, self.axes.yaxis) if self.flat else (self.axes.yaxis, self.axes.xaxis)
        )
        other.set_major_locator(NullLocator())
        limits = (self.scale.low, self.scale.high)
        name = "x" if self.flat else "y"
        props = {"side": "bottom" if self.flat else "right", "showgrid": False, **self.props}
        ruler = Ruler(name, props, limits=limits)
        set_ticks(axis, ruler, self.page.pen, length)
        (self.axes.set_xlim if self.flat else self.axes.set_ylim)(*limits)


def color_keys(page: Page) -> list[ColorKey]:
    """The keys of all colour scales that want one."""
    return [ColorKey(page, one) for one in page.ranges]
