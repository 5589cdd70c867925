"""What all figures for paper share: letters, quiet axes, colour scales, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from velovi.plotting.theme import LIGHT, FigureTheme, Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

THEME = LIGHT  # paper is white
FONTS: dict[str, tuple[str, ...]] = {
    "sans-serif": ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"),
    "serif": ("Times New Roman", "Times", "Liberation Serif", "DejaVu Serif"),
    "DejaVu Sans": ("DejaVu Sans",),
}
"""The first that is installed shapes the letters; an SVG names them all."""
MOST_VECTOR_POINTS = 20_000
"""Clouds of more points are dots in a vector file: no program opens that many circles gladly."""
_LINE = 0.8  # of axes, in points
_BELOW_LABELS = 3.2  # font sizes from an axis to what stands below its labels
Rgba = tuple[float, float, float, float]


@lru_cache(maxsize=1)
def _add_fonts() -> None:
    """Make the fonts known that come with the package: Arial's shapes where there is no Arial."""
    from matplotlib.font_manager import fontManager

    for path in sorted((Path(__file__).parent / "fonts").glob("*.ttf")):
        fontManager.addfont(path)


def installed_fonts(font: str) -> list[str]:
    """The families of a key of :data:`FONTS` that are there; a name of another font as it is."""
    from matplotlib.font_manager import fontManager

    _add_fonts()
    known = {entry.name for entry in fontManager.ttflist}
    return [name for name in FONTS.get(font, (font,)) if name in known] or ["DejaVu Sans"]


@contextmanager
def paper_style(
    font: str = "sans-serif", font_size: float = 8.0, *, name_all: bool = False
) -> Iterator[None]:
    """Matplotlib's settings for paper, and the caller's own afterwards.

    Parameters
    ----------
    font
        A key of :data:`FONTS` or the name of a font family.
    font_size
        Basic size in points.
    name_all
        Name fonts that are not here as well, for a file whose text stays text.
    """
    _add_fonts()
    settings: Any = {
        "font.family": list(FONTS.get(font, (font,))) if name_all else installed_fonts(font),
        "font.size": font_size,
        "axes.titlesize": 1.1 * font_size,
        "axes.labelsize": font_size,
        "xtick.labelsize": 0.9 * font_size,
        "ytick.labelsize": 0.9 * font_size,
        "legend.fontsize": 0.9 * font_size,
        "axes.linewidth": _LINE,
        "axes.edgecolor": THEME.muted,
        "axes.labelcolor": THEME.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": THEME.ink,
        "xtick.color": THEME.muted,
        "ytick.color": THEME.muted,
        "xtick.labelcolor": THEME.ink,
        "ytick.labelcolor": THEME.ink,
        "xtick.major.width": _LINE,
        "ytick.major.width": _LINE,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.borderaxespad": 0.3,
        "svg.fonttype": "none",  # text stays text
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(settings):
        yield


def font_size(axes: Axes) -> float:
    """Basic size of letters, in points."""
    return float(axes.xaxis.label.get_fontsize())


def figure_of(axes: Axes) -> Figure:
    """The whole figure that axes belong to."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def laid_out(axes: Axes) -> Figure:
    """The same, once its layout has decided how large everything is."""
    figure = figure_of(axes)
    figure.draw_without_rendering()
    return figure


def color(text: str) -> Rgba | str:
    """Matplotlib's form of a colour of the theme, ``#rrggbb`` or ``rgba(r,g,b,a)``.

    Examples
    --------
    >>> color("rgba(255,0,0,0.5)")
    (1.0, 0.0, 0.0, 0.5)
    """
    found = re.fullmatch(r"rgba\((.+)\)", text.replace(" ", ""))
    if found is None:
        return text
    red, green, blue, alpha = (float(part) for part in found[1].split(","))
    return red / 255, green / 255, blue / 255, alpha


@lru_cache(maxsize=16)
def colormap(scale: Scale) -> LinearSegmentedColormap:
    """A colour scale of the theme; what is not finite has the theme's grey."""
    return LinearSegmentedColormap.from_list("velovi", list(scale), N=256, bad=THEME.missing)


def theme_scale(kind: str, theme: FigureTheme = THEME) -> LinearSegmentedColormap:
    """The colour map for a kind of number: ``"abundance"``, ``"diverging"`` or ``"time"``."""
    scale: Scale = getattr(theme, kind)
    return colormap(scale)


def gene_name(gene: str) -> dict[str, Any]:
    """Text and style of a gene's name, which stands in italics."""
    return {"label": gene, "fontstyle": "italic", "loc": "left"}


def bare(axes: Axes, *, equal: bool = True) -> None:
    """Axes that are not seen: an embedding's coordinates mean nothing by themselves."""
    axes.set_axis_off()
    if equal:
        axes.set_aspect("equal", adjustable="box")


def points(axes: Axes, x: np.ndarray, y: np.ndarray, *, size: float, **how: Any) -> PathCollection:
    """A cloud of points of a diameter in points; dots in a vector file when they are very many."""
    return axes.scatter(
        x, y, s=size**2, linewidths=0, rasterized=len(x) > MOST_VECTOR_POINTS, **how
    )


def point_size(n_cells: int) -> float:
    """Diameter that suits so many cells, in points."""
    return float(np.clip(110 / np.sqrt(max(n_cells, 1)), 0.6, 5.0))


def color_bar(axes: Axes, mappable: Any, title: str, **how: Any) -> None:
    """A slim colour key to the right of the axes."""
    place = {"shrink": 0.5, "aspect": 14, "pad": 0.02, "anchor": (0.0, 1.0)}
    bar = figure_of(axes).colorbar(mappable, ax=axes, label=title, **{**place, **how})
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.minorticks_off()


def legend(axes: Axes, colors: Mapping[str, str], loc: str, *, lines: Sequence[Any] = ()) -> None:
    """A key of colours: beside the axes, below them, or where matplotlib is told to put it.

    Parameters
    ----------
    axes
        Where.
    colors
        Colour of each name.
    loc
        ``"right margin"``, ``"bottom"``, ``"none"``, or a place that ``Axes.legend`` knows.
    lines
        Labelled lines that the key names first.
    """
    if loc == "none" or not (colors or lines):
        return
    handles = list(lines) + [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=0.6 * font_size(axes),
            color=color(shade),
            label=name,
        )
        for name, shade in colors.items()
    ]
    axes.legend(handles=handles, **legend_place(axes, loc, len(handles)))


