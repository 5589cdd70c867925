"""Texts with the few HTML tags that Plotly knows: line breaks, bold, italics, sub, superscript."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform, Transform

from velovi.plotting.drawing.pen import Rgba

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TAG = re.compile(r"(</?(?:b|strong|i|em|sub|sup|br|span|a)\b[^<>]*>)", re.IGNORECASE)
_NAMES = {"strong": "b", "em": "i"}
LINE = 1.25  # distance of base lines, in font sizes
ASCENT, DESCENT = 0.78, 0.22  # of a line's box above and below its base line, in font sizes
_SMALL, _RAISE = 0.7, {"sup": 0.38, "sub": -0.18}
_LEFT = {"left": 0.0, "center": 0.5, "right": 1.0}
_TOP = {"top": 0.0, "middle": 0.5, "bottom": 1.0}

OVER_ALL = 20.0  # texts are painted last

Across = Literal["left", "center", "right"]
Down = Literal["top", "middle", "bottom"]


@dataclass(frozen=True)
class Run:
    """Letters of one look."""

    text: str
    tags: frozenset[str] = frozenset()

    def settings(self, size: float) -> dict[str, Any]:
        """Matplotlib's settings, for a basic size in points."""
        return {
            "fontweight": "bold" if "b" in self.tags else "normal",
            "fontstyle": "italic" if "i" in self.tags else "normal",
            "fontsize": size * (_SMALL if self.tags & set(_RAISE) else 1.0),
        }

    @property
    def rise(self) -> float:
        """How far above the base line it stands, in font sizes."""
        return sum(_RAISE.get(tag, 0.0) for tag in self.tags)


def lines_of(text: str) -> list[list[Run]]:
    r"""The runs of each line.

    Examples
    --------
    >>> [[run.text for run in line] for line in lines_of("<b>Actb</b> 0.4<br>a &lt; b")]
    [['Actb', '\xa00.4'], ['a < b']]
    """
    lines: list[list[Run]] = [[]]
    tags: list[str] = []
    for part in _TAG.split(text.replace("\n", "<br>")):
        found = _TAG.fullmatch(part)
        if found is None:
            if part:
                lines[-1].append(Run(html.unescape(part), frozenset(tags)))
            continue
        name = part.strip("</>").split()[0].lower()
        name = _NAMES.get(name, name)
        if name == "br":
            lines.append([])
        elif part.startswith("</"):
            tags = [one for one in tags if one != name]
        else:
            tags.append(name)
    return [_kept_apart(line) for line in lines]


def _kept_apart(line: list[Run]) -> list[Run]:
    """A line's runs with spaces at their ends that an SVG does not swallow."""
    if len(line) < 2:
        return line
    hard = "\N{NO-BREAK SPACE}"
    return [
        Run(re.sub(r"^ +| +$", lambda found: hard * len(found[0]), run.text), run.tags)
        for run in line
    ]


def plain(text: Any) -> str:
    """The letters alone, with line breaks."""
    return "\n".join("".join(run.text for run in line) for line in lines_of(str(text)))


def common_settings(text: str) -> dict[str, Any]:
    """Weight and style, where a text has one throughout."""
    tags = [run.tags for line in lines_of(text) for run in line if run.text.strip()]
    shared = frozenset.intersection(*tags) if tags else frozenset()
    settings = Run("", shared).settings(1.0)
    return {name: settings[name] for name in ("fontweight", "fontstyle")}


@dataclass(frozen=True)
class Box:
    """A ground behind a text; lengths in points."""

    color: Rgba
    border: Rgba = (0.0, 0.0, 0.0, 0.0)
    width: float = 0.0
    pad: float = 0.0


@dataclass(frozen=True)
class Lettering:
    """How a text looks: size in points, colour, angle in degrees against the clock."""

    size: float
    color: Rgba
    angle: float = 0.0
    box: Box | None = None
    settings: dict[str, Any] = field(default_factory=dict)


