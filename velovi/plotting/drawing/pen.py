"""Sizes on paper, colours and dashes."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba

from velovi.plotting.drawing.props import Numbers, Props, finite, listed, numbers, pick, several

INK = "#1d2433"
BASE_PX = 12.0  # Plotly's font size where a figure sets none
WITHOUT_VALUE = "#d4d8e0"
COLORWAY = ("#3f6fb5", "#e0872b", "#2a9d8f", "#c2517f", "#8f76cf", "#b9a32c", "#63b6e4", "#8a4b38")
_VIRIDIS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
_DASHES = {"dot": (1, 1.6), "dash": (4, 2.5), "longdash": (8, 3), "dashdot": (5, 2, 1, 2)}
_CALL = re.compile(r"(rgb|rgba|hsl|hsla)\(([^)]*)\)")

Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class Pen:
    """What turns the figure's pixels into points on paper.

    Attributes
    ----------
    text
        Points a pixel, for texts and the distances between them.
    mark
        Points a pixel, for markers and lines.
    base
        The figure's basic font size in pixels.
    ink
        Colour of texts that have none of their own.
    """

    text: float
    mark: float
    base: float
    ink: str

    @classmethod
    def of(cls, layout: Props, font_size_pt: float, height_pt: float) -> Pen:
        """The pen for a figure's layout, the size of its font and its height in points."""
        base = float(pick(layout, "font.size", BASE_PX))
        text = font_size_pt / base
        height = pick(layout, "height")
        mark = min(text, height_pt / float(height)) if height else text
        return cls(text, mark, base, str(pick(layout, "font.color", INK)))

    def size(self, font: Any, share: float = 1.0) -> float:
        """Points of a text with this font, ``share`` of the basic size where it says none."""
        return float(pick(font, "size", share * self.base)) * self.text

    def color(self, font: Any) -> Rgba:
        """Colour of a text with this font."""
        return rgba(pick(font, "color", self.ink))

    def line(self, line: Any, color: Any = None, width: float = 2.0) -> dict[str, Any]:
        """Matplotlib's settings for a Plotly line; ``color`` and ``width`` where it says none."""
        points = float(pick(line, "width", width)) * self.mark
        return {
            "color": rgba(pick(line, "color", color if color is not None else self.ink)),
            "linewidth": points,
            "linestyle": _dash(pick(line, "dash", "solid"), points, self.mark),
        }


def _dash(dash: str, width: float, mark: float) -> Any:
    """A dash pattern in units of the line's width, as matplotlib counts it."""
    if dash in _DASHES:
        return (0, _DASHES[dash])
    lengths = [float(one) for one in re.findall(r"\d+\.?\d*", dash)]
    if not lengths or not sum(lengths) or not width:
        return "-"
    return (0, tuple(one * mark / width for one in lengths))


def rgba(color: Any, opacity: float = 1.0) -> Rgba:
    """A colour as CSS writes it, as numbers from 0 to 1; what cannot be read becomes the ink."""
    red, green, blue, alpha = _rgba(str(color))
    return red, green, blue, alpha * opacity


@lru_cache(maxsize=4096)
def _rgba(color: str) -> Rgba:
    found = _CALL.fullmatch(color.replace(" ", "").lower())
    if found is None:
        if color == "transparent":
            return 0.0, 0.0, 0.0, 0.0
        try:
            return to_rgba(color)
        except ValueError:
            return to_rgba(INK)
    parts = [float(one.rstrip("%")) for one in found[2].split(",")]
    alpha = parts[3] if len(parts) > 3 else 1.0
    if found[1].startswith("hsl"):
        red, green, blue = colorsys.hls_to_rgb(parts[0] / 360, parts[2] / 100, parts[1] / 100)
    else:
        red, green, blue = (min(one, 255.0) / 255 for one in parts[:3])
    return red, green, blue, alpha


@dataclass(frozen=True)
class ColorRange:
    """A scale of colours from ``low`` to ``high``, and how its key looks (None: no key)."""

    low: float
    high: float
    colors: LinearSegmentedColormap
    key: Props | None
    name: str = ""

    def colored(self, values: Numbers, opacity: float = 1.0) -> Numbers:
        """Colour of each value (values, 4); grey where there is none."""
        width = (self.high - self.low) or 1.0
        found = self.colors((values - self.low) / width)
        found[~np.isfinite(values)] = rgba(WITHOUT_VALUE)
        found[:, 3] *= opacity
        return np.asarray(found, dtype=np.float64)


def color_range(
    holder: Props, values: Numbers, layout: Props, *, letter: str = "c", key: bool = False
) -> ColorRange:
    """The scale by which a marker, a heat map or a shared colour axis shows its values.

    Parameters
    ----------
    holder
        Has ``colorscale``, ``cmin`` and the like, or names a ``coloraxis`` of the layout.
    values
        What is shown; bounds the scale where nothing else does.
    layout
        Of the figure.
    letter
        ``"z"`` for a heat map, whose bounds are ``zmin`` and ``zmax``.
    key
        Whether a colour key is shown unless the figure says.
    """
    shared = pick(holder, "coloraxis", "")
    if shared:
        holder, letter, key = pick(layout, shared, {}), "c", True
    shown = finite(values)
    low, high = (
        float(pick(holder, f"{letter}{end}", found))
        for end, found in (
            ("min", np.min(shown, initial=np.inf)),
            ("max", np.max(shown, initial=-np.inf)),
        )
    )
    if not np.isfinite([low, high]).all():
        low, high = 0.0, 1.0
    middle = pick(holder, f"{letter}mid")
    if middle is not None:
        reach = max(abs(low - middle), abs(high - middle))
        low, high = middle - reach, middle + reach
    wanted = pick(holder, "showscale", key or "colorbar" in holder)
    scale = color_map(pick(holder, "colorscale"), bool(pick(holder, "reversescale", False)))
    return ColorRange(low, high, scale, pick(holder, "colorbar", {}) if wanted else None, shared)


def color_map(scale: Any, backwards: bool = False) -> LinearSegmentedColormap:
    """Plotly's pairs of place and colour as a matplotlib colour map."""
    pairs = [(float(at), rgba(color)) for at, color in scale or ()]
    if len(pairs) < 2:
        pairs = [(i / (len(_VIRIDIS) - 1), rgba(color)) for i, color in enumerate(_VIRIDIS)]
    if backwards:
        pairs = [(1.0 - at, color) for at, color in reversed(pairs)]
    pairs[0], pairs[-1] = (0.0, pairs[0][1]), (1.0, pairs[-1][1])
    return LinearSegmentedColormap.from_list("scale", pairs, N=1024)


def point_colors(
    holder: Props, count: int, layout: Props, default: Any, opacity: float = 1.0
) -> tuple[Numbers, ColorRange | None]:
    """Colours of points or bars (count, 4), and the scale behind them if they show numbers."""
    given = pick(holder, "color", default)
    faint = np.array([float(one) for one in _opacities(holder, count)]) * opacity
    scale = None
    if several(given) and not _are_colors(given):
        values = numbers(given)[:count]
        scale = color_range(holder, values, layout)
        found = scale.colored(values)
    elif several(given):
        found = np.array([rgba(one) for one in listed(given)[:count]]).reshape(-1, 4)
    else:
        found = np.tile(np.array(rgba(given)), (count, 1))
    found[:, 3] *= faint
    return found, scale


def _opacities(holder: Props, count: int) -> list[Any]:
    given = pick(holder, "opacity", 1.0)
    return listed(given)[:count] if several(given) else [given] * count


def _are_colors(values: Any) -> bool:
    return any(isinstance(one, str) for one in listed(values)[:1])
