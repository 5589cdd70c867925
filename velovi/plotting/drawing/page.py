"""The sheet of paper while it is drawn: its panels, and what goes into the keys beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import (
    Bbox,
    BboxTransformTo,
    Transform,
    TransformedBbox,
    blended_transform_factory,
)

from velovi.plotting.drawing.pen import COLORWAY, ColorRange, Pen
from velovi.plotting.drawing.props import Numbers, Props, pick
from velovi.plotting.drawing.rulers import Ruler
from velovi.plotting.drawing.words import Words

# what is painted over what, within a panel
BELOW, AREAS, BARS, LINES, POINTS, ABOVE = 0.2, 1.0, 1.2, 2.0, 3.0, 5.0


@dataclass
class Panel:
    """An x and a y axis and what is drawn between them.

    ``points`` and ``over`` are matplotlib's axes for clouds of points and for what lies over them:
    the same as ``axes``, unless the points are to become a picture of dots in a vector file.
    """

    x: Ruler
    y: Ruler
    axes: Axes
    points: Axes
    over: Axes
    areas: dict[str, tuple[Numbers, Numbers]] = field(default_factory=dict)

    @property
    def layers(self) -> list[Axes]:
        """Matplotlib's axes of this panel, each once."""
        return list(dict.fromkeys((self.axes, self.points, self.over)))


@dataclass
class Entry:
    """One line of the legend."""

    name: str
    sign: Artist
    rank: int = 1000


@dataclass
class Page:
    """A figure on paper.

    Attributes
    ----------
    figure
        Matplotlib's.
    layout
        Plotly's.
    pen
        Sizes.
    rulers
        All axes by name.
    plots
        The part of the page that panels share, as shares of the page.
    notes
        All texts within the plots; among them ``names`` stand at places of an axis and may move a
        little, and ``titles`` stand at places of the page and may shrink.
    """

    figure: Figure
    layout: Props
    pen: Pen
    rulers: dict[str, Ruler]
    plots: Bbox = field(default_factory=lambda: Bbox([[0.1, 0.1], [0.9, 0.9]]))
    panels: dict[tuple[str, str], Panel] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    ranges: list[ColorRange] = field(default_factory=list)
    notes: list[Words] = field(default_factory=list)
    names: list[Words] = field(default_factory=list)
    titles: list[Words] = field(default_factory=list)

    @property
    def paper(self) -> Transform:
        """From shares of the plot area, Plotly's paper coordinates, to the page."""
        return BboxTransformTo(TransformedBbox(self.plots, self.figure.transFigure))

    @property
    def width(self) -> float:
        """Of the page, in points."""
        return float(self.figure.get_figwidth() * 72)

    @property
    def height(self) -> float:
        """Of the page, in points."""
        return float(self.figure.get_figheight() * 72)

    def panel_with(self, name: str) -> Panel | None:
        """A panel on this axis."""
        return next((one for key, one in self.panels.items() if name in key), None)

    def panel_at(self, x: str, y: str) -> Panel | None:
        """The panel of two axes, or one that has at least one of them; None for the paper's."""
        names = [one.removesuffix(" domain") for one in (x, y)]
        both = self.panels.get((names[0], names[1]))
        return both or self.panel_with(names[0]) or self.panel_with(names[1])

    def transform(self, x: str, y: str) -> Transform:
        """From the coordinates that two references name to the page."""
        return blended_transform_factory(self._reference(x, "x"), self._reference(y, "y"))

    def _reference(self, name: str, letter: str) -> Transform:
        panel = self.panel_with(name.removesuffix(" domain"))
        if name == "paper" or panel is None:
            return self.paper
        return panel.over.transAxes if name.endswith("domain") else panel.over.transData

    def place(self, reference: str, value: Any, *, logged: bool = False) -> float:
        """A coordinate as a number: an axis's own scale where the reference is an axis."""
        ruler = self.rulers.get(reference)
        return float(value) if ruler is None else ruler.place(value, logged=logged)

    def default_color(self, number: int) -> str:
        """Colour of a trace that has none of its own."""
        colors = pick(self.layout, "colorway") or COLORWAY
        return str(colors[number % len(colors)])

    def remember(self, scale: ColorRange | None) -> None:
        """Note a colour scale that wants a key; a shared one wants one key."""
        if scale is None or scale.key is None:
            return
        if not scale.name or all(one.name != scale.name for one in self.ranges):
            self.ranges.append(scale)


def gid(kind: str, name: Any) -> str:
    """A name for a group of an SVG, so that it is found in a drawing program."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', str(name))}"
