"""Shapes and annotations: what a figure draws over or below its traces."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from matplotlib.patches import Ellipse, FancyArrowPatch, Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import ScaledTranslation

from velovi.plotting.drawing.page import ABOVE, BELOW, Page
from velovi.plotting.drawing.pen import rgba
from velovi.plotting.drawing.points import faded
from velovi.plotting.drawing.props import Props, pick
from velovi.plotting.drawing.words import OVER_ALL, Across, Box, Down, Lettering, Words

_STEP = re.compile(r"([MLHVQCZmlhvqcz])|(-?\d*\.?\d+(?:[eE][-+]?\d+)?)")
_CODES = {"M": Path.MOVETO, "L": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
_PAIRS = {"M": 1, "L": 1, "Q": 2, "C": 3}
_THIRD = 1 / 3  # of the paper beyond which a text keeps to its side


def shape(page: Page, props: Props) -> None:
    """Draw one shape."""
    if not pick(props, "visible", True):
        return
    references = str(pick(props, "xref", "x")), str(pick(props, "yref", "y"))
    patch = _patch(page, props, references)
    if patch is None:
        return
    opacity, below = float(pick(props, "opacity", 1.0)), pick(props, "layer") == "below"
    look = page.pen.line(pick(props, "line", {}), "#444444")
    fill = pick(props, "fillcolor")
    solid = pick(props, "type") != "line" and fill is not None
    patch.set(
        facecolor=rgba(fill, opacity) if solid else "none",
        edgecolor=faded(look["color"], opacity) if look["linewidth"] else "none",
        linewidth=look["linewidth"],
        linestyle=look["linestyle"],
        joinstyle="round",
        capstyle="butt" if look["linestyle"] != "-" else "round",
        zorder=BELOW if below else ABOVE,
    )
    _put(page, patch, references, below=below)


def _put(page: Page, patch: Patch, references: tuple[str, str], *, below: bool) -> None:
    """Add a patch to its panel, which cuts it, or to the page."""
    panel = page.panel_at(*references)
    if references == ("paper", "paper") or panel is None:
        patch.set_zorder(-1 if below else OVER_ALL - 1)
        page.figure.add_artist(patch)
    else:
        axes = panel.axes if below else panel.over
        axes.add_patch(patch)
        patch.set_clip_path(axes.patch)
    patch.set_transform(page.transform(*references))


def _patch(page: Page, props: Props, references: tuple[str, str]) -> Patch | None:
    kind = str(pick(props, "type", "rect"))
    if kind == "path":
        path = read_path(page, str(pick(props, "path", "")), references)
        return None if path is None else PathPatch(path)
    x0, x1 = (page.place(references[0], pick(props, one, 0)) for one in ("x0", "x1"))
    y0, y1 = (page.place(references[1], pick(props, one, 0)) for one in ("y0", "y1"))
    if kind == "line":
        return PathPatch(Path([(x0, y0), (x1, y1)]))
    if kind == "circle":
        return Ellipse(((x0 + x1) / 2, (y0 + y1) / 2), abs(x1 - x0), abs(y1 - y0))
    return Rectangle((min(x0, x1), min(y0, y1)), abs(x1 - x0), abs(y1 - y0))


def read_path(page: Page, text: str, references: tuple[str, str]) -> Path | None:
    """An SVG path with absolute steps as matplotlib's; None when there is nothing to draw."""
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for letter, values in _steps(text):
        if letter == "Z":
            points.append((0.0, 0.0))
            codes.append(Path.CLOSEPOLY)
            continue
        last = points[-1] if points else (0.0, 0.0)
        pairs = {"H": [(v, last[1]) for v in values], "V": [(last[0], v) for v in values]}.get(
            letter, list(zip(values[::2], values[1::2], strict=True))
        )
        code = _CODES.get(letter, Path.LINETO)
        points += pairs
        codes += [code] * len(pairs)
        if letter == "M":
            codes[len(codes) - len(pairs) + 1 :] = [Path.LINETO] * (len(pairs) - 1)
    if len(points) < 2:
        return None
    vertices = np.array(points)
    for column, reference in enumerate(references):
        ruler = page.rulers.get(reference)
        if ruler is not None and ruler.kind == "log":
            vertices[:, column] = ruler.places(vertices[:, column])
    return Path(vertices, codes)


def _steps(text: str) -> list[tuple[str, list[float]]]:
    """Letters of a path, each with its numbers."""
    found: list[tuple[str, list[float]]] = []
    for letter, number in _STEP.findall(text):
        if letter:
            found.append((letter.upper(), []))
        elif found:
            found[-1][1].append(float(number))
    return found


