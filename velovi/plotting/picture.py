"""A figure as a file for paper: SVG, PDF or PNG, drawn by matplotlib when it is asked for."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import pandas as pd

from velovi.errors import OptionError, check_choice, check_range

Kind = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MEDIA = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
FONTS = ("sans-serif", "serif", "DejaVu Sans")
WIDTH_MM, HEIGHT_MM = (20.0, 400.0), (20.0, 400.0)
FONT_SIZE_PT, DPI = (4.0, 24.0), (72, 600)
_RANGES = {"width_mm": WIDTH_MM, "height_mm": HEIGHT_MM, "font_size_pt": FONT_SIZE_PT, "dpi": DPI}

_METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
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
        ``"sans-serif"`` (Arial, Helvetica, or Liberation Sans, which has their shape and comes with
        this package), ``"serif"`` (Times likewise, where it is installed), or the name of a font
        family that is installed.
    font_size_pt
        Of the figure's basic letters, 4 to 24 points; others are larger or smaller in proportion.
    dpi
        Dots an inch, 72 to 600: of a PNG, and of clouds of more than 20,000 points in SVG and PDF.
    transparent
        No ground instead of a white one.
    note
        A line below the figure, such as how far its velocities are supported; none when empty.
    """

    kind: Kind = "svg"
    width_mm: float = 120.0
    height_mm: float = 90.0
    font: str = "sans-serif"
    font_size_pt: float = 8.0
    dpi: int = 300
    transparent: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
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


class PlotData(Protocol):
    """The numbers of a figure, from one of the functions ``velovi.plotting.*_data``."""

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a table."""


def _installed(family: str) -> bool:
    from matplotlib.font_manager import fontManager

    return any(entry.name == family for entry in fontManager.ttflist)


def picture(data: PlotData, options: PictureOptions | None = None, **how: Any) -> bytes:
    """Draw the data of a figure as a file.

    The same data and options give the same bytes.

    Parameters
    ----------
    data
        The numbers of a figure.
    options
        Size and kind; an SVG of 120 mm by 90 mm when left out.
    **how
        As in :func:`velovi.plotting.paper.draw.draw`.

    Returns
    -------
    The content of the file.

    Raises
    ------
    OptionError
        There is no figure of this kind of data.

    Examples
    --------
    >>> from velovi.plotting.training import training_data
    >>> losses = [{"epoch": 0, "elbo_train": 9.0}, {"epoch": 1, "elbo_train": 8.0}]
    >>> picture(training_data(losses), PictureOptions("pdf"))[:5]
    b'%PDF-'
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from velovi.plotting.paper.draw import draw
    from velovi.plotting.paper.style import paper_style, write_note

    options = options or PictureOptions()
    svg = options.kind == "svg"
    with (
        _drawing,
        paper_style(options.font, options.font_size_pt, name_all=svg),
        rc_context({"svg.hashsalt": "velovi"}),
        _quiet_fonts(),
    ):
        size = options.width_mm / 25.4, options.height_mm / 25.4
        figure = Figure(figsize=size, dpi=options.dpi, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, data, **how)
        if options.note:
            write_note(figure, options.note)
        content = io.BytesIO()
        figure.savefig(
            content,
            format=options.kind,
            dpi=options.dpi,
            transparent=options.transparent,
            metadata=_METADATA[options.kind],
        )
    return content.getvalue()


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """Matplotlib reports each font that an SVG names and that is not here."""
    logger = logging.getLogger("matplotlib.font_manager")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