class Words(Artist):
    """A text of several lines and looks that stands by an anchor.

    Parameters
    ----------
    figure
        Where it is drawn.
    text
        With Plotly's tags.
    look
        Its lettering.
    at, transform
        The anchor, and how its coordinates become places on the page.
    across, down
        Which part of the text stands on the anchor.
    shift
        From the anchor, in points to the right and up.
    align
        Of the lines among each other; as ``across`` when left out.
    """

    def __init__(
        self,
        figure: Figure,
        text: str,
        look: Lettering,
        *,
        at: tuple[float, float],
        transform: Transform,
        across: Across = "center",
        down: Down = "middle",
        shift: tuple[float, float] = (0.0, 0.0),
        align: Across | None = None,
    ) -> None:
        super().__init__()
        self.lines = lines_of(text)
        self.look = look
        self.at, self.across, self.down, self.shift = at, across, down, shift
        self.align: Across = align or across
        # to find room, a text may shrink, or move to the right and up by so many points
        self.scale, self.moved = 1.0, (0.0, 0.0)
        self.set_zorder(OVER_ALL)
        self.page_figure = figure
        self.set_figure(figure)
        self.set_transform(transform)

    @property
    def size(self) -> float:
        """Of its letters, in points."""
        return self.look.size * self.scale

    def widths(self, renderer: Any) -> list[list[float]]:
        """Width of each run of each line, in pixels."""
        found = []
        for line in self.lines:
            texts = [self._text(run) for run in line]
            found.append(
                [
                    renderer.get_text_width_height_descent(
                        one.get_text(), one.get_fontproperties(), False
                    )[0]
                    for one in texts
                ]
            )
        return found

    def _text(self, run: Run) -> Text:
        text = Text(
            0,
            0,
            run.text,
            color=self.look.color,
            parse_math=False,
            rotation=self.look.angle,
            rotation_mode="anchor",
            va="baseline",
            **{**self.look.settings, **run.settings(self.size)},
        )
        text.set_figure(self.page_figure)
        text.set_transform(IdentityTransform())
        return text

    def _corner(self, renderer: Any, widths: list[list[float]]) -> tuple[float, float, float]:
        """Width and height of the text without its box, and pixels a point."""
        pixel = float(renderer.points_to_pixels(1.0))
        width = max((sum(one) for one in widths), default=0.0)
        height = (len(self.lines) - 1) * LINE + ASCENT + DESCENT
        return width, height * self.size * pixel, pixel

    def _frame(self, renderer: Any) -> tuple[np.ndarray, np.ndarray, float, float, float]:
        """Top left corner, turn (2, 2), width, height and pixels a point."""
        width, height, pixel = self._corner(renderer, self.widths(renderer))
        pad = self.look.box.pad * pixel if self.look.box else 0.0
        turn = _turn(self.look.angle)
        # the box's own corner as seen from the anchor, before it is turned
        left = -_LEFT[self.across] * (width + 2 * pad) + pad
        top = _TOP[self.down] * (height + 2 * pad) - pad
        if self.look.angle:
            left, top = _turned_corner(turn, (left, top), (width, height), self.across, self.down)
        anchor = self.get_transform().transform(np.asarray(self.at, dtype=float))
        corner = anchor + np.add(self.shift, self.moved) * pixel + [left, top]
        return corner, turn, width, height, pixel

    def corners(self, renderer: Any) -> np.ndarray:
        """The corners of the text and its box (4, 2), in pixels."""
        corner, turn, width, height, pixel = self._frame(renderer)
        pad = self.look.box.pad * pixel if self.look.box else 0.0
        x, y = np.array([-pad, width + pad]), np.array([pad, -height - pad])
        local = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
        return corner + local @ turn.T

    def get_window_extent(self, renderer: Any = None) -> Bbox:
        """What it covers, in pixels."""
        corners = self.corners(renderer)
        return Bbox([corners.min(axis=0), corners.max(axis=0)])

    def draw(self, renderer: Any) -> None:
        """Paint the box, then each line; a line of one look is one text in an SVG."""
        if not self.get_visible():
            return
        self._draw_box(renderer)
        corner, turn, width, _, pixel = self._frame(renderer)
        for number, (line, widths) in enumerate(
            zip(self.lines, self.widths(renderer), strict=True)
        ):
            base = -(ASCENT + number * LINE) * self.size * pixel
            if len(line) == 1 and not line[0].rise:
                place = corner + turn @ np.array([_LEFT[self.align] * width, base])
                self._place(line[0], place, self.align, renderer)
                continue
            x = _LEFT[self.align] * (width - sum(widths))
            for run, run_width in zip(line, widths, strict=True):
                place = corner + turn @ np.array([x, base + run.rise * self.size * pixel])
                self._place(run, place, "left", renderer)
                x += run_width

    def _place(self, run: Run, place: np.ndarray, across: Across, renderer: Any) -> None:
        text = self._text(run)
        text.set_position((float(place[0]), float(place[1])))
        text.set_horizontalalignment(across)
        text.draw(renderer)

    def _draw_box(self, renderer: Any) -> None:
        box = self.look.box
        if box is None or self.look.angle or not (box.color[3] or box.width):
            return
        extent = self.get_window_extent(renderer)
        patch = Rectangle(
            (extent.x0, extent.y0),
            extent.width,
            extent.height,
            facecolor=box.color,
            edgecolor=box.border,
            linewidth=box.width,
        )
        patch.set_figure(self.page_figure)
        patch.set_transform(IdentityTransform())
        patch.draw(renderer)


def _turn(angle: float) -> np.ndarray:
    along, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array([[along, -up], [up, along]])


def _turned_corner(
    turn: np.ndarray, corner: tuple[float, float], size: tuple[float, float], across: str, down: str
) -> tuple[float, float]:
    """Top left corner of a turned text whose turned outline stands on the anchor."""
    outline = np.array([(0, 0), (size[0], 0), (size[0], -size[1]), (0, -size[1])]) @ turn.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    x = -(low[0] + _LEFT[across] * (high[0] - low[0]))
    y = -(high[1] - _TOP[down] * (high[1] - low[1]))
    return float(x), float(y)