def annotation(page: Page, props: Props) -> None:
    """Write one annotation, with its arrow if it has one."""
    text = str(pick(props, "text", ""))
    if not pick(props, "visible", True) or not text:
        return
    references = str(pick(props, "xref", "x")), str(pick(props, "yref", "y"))
    at = (
        page.place(references[0], pick(props, "x", 0), logged=True),
        page.place(references[1], pick(props, "y", 0), logged=True),
    )
    if not np.isfinite(at).all() or _outside(page, references, at):
        return
    shift = tuple(float(pick(props, f"{one}shift", 0)) * page.pen.text for one in "xy")
    arrow = bool(pick(props, "showarrow", True))
    tail = _arrow(page, props, references, at) if arrow else (0.0, 0.0)
    across, down = _anchor(props, references, at, tail if arrow else None)
    words = Words(
        page.figure,
        text,
        _lettering(page, props),
        at=at,
        transform=page.transform(*references),
        across=across,
        down=down,
        shift=(shift[0] + tail[0], shift[1] + tail[1]),
        align=pick(props, "align", "center"),
    )
    page.notes.append(words)
    if not arrow:
        on_axes = all(one in page.rulers for one in references)
        (page.names if on_axes else page.titles).append(words)


def _outside(page: Page, references: tuple[str, str], at: tuple[float, float]) -> bool:
    """Whether a place on an axis is beyond its ends; nothing is written there."""
    rulers = [page.rulers.get(one) for one in references]
    return any(
        ruler is not None and not min(ruler.limits) <= place <= max(ruler.limits)
        for ruler, place in zip(rulers, at, strict=True)
    )


def _lettering(page: Page, props: Props) -> Lettering:
    font, pen = pick(props, "font", {}), page.pen
    opacity = float(pick(props, "opacity", 1.0))
    pad = float(pick(props, "borderpad", 1.0)) * pen.text
    border = rgba(pick(props, "bordercolor", "transparent"), opacity)
    width = float(pick(props, "borderwidth", 1.0)) * pen.mark if border[3] else 0.0
    box = Box(rgba(pick(props, "bgcolor", "transparent"), opacity), border, width, pad)
    color = faded(pen.color(font), opacity)
    return Lettering(pen.size(font), color, -float(pick(props, "textangle", 0.0)), box)


def _anchor(
    props: Props,
    references: tuple[str, str],
    at: tuple[float, float],
    tail: tuple[float, float] | None,
) -> tuple[Across, Down]:
    """Which part of the text stands on its point, where the annotation leaves it open."""
    across, down = str(pick(props, "xanchor", "auto")), str(pick(props, "yanchor", "auto"))
    if tail is not None:  # the text stands at the end of the arrow's shaft
        upright = abs(tail[1]) >= abs(tail[0])
        side = "left" if tail[0] > 0 else "right"
        level = "bottom" if tail[1] > 0 else "top"
        across = ("center" if upright else side) if across == "auto" else across
        down = (level if upright else "middle") if down == "auto" else down
    if across == "auto":
        across = _third(references[0], at[0], ("left", "center", "right"))
    if down == "auto":
        down = _third(references[1], at[1], ("bottom", "middle", "top"))
    return across, down  # type: ignore[return-value]


def _third(reference: str, share: float, names: tuple[str, str, str]) -> str:
    if reference != "paper" and not reference.endswith("domain"):
        return names[1]
    return names[0] if share <= _THIRD else names[2] if share >= 1 - _THIRD else names[1]


def _arrow(
    page: Page, props: Props, references: tuple[str, str], at: tuple[float, float]
) -> tuple[float, float]:
    """Draw an annotation's arrow; where its shaft begins, in points from its head."""
    tail = (
        float(pick(props, "ax", -10)) * page.pen.text,
        -float(pick(props, "ay", -30)) * page.pen.text,
    )
    pen, head = page.pen, int(pick(props, "arrowhead", 1))
    width = float(pick(props, "arrowwidth", 1.5)) * pen.mark
    color = rgba(pick(props, "arrowcolor", pick(props, "font.color", pen.ink)))
    where = page.transform(*references)
    away = ScaledTranslation(tail[0] / 72, tail[1] / 72, page.figure.dpi_scale_trans)
    arrow = _Arrow(at, where, where + away, color=color, linewidth=width)
    size = float(pick(props, "arrowsize", 1.0))
    arrow.set_arrowstyle(
        "-|>" if head else "-",
        **({"head_length": 2.2 * size, "head_width": 1.1 * size} if head else {}),
    )
    arrow.set_mutation_scale(2.0 * width + 1.0)
    arrow.set_zorder(OVER_ALL - 1)
    page.figure.add_artist(arrow)
    return tail


class _Arrow(FancyArrowPatch):
    """An arrow between the places of one point in two coordinate systems."""

    def __init__(self, at: tuple[float, float], head: Any, tail: Any, **look: Any) -> None:
        super().__init__((0, 0), (1, 1), shrinkA=0, shrinkB=0, **look)
        self._at, self._head, self._tail = np.array(at, dtype=float), head, tail

    def draw(self, renderer: Any) -> None:
        """Find both ends on the page as it is now, then paint."""
        self.set_positions(self._tail.transform(self._at), self._head.transform(self._at))
        self.set_transform(None)
        super().draw(renderer)