def line_legend(axes: Axes, loc: str = "top") -> None:
    """A key of the labelled lines of some axes."""
    handles, _ = axes.get_legend_handles_labels()
    if handles and loc != "none":
        axes.legend(**legend_place(axes, loc, len(handles)))


def legend_place(axes: Axes, loc: str, entries: int) -> dict[str, Any]:
    """Where a key stands, in the words of ``Axes.legend``."""
    if loc == "right margin":
        return {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": -(-entries // 26)}
    if loc == "bottom":
        # below the labels of the axis by lengths on paper: by a share of the axes, the layout and
        # the key would chase each other
        lines = _BELOW_LABELS if axes.axison else 0.3
        down = ScaledTranslation(0, -lines * font_size(axes) / 72, figure_of(axes).dpi_scale_trans)
        return {
            "loc": "upper center",
            "bbox_to_anchor": (0.5, 0.0),
            "bbox_transform": axes.transAxes + down,
            "ncols": min(3, entries),
            "columnspacing": 1.0,
            "handletextpad": 0.4,
        }
    if loc == "top":
        return {
            "loc": "lower left",
            "bbox_to_anchor": (0.0, 1.0),
            "ncols": entries,
            "columnspacing": 1.0,
            "handletextpad": 0.5,
        }
    return {"loc": loc}


def own_colors(names: Sequence[str], colors: Mapping[str, str]) -> dict[str, str]:
    """The colours of some names alone, in their order."""
    return {name: colors[name] for name in names if name in colors}


def write_note(figure: Figure, note: str) -> None:
    """Write a line below everything in a figure, in as many lines as its width asks for."""
    size = 0.85 * float(mpl.rcParams["font.size"])
    letters = max(10, int(figure.get_figwidth() * 72 / (0.52 * size)))
    plain = note.encode("utf-8", "replace").decode().replace("$", r"\$")
    text = "\n".join(wrap(plain, letters))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=size, color=THEME.muted)
