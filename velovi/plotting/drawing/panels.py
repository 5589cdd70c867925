"""Panels: the axes of a figure laid out on the page, with their lines, ticks and titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from velovi.plotting.drawing.page import BELOW, Page, Panel
from velovi.plotting.drawing.props import Props, pick
from velovi.plotting.drawing.rulers import Ruler
from velovi.plotting.drawing.ticks import set_ticks
from velovi.plotting.drawing.words import Lettering, Words

_CLEAR = 2.0  # points between a panel and a colour key
_STANDOFF = 8.0  # pixels between tick labels and an axis's title


def make_panels(page: Page, traces: Sequence[Props], *, dots: bool) -> None:
    """Make a panel for each pair of axes that a trace uses.

    Parameters
    ----------
    page, traces
        The page and what will be drawn on it.
    dots
        Whether clouds of points become pictures of dots.
    """
    pairs = [(str(pick(one, "xaxis", "x")), str(pick(one, "yaxis", "y"))) for one in traces]
    for pair in dict.fromkeys(pairs or [("x", "y")]):
        x, y = page.rulers[pair[0]], page.rulers[pair[1]]
        over = bool(pick(x.props, "overlaying") or pick(y.props, "overlaying"))
        base = _layer(page, 0.5 if over else 0.0)
        layers = (base, base, base)
        if dots:
            layers = (base, _layer(page, 0.1, bare=True), _layer(page, 0.2, bare=True))
            layers[1].set_rasterized(True)
        page.panels[pair] = Panel(x, y, *layers)


def _layer(page: Page, level: float, *, bare: bool = False) -> Axes:
    axes = page.figure.add_axes((0.1, 0.1, 0.8, 0.8), label=f"layer {len(page.figure.axes)}")
    axes.set_zorder(level)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.set_autoscale_on(False)
    if bare:
        axes.set_axis_off()
    return axes


def settle(page: Page) -> None:
    """Fix the limits of all axes, those that match in common."""
    groups: dict[str, list[Ruler]] = {}
    for ruler in page.rulers.values():
        groups.setdefault(str(pick(ruler.props, "matches", ruler.name)), []).append(ruler)
    for ruler in page.rulers.values():
        group = groups[str(pick(ruler.props, "matches", ruler.name))]
        ruler.settle(one for one in group if one is not ruler)


def place(page: Page, panel: Panel, room: Bbox, taken: Sequence[Bbox] = ()) -> None:
    """Lay one panel out.

    Parameters
    ----------
    page, panel
        What.
    room
        The plots, in points.
    taken
        Colour keys, beside which the panel finds its place.
    """
    left, width = _stretch(page, panel.x, room.x0, room.width)
    bottom, height = _stretch(page, panel.y, room.y0, room.height)
    whole = _beside(Bbox.from_bounds(left, bottom, width, height), taken)
    box, x_limits, y_limits = _proportioned(panel, whole)
    place = (
        box.x0 / page.width,
        box.y0 / page.height,
        box.width / page.width,
        box.height / page.height,
    )
    for axes in panel.layers:
        axes.set_position(place)
        axes.set_xlim(*x_limits)
        axes.set_ylim(*y_limits)
    for ruler, axis, length in (
        (panel.x, panel.axes.xaxis, box.width),
        (panel.y, panel.axes.yaxis, box.height),
    ):
        set_ticks(axis, ruler, page.pen, length)
        other = panel.y if ruler is panel.x else panel.x
        if _drawn_elsewhere(page, ruler, other):
            axis.set_tick_params(
                labelbottom=False, labeltop=False, labelleft=False, labelright=False, length=0
            )
    for axes in panel.layers:  # ticks may widen what is seen
        axes.set_xlim(*x_limits)
        axes.set_ylim(*y_limits)


def _beside(box: Bbox, taken: Sequence[Bbox]) -> Bbox:
    """What is left of a panel's place beside the colour keys that reach into it."""
    left, right = box.x0, box.x1
    for one in taken:
        if one.x1 <= box.x0 or one.x0 >= box.x1 or one.y1 <= box.y0 or one.y0 >= box.y1:
            continue
        if one.x0 + one.x1 < box.x0 + box.x1:
            left = max(left, one.x1 + _CLEAR)
        else:
            right = min(right, one.x0 - _CLEAR)
    return Bbox([[left, box.y0], [right, box.y1]]) if right - left > box.width / 3 else box


def _stretch(page: Page, ruler: Ruler, start: float, length: float) -> tuple[float, float]:
    """Where an axis lies on the page; one over another lies where that one does."""
    under = page.rulers.get(str(pick(ruler.props, "overlaying", "")), ruler)
    low, high = under.domain
    return start + low * length, (high - low) * length


