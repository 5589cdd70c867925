"""A whole figure: everything drawn, then moved until it fits on the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from velovi.errors import OptionError
from velovi.plotting.drawing import panels as panel_parts
from velovi.plotting.drawing.bars import bars
from velovi.plotting.drawing.crowding import part_labels, part_names, shrink_titles
from velovi.plotting.drawing.keys import ColorKey, color_keys, legend
from velovi.plotting.drawing.maps import heatmap
from velovi.plotting.drawing.marks import annotation, shape
from velovi.plotting.drawing.page import Page, Panel
from velovi.plotting.drawing.pen import Pen
from velovi.plotting.drawing.points import scatter
from velovi.plotting.drawing.props import Props, listed, pick
from velovi.plotting.drawing.rulers import read_rulers
from velovi.plotting.drawing.words import Across, Lettering, Words
from velovi.plotting.static import FONTS, PictureOptions

MOST_POINTS = 20_000  # beyond, clouds of points become pictures of dots in a vector file
KINDS = ("scatter", "scattergl", "bar", "heatmap")
_EDGE = 3.0  # points between the page's edge and what is on it
_ROUNDS = 5
_LEAST = 0.2  # share of the page that the plots always have
_SALT = "velovi"  # makes the names inside an SVG the same each time

Draw = Callable[[Page, Panel, Props, int], None]
_ALONE: dict[str, Draw] = {"scatter": scatter, "scattergl": scatter, "heatmap": heatmap}


def settings(options: PictureOptions) -> dict[str, Any]:
    """Matplotlib's settings while a figure is drawn and written."""
    generic = {f"font.{name}": list(FONTS[name]) for name in ("sans-serif", "serif")}
    return {
        **generic,
        "font.family": [options.font, "DejaVu Sans"],  # the last has nearly every sign
        "font.size": options.font_size_pt,
        "text.parse_math": False,
        "text.usetex": False,
        "text.hinting": "no_hinting",
        "axes.unicode_minus": True,
        "svg.fonttype": "none",
        "svg.hashsalt": _SALT,
        "pdf.fonttype": 42,
        "path.simplify": False,
    }


def written(source: go.Figure, options: PictureOptions) -> bytes:
    """Draw a figure and write it as a file.

    Matplotlib's settings belong to the whole process; the caller sees to it that one figure is
    drawn at a time.
    """
    with mpl.rc_context(settings(options)):  # type: ignore[arg-type]
        page = drawn(source, options)
        target = io.BytesIO()
        page.figure.savefig(
            target,
            format=options.kind,
            dpi=options.dpi,
            metadata=_metadata(options.kind),
            transparent=options.transparent,
            facecolor="none" if options.transparent else "white",
        )
        return target.getvalue()


def _metadata(kind: str) -> dict[str, Any]:
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    return dated.get(kind, {})


def drawn(source: go.Figure, options: PictureOptions) -> Page:
    """Draw a figure on a page of the size asked for; it fits on it as far as it can."""
    traces = [one.to_plotly_json() for one in source.data]
    traces = [one for one in traces if pick(one, "visible", True) is not False]
    _check(traces)
    layout = source.layout.to_plotly_json()
    pixels = [round(one / 25.4 * options.dpi) for one in (options.width_mm, options.height_mm)]
    size = (options.width_mm / 25.4, options.height_mm / 25.4)
    if options.kind == "png":  # a whole number of pixels, with a hair against rounding down
        size = ((pixels[0] + 1e-6) / options.dpi, (pixels[1] + 1e-6) / options.dpi)
    figure = Figure(figsize=size, dpi=options.dpi)
    FigureCanvasAgg(figure)
    pen = Pen.of(layout, options.font_size_pt, size[1] * 72)
    page = Page(figure, layout, pen, read_rulers(layout, traces))
    dots = options.kind != "png" and _count(traces) > MOST_POINTS
    panel_parts.make_panels(page, traces, dots=dots)
    _draw_traces(page, traces)
    panel_parts.settle(page)
    for panel in page.panels.values():
        panel_parts.dress(page, panel)
    for one in listed(pick(layout, "shapes")):
        shape(page, one)
    for one in listed(pick(layout, "annotations")):
        annotation(page, one)
    _fit(page)
    return page


def _check(traces: Sequence[Props]) -> None:
    unknown = sorted({str(one["type"]) for one in traces} - set(KINDS))
    if unknown:
        raise OptionError(
            "this kind of figure cannot be drawn for paper",
            where="figure",
            expected="traces of the kinds " + ", ".join(KINDS),
            found=", ".join(unknown),
            remedy="Save it as a PNG with the camera in the figure's tool bar",
        )


