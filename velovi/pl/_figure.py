"""Axes for a plot, and what happens with them when it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from velovi.errors import OptionError
from velovi.plotting.paper.style import paper_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 300
Save = str | PathLike[str] | None


@contextmanager
def drawing(ax: Axes | None, size: tuple[float, float], save: Save, show: bool) -> Iterator[Axes]:
    """New axes in the style of a paper, or the caller's in the caller's style.

    Parameters
    ----------
    ax
        The caller's; new ones when None.
    size
        Width and height of a new figure in millimetres.
    save
        Where to write the figure; the ending says as what.
    show
        Show it at once.
    """
    if ax is not None:
        yield ax
        _finish(ax.get_figure(root=True), save, show)
        return
    from matplotlib import pyplot

    with paper_style():
        inches = tuple(millimetres / 25.4 for millimetres in size)
        figure = pyplot.figure(figsize=inches, layout="constrained", dpi=150)
        yield figure.subplots()
        _finish(figure, save, show)


def _finish(figure: Any, save: Save, show: bool) -> None:
    if save is not None:
        folder = Path(save).resolve().parent
        if not folder.is_dir():
            raise OptionError(
                "there is no such folder to save the figure in",
                where="save",
                found=str(folder),
                remedy="Make the folder first, or choose another",
            )
        figure.savefig(Path(save), dpi=DPI)
    if show:
        from matplotlib import pyplot

        pyplot.show()
