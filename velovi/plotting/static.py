"""A Plotly figure as a file for paper: SVG, PDF or PNG, without a browser."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Literal, get_args

import plotly.graph_objects as go

from velovi.errors import OptionError

Kind = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MEDIA = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
# The first that is installed shapes the letters; an SVG names them all, so that the program that
# opens it takes the first that it has.
FONTS: dict[str, tuple[str, ...]] = {
    "sans-serif": ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"),
    "serif": ("Times New Roman", "Times", "Liberation Serif", "DejaVu Serif"),
    "DejaVu Sans": ("DejaVu Sans",),
}
WIDTH_MM, HEIGHT_MM = (20.0, 400.0), (20.0, 400.0)
FONT_SIZE_PT, DPI = (4.0, 24.0), (72, 600)
_RANGES = {"width_mm": WIDTH_MM, "height_mm": HEIGHT_MM, "font_size_pt": FONT_SIZE_PT, "dpi": DPI}

# matplotlib's settings belong to the process: one picture at a time
_drawing = threading.Lock()


@dataclass(frozen=True)
class PictureOptions:
    """Size, letters and kind of a picture.

    Attributes
    ----------
    kind
        ``"svg"`` keeps text as text, ``"pdf"`` embeds its fonts, ``"png"`` is made of dots.
    width_mm, height_mm
        Of the whole picture, 20 to 400 mm.
    font
        ``"sans-serif"`` (Arial, Helvetica or one of their shape), ``"serif"`` (Times likewise), or
        the name of a font family that is installed.
    font_size_pt
        Of the figure's basic letters, 4 to 24 points; others are larger or smaller in proportion.
    dpi
        Dots an inch, 72 to 600: of a PNG, and of clouds of more than 20,000 points in SVG and PDF.
    transparent
        No ground instead of a white one.
    """

    kind: Kind = "svg"
    width_mm: float = 120.0
    height_mm: float = 90.0
    font: str = "sans-serif"
    font_size_pt: float = 8.0
    dpi: int = 300
    transparent: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(
                "there is no such kind of picture",
                where="kind",
                expected=", ".join(KINDS),
                found=repr(self.kind),
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value)) or (
                not low <= value <= high
            ):
                raise OptionError(
                    "the value is out of range",
                    where=name,
                    expected=f"{low:g} to {high:g}",
                    found=repr(value),
                )
        if self.font not in FONTS and not _installed(self.font):
            raise OptionError(
                "there is no such font here",
                where="font",
                expected=", ".join(FONTS) + " or a font family that is installed",
                found=repr(self.font),
            )

    @property
    def media_type(self) -> str:
        """The file's media type."""
        return MEDIA[self.kind]


def _installed(family: str) -> bool:
    from matplotlib.font_manager import fontManager

    return any(one.name == family for one in fontManager.ttflist)


def picture(figure: go.Figure, options: PictureOptions | None = None) -> bytes:
    """Draw a figure as a file.

    Colours, ranges and places are the figure's own; a figure made with the light theme fits the
    white ground. Everything that is written stays on the page: the plots give way. Texts are as
    large as ``font_size_pt`` says; points and lines cover the share of the figure that they cover
    on a screen. The same figure and options give the same bytes.

    Parameters
    ----------
    figure
        Scatter (SVG or WebGL), bar, histogram, box, violin and heat map traces on any number of
        axes, with shapes, annotations, legend and colour keys.
    options
        Size and kind; an SVG of 120 mm by 90 mm when left out.

    Returns
    -------
    The content of the file.

    Raises
    ------
    OptionError
        The figure has a trace of another kind.

    Examples
    --------
    >>> content = picture(go.Figure(go.Scatter(x=[0, 1], y=[1, 2])), PictureOptions("pdf"))
    >>> content[:5]
    b'%PDF-'
    """
    from velovi.plotting.drawing.sheet import written

    options = options or PictureOptions()
    with _drawing:
        return written(figure, options)