def _count(traces: Sequence[Props]) -> int:
    """How many markers there are."""
    return sum(
        np.size(pick(one, "x", ()))
        for one in traces
        if str(one["type"]).startswith("scatter") and "markers" in str(pick(one, "mode", "markers"))
    )


def _draw_traces(page: Page, traces: Sequence[Props]) -> None:
    for pair, panel in page.panels.items():
        mine = [
            (number, one)
            for number, one in enumerate(traces)
            if (pick(one, "xaxis", "x"), pick(one, "yaxis", "y")) == pair
            and pick(one, "visible", True) is True
        ]
        together = [each for each in mine if each[1]["type"] == "bar"]
        for number, one in mine:
            if one["type"] != "bar":
                _ALONE[str(one["type"])](page, panel, one, number)
            elif number == together[0][0]:  # bars of one panel stand beside each other
                bars(page, panel, together)


def _fit(page: Page) -> None:
    """Give the plots what is left of the page beside all that is written around them."""
    titles, keys = panel_parts.axis_titles(page), color_keys(page)
    heading = _heading(page)
    words = [*page.notes, *(one.words for one in titles), *(one.title for one in keys)]
    for one in [*words, *([heading] if heading else [])]:
        page.figure.add_artist(one)
    renderer = page.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    head = 0.0 if heading is None else _points(page, heading, renderer).height + _EDGE
    margins = [_EDGE, _EDGE, _EDGE, _EDGE + head]  # left, bottom, right, top
    box = None
    for _ in range(_ROUNDS):
        room = _room(page, margins)
        page.plots.set_points(room.get_points() / [page.width, page.height])
        for key in keys:
            key.place(room)
        taken = [key.extent(renderer) for key in keys]
        for panel in page.panels.values():
            panel_parts.place(page, panel, room, taken)
        part_labels(page, renderer)
        part_names(page, renderer)
        shrink_titles(page.titles, renderer)
        if box is not None:
            box.remove()
        box = legend(page, room)
        for title in titles:
            title.place(renderer)
        around = _around(page, words, keys, box, renderer)
        over = (
            _EDGE - around.x0,
            _EDGE - around.y0,
            around.x1 - page.width + _EDGE,
            around.y1 - page.height + _EDGE + head,
        )
        margins = [max(0.0, one + more) for one, more in zip(margins, over, strict=True)]
        if max(abs(one) for one in over) < 0.2:
            break


def _room(page: Page, margins: Sequence[float]) -> Bbox:
    left, bottom, right, top = margins
    width = max(page.width - left - right, _LEAST * page.width)
    height = max(page.height - bottom - top, _LEAST * page.height)
    return Bbox.from_bounds(left, bottom, width, height)


def _around(
    page: Page, words: Sequence[Words], keys: Sequence[ColorKey], box: Any, renderer: Any
) -> Bbox:
    """All that is seen, in points."""
    found = [_points(page, one, renderer) for one in words if one.get_visible()]
    for axes in [*(one.axes for one in page.panels.values()), *(one.axes for one in keys)]:
        found.append(_points(page, axes, renderer))
        for axis in (axes.xaxis, axes.yaxis):
            extent = axis.get_tightbbox(renderer) if axis.get_visible() else None
            if extent is not None:
                found.append(Bbox(extent.get_points() * 72 / page.figure.dpi))
    if box is not None:
        found.append(_points(page, box, renderer))
    return Bbox.union(found)


def _points(page: Page, artist: Any, renderer: Any) -> Bbox:
    return Bbox(artist.get_window_extent(renderer).get_points() * 72 / page.figure.dpi)


def _heading(page: Page) -> Words | None:
    """The figure's title, above all else."""
    text = pick(page.layout, "title.text")
    if not text:
        return None
    font = pick(page.layout, "title.font")
    look = Lettering(page.pen.size(font, 1.3), page.pen.color(font))
    share = float(pick(page.layout, "title.x", 0.05))
    across: Across = "left" if share <= 1 / 3 else "right" if share >= 2 / 3 else "center"
    given = pick(page.layout, "title.xanchor", "auto")
    return Words(
        page.figure,
        str(text),
        look,
        at=(share, 1 - _EDGE / page.height),
        transform=page.figure.transFigure,
        across=across if given == "auto" else given,
        down="top",
    )
