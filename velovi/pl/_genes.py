"""One gene: its phase portrait, its course over time, its states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from velovi.errors import DataError, UnknownNameError
from velovi.keys import STATE_TITLES
from velovi.pl._figure import Save, drawing
from velovi.pl._result import Result, ResultReader, read_result
from velovi.plotting.gene import GeneData, gene_data_from_layers
from velovi.plotting.paper.gene import draw_gene_over_time, draw_phase_portrait, draw_state_course
from velovi.plotting.paper.numbers import draw_state_shares
from velovi.plotting.rates import shares_by_group
from velovi.plotting.states import state_course_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CELLS = 8_000


def phase_portrait(
    result: Result,
    gene: str,
    color: str | None = None,
    *,
    size: float | None = None,
    legend_loc: str = "right margin",
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Unspliced against spliced RNA of a gene, with the fitted course and the steady-state line.

    Parameters
    ----------
    result
        A trained model, an AnnData with its results, or the folder of a run.
    gene
        Its name.
    color
        A column of ``obs`` with groups; the first one when left out.
    size
        Diameter of a cell in points.
    legend_loc
        Names of the groups: ``"right margin"``, ``"bottom"`` or ``"none"``.
    title
        In place of the gene's name.
    ax
        Draw here; new axes, 110 by 80 mm, when left out.
    save
        Write the figure to this path.
    show
        Show it at once.

    Returns
    -------
    matplotlib.axes.Axes
        Abundances are scaled from 0 to 1 over the cells.

    Raises
    ------
    UnknownNameError
        ``gene`` or ``color`` is not in the result.

    Examples
    --------
    >>> axes = velovi.pl.phase_portrait(result, gene)
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('spliced (scaled)', 'unspliced (scaled)')
    """
    data = _gene(read_result(result), gene, color)
    with drawing(ax, (110, 80), save, show) as axes:
        draw_phase_portrait(axes, data, size=size, legend_loc=legend_loc, title=title)
    return axes


def gene_over_time(
    result: Result,
    gene: str,
    what: Literal["spliced", "unspliced"] = "spliced",
    color: str | None = None,
    *,
    size: float | None = None,
    legend_loc: str = "right margin",
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """A gene's abundance over its own latent time, with the fit and its 95 % band.

    Parameters
    ----------
    what
        Which RNA.
    result, gene, color, size, legend_loc, title, ax, save, show
        As in :func:`phase_portrait`.

    Returns
    -------
    matplotlib.axes.Axes
        Time from 0 to 20, the gene's own.

    Examples
    --------
    >>> velovi.pl.gene_over_time(result, gene, "unspliced").get_xlabel()
    'latent time of the gene'
    """
    data = _gene(read_result(result), gene, color)
    if data.time is None:
        raise DataError("there is no latent time of genes", where="layers", expected="fit_t")
    with drawing(ax, (110, 70), save, show) as axes:
        draw_gene_over_time(axes, data, what, size=size, legend_loc=legend_loc, title=title)
    return axes


def states(
    result: Result,
    gene: str,
    groupby: str | None = None,
    *,
    over_time: bool = False,
    legend_loc: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """How likely a gene is in each of its four states, in groups of cells or over its time.

    Parameters
    ----------
    groupby
        A column of ``obs`` with groups; the first one when left out.
    over_time
        Over the gene's latent time instead.
    legend_loc
        Of the states: ``"bottom"``, ``"top"``, ``"right margin"`` or ``"none"``.
    result, gene, title, ax, save, show
        As in :func:`phase_portrait`.

    Returns
    -------
    matplotlib.axes.Axes
        Mean probabilities, 0 to 1.

    Examples
    --------
    >>> axes = velovi.pl.states(result, gene)
    >>> axes.get_xlabel()
    'mean probability of the state'
    """
    reader = read_result(result)
    known = {
        name: reader.gene(f"p_{name}", _known(reader, gene))
        for name in STATE_TITLES
        if f"p_{name}" in reader.layers
    }
    if not known:
        raise DataError(
            "there are no state probabilities", where="layers", expected="p_induction, …"
        )
    with drawing(ax, (110, 80), save, show) as axes:
        if over_time:
            course = state_course_data(gene, reader.gene("fit_t", gene), known)
            draw_state_course(axes, course, legend_loc=legend_loc or "right margin", title=title)
        else:
            column = _group_column(reader, groupby)
            labels = None if column is None else reader.labels(column)
            shares = shares_by_group(gene, known, labels)
            draw_state_shares(axes, shares, legend_loc=legend_loc or "bottom", title=title)
    return axes


def _gene(reader: ResultReader, gene: str, color: str | None) -> GeneData:
    row = reader.var.iloc[reader.genes.index(_known(reader, gene))]
    column = _group_column(reader, color)
    for layer in ("Ms", "Mu"):
        if layer not in reader.layers:
            raise DataError("there are no smoothed abundances", where="layers", expected=layer)

    def values(layer: str) -> np.ndarray | None:
        return reader.gene(layer, gene) if layer in reader.layers else None

    return gene_data_from_layers(
        gene,
        reader.obs.index,
        values,
        row,
        labels=None if column is None else reader.labels(column),
        colors=None if column is None else reader.colors(column),
        limit=_MOST_CELLS,
    )


def _known(reader: ResultReader, gene: str) -> str:
    if gene not in reader.genes:
        raise UnknownNameError(
            f"there is no gene {gene!r} in this result",
            where="gene",
            expected="a gene of the model, such as " + ", ".join(reader.genes[:3]),
        )
    return gene


def _group_column(reader: ResultReader, column: str | None) -> str | None:
    names = reader.label_columns
    if column is None:
        return next(iter(names), None)
    if column not in names:
        raise UnknownNameError(
            f"there is no annotation with groups called {column!r}",
            where="color",
            expected=", ".join(names) or "a categorical column of obs",
        )
    return column