def _proportioned(panel: Panel, box: Bbox) -> tuple[Bbox, tuple[float, float], tuple[float, float]]:
    """Box and limits with one scale for both axes, where the figure ties them."""
    x_limits, y_limits = panel.x.limits, panel.y.limits
    tied = {str(pick(panel.x.props, "scaleanchor")), str(pick(panel.y.props, "scaleanchor"))}
    if not tied & {panel.x.name, panel.y.name}:
        return box, x_limits, y_limits
    ratio = float(pick(panel.y.props, "scaleratio", 1.0))
    wide, tall = abs(x_limits[1] - x_limits[0]), abs(y_limits[1] - y_limits[0]) * ratio
    unit = max(wide / box.width, tall / box.height)  # data units a point
    if not unit:
        return box, x_limits, y_limits
    if "domain" in (pick(panel.x.props, "constrain"), pick(panel.y.props, "constrain")):
        size = wide / unit, tall / unit
        left = box.x0 + (box.width - size[0]) / 2
        bottom = box.y0 + (box.height - size[1]) / 2
        return Bbox.from_bounds(left, bottom, *size), x_limits, y_limits
    x_limits = _widened(x_limits, unit * box.width)
    return box, x_limits, _widened(y_limits, unit * box.height / ratio)


def _widened(limits: tuple[float, float], length: float) -> tuple[float, float]:
    middle, half = (limits[0] + limits[1]) / 2, length / 2
    forwards = limits[1] >= limits[0]
    return (middle - half, middle + half) if forwards else (middle + half, middle - half)


def _drawn_elsewhere(page: Page, ruler: Ruler, other: Ruler) -> bool:
    """Whether an axis that several panels share has its ticks at another of them."""
    panels = [key for key in page.panels if ruler.name in key]
    anchor = str(pick(ruler.props, "anchor", "y" if ruler.name.startswith("x") else "x"))
    own = {name for key in panels for name in key}
    return len(panels) > 1 and anchor in own and anchor != other.name


def dress(page: Page, panel: Panel) -> None:
    """Ground, frame and zero lines of a panel."""
    for ruler, first, second in (
        (panel.x, "bottom", "top"),
        (panel.y, "left", "right"),
    ):
        line = {"color": pick(ruler.props, "linecolor"), "width": pick(ruler.props, "linewidth", 1)}
        look = page.pen.line(line)
        shown = bool(pick(ruler.props, "showline", False)) and ruler.visible
        side = second if pick(ruler.props, "side", first) == second else first
        both = bool(pick(ruler.props, "mirror", False))
        for edge in (first, second):
            panel.axes.spines[edge].set(
                visible=shown and (both or edge == side),
                color=look["color"],
                linewidth=look["linewidth"],
            )
        if bool(pick(ruler.props, "zeroline", False)) and ruler.visible:
            zero = {
                "color": pick(ruler.props, "zerolinecolor", "#c9cfda"),
                "width": pick(ruler.props, "zerolinewidth", 1),
            }
            draw = panel.axes.axvline if ruler is panel.x else panel.axes.axhline
            draw(0.0, **page.pen.line(zero), zorder=BELOW)


class AxisTitle:
    """The title of an axis, beyond its labels."""

    def __init__(self, page: Page, panel: Panel, ruler: Ruler) -> None:
        self.page, self.panel, self.ruler = page, panel, ruler
        font = pick(ruler.props, "title.font")
        first = "bottom" if ruler is panel.x else "left"
        self.side = str(pick(ruler.props, "side", first))
        turn = {"left": 90.0, "right": 90.0}.get(self.side, 0.0)
        look = Lettering(page.pen.size(font), page.pen.color(font), turn)
        across = {"left": "right", "right": "left"}.get(self.side, "center")
        down = {"bottom": "top", "top": "bottom"}.get(self.side, "middle")
        self.words = Words(
            page.figure,
            str(pick(ruler.props, "title.text")),
            look,
            at=(0.5, 0.5),
            transform=page.figure.transFigure,
            across=across,  # type: ignore[arg-type]
            down=down,  # type: ignore[arg-type]
            align="center",
        )

    def place(self, renderer: Any) -> None:
        """Put it beyond the labels as they are now."""
        axes = self.panel.axes
        axis = axes.xaxis if self.ruler is self.panel.x else axes.yaxis
        frame, labels = axes.get_window_extent(renderer), axis.get_tightbbox(renderer)
        outer = frame if labels is None else Bbox.union([frame, labels])
        pixel = self.page.figure.dpi / 72
        away = float(pick(self.ruler.props, "title.standoff", _STANDOFF)) * self.page.pen.text
        away = min(away, 0.6 * self.words.size) * pixel
        middle = (frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2
        spot = {
            "bottom": (middle[0], outer.y0 - away),
            "top": (middle[0], outer.y1 + away),
            "left": (outer.x0 - away, middle[1]),
            "right": (outer.x1 + away, middle[1]),
        }[self.side]
        x, y = self.page.figure.transFigure.inverted().transform(spot)
        self.words.at = (float(x), float(y))


def axis_titles(page: Page) -> list[AxisTitle]:
    """The titles of all axes that are seen and have one, each once."""
    found = []
    for panel in page.panels.values():
        for ruler, other in ((panel.x, panel.y), (panel.y, panel.x)):
            text = pick(ruler.props, "title.text")
            if text and ruler.visible and not _drawn_elsewhere(page, ruler, other):
                found.append(AxisTitle(page, panel, ruler))
    return found
